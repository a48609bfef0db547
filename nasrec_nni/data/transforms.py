"""Numbers of the log to float32: named, fitted on training rows only, each cell by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

TransformName = Literal["log1p", "standardize", "identity"]


@dataclass(frozen=True)
class Transform:
    """`log1p`: log(1 + max(0, x)), NASRec's; `standardize`: (x - mean) / deviation; `identity`: x. Missing is 0.

    Attributes:
        name: which of the three.
        mean: of the present training values, for `standardize`.
        deviation: of the same; 1 where they do not vary.
    """

    name: TransformName
    mean: float = 0.0
    deviation: float = 1.0

    def apply(self, values: NDArray[np.float64]) -> NDArray[np.float32]:
        """`[N]` raw, NaN for missing, to `[N]`; infinite only where standardizing leaves float32."""
        if self.name == "log1p":
            found = np.log1p(np.maximum(values, 0.0))
        elif self.name == "standardize":
            found = (values - self.mean) / self.deviation
        else:
            found = values
        with np.errstate(over="ignore"):
            return np.where(np.isnan(values), 0.0, found).astype(np.float32)


def choose(wanted: TransformName | Literal["auto"], training: NDArray[np.float64]) -> tuple[Transform, str]:
    """The transform of one column and why.

    Args:
        wanted: a name, or `auto`: `log1p`, but `standardize` where log1p would flatten negative values.
        training: `[N]` raw values of the training rows, NaN for missing.
    """
    present = training[~np.isnan(training)]
    name: TransformName
    if wanted != "auto":
        name, reason = wanted, "asked for"
    elif len(present) and present.min() < 0:
        name, reason = "standardize", f"{int((present < 0).sum())} training values are negative"
    else:
        name, reason = "log1p", "no training value is negative"
    if name != "standardize" or not len(present):
        return Transform(name), reason
    deviation = float(present.std())
    return Transform(name, float(present.mean()), deviation if deviation > 0 else 1.0), reason
