"""How far validation rows lie from training rows, one figure a column."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

LOOK = 200_000  # rows of the log that histograms are made from
BINS = 20
GROUPS = 20  # most frequent values that count for themselves
FLOOR = 1e-4  # share that stands for none at all


def stability_index(train: ArrayLike, val: ArrayLike) -> float | None:
    """Population stability index Σ (v - t) ln(v / t) of two vectors of counts; None if one of them is empty."""
    before, after = np.asarray(train, np.float64), np.asarray(val, np.float64)
    if not before.sum() or not after.sum():
        return None
    t, v = (np.maximum(counts / counts.sum(), FLOOR) for counts in (before, after))
    return float(np.sum((v - t) * np.log(v / t)))


def of_values(train: NDArray[Any], val: NDArray[Any], missing: tuple[int, int]) -> float | None:
    """Drift of a categorical column: its most frequent values, all others together, the missing ones.

    Args:
        train: `[V]` rows of each code.
        val: the same of validation.
        missing: rows without a value in both.
    """
    top = np.argsort(-train.astype(np.int64), kind="stable")[:GROUPS]
    counts = [
        [*part[top].tolist(), int(part.sum(dtype=np.int64) - part[top].sum(dtype=np.int64)), absent]
        for part, absent in zip((train, val), missing, strict=True)
    ]
    return stability_index(*counts)


class Sample:
    """Stored numbers of rows spread evenly over the log.

    Args:
        rows: of the log.
    """

    def __init__(self, rows: int) -> None:
        self._stride = max(1, rows // LOOK)
        self._pieces: tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]] = ([], [])

    def add(self, start: int, dense: NDArray[np.float32], parts: NDArray[np.int8]) -> None:
        """Rows `[n, D]` from row `start` on, and their parts."""
        chosen = slice(-start % self._stride, None, self._stride)
        for part, pieces in enumerate(self._pieces):
            pieces.append(dense[chosen][parts[chosen] == part])

    def histograms(self) -> list[tuple[dict[str, list[float]] | None, float | None]]:
        """Per numeric column the histogram of training and validation rows, and the drift between them."""
        train, val = (np.concatenate(pieces) for pieces in self._pieces)
        return [_histogram(train[:, index], val[:, index]) for index in range(train.shape[1])]


def _histogram(
    train: NDArray[np.float32], val: NDArray[np.float32]
) -> tuple[dict[str, list[float]] | None, float | None]:
    low, high = (float(train.min()), float(train.max())) if len(train) else (0.0, 0.0)
    if low == high:
        return None, None
    edges = np.linspace(low, high, BINS + 1)
    clipped = np.clip(val, low, high)  # what lies outside counts for the outermost bin
    counts = [np.histogram(part.astype(np.float64), edges)[0] for part in (train, clipped)]
    shares = [np.round(found / max(1, found.sum()), 6).tolist() for found in counts]
    drift = stability_index(*counts)
    return {"edges": [float(edge) for edge in edges], "train": shares[0], "val": shares[1]}, drift
