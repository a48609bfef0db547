"""Saved click probabilities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nasrec_nni.files import atomic_path


def save_predictions(path: Path, predictions: NDArray[np.float64]) -> None:
    """Click probabilities, float64, in the order of the split's rows."""
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.save(stream, predictions, allow_pickle=False)
