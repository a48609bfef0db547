"""Whether a candidate is worth its other rows: its losses on some, beside those of the best one on the same rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


def behind(
    losses: NDArray[np.float64], best: NDArray[np.float64], weight: NDArray[np.floating[Any]] | None
) -> tuple[float, float]:
    """Mean of the paired differences of two candidates' losses, and its standard error, both in nats.

    Rows are hard or easy for both, so the difference is known far better than either mean.

    Args:
        losses: `[n]`, of the candidate.
        best: `[n]`, of the same rows.
        weight: `[n]`, rows that each one counts as; None if all count as one.
    """
    share = (
        np.full(len(losses), 1 / len(losses))
        if weight is None
        else np.asarray(weight, np.float64) / np.sum(weight, dtype=np.float64)
    )
    with np.errstate(invalid="ignore"):
        away = losses - best
        mean = float(share @ away)
        return mean, math.sqrt(float(np.square(share) @ np.square(away - mean)))


def hopeless(difference: float, error: float, errors: float) -> bool:
    """Whether a candidate is behind by more than so many standard errors; one without a finite loss is not judged."""
    return math.isfinite(difference) and difference > 0 and difference > errors * error
