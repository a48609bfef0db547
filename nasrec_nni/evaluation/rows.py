"""Which rows a search reads: seeded subsets, the same for every candidate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nasrec_nni.data.shuffle import Shuffle

# In place of an epoch's number, so that no subset is the beginning of an epoch that the supernet was trained in.
HEAD_STREAM, SCORE_STREAM, ORDER_STREAM, LOOK_STREAM = (2**32 + number for number in range(4))
LOOK_SHARE, LEAST_LOOK = 8, 1024  # an eighth of the scored rows is looked at first, and never so few that chance rules


def subset(rows: NDArray[np.int64], count: int | None, seed: int, number: int) -> NDArray[np.int64]:
    """A seeded subset in the order of the file, or all rows if there are not more.

    A smaller subset is part of every larger one: budgets differ in how many rows they read, not in which.

    Args:
        rows: `[n]` row numbers of a split.
        count: how many; None for all.
        seed: of the run.
        number: of the stream, so that two subsets of one seed have nothing to do with each other.
    """
    if count is None or count >= len(rows):
        return rows
    return rows[np.sort(Shuffle(len(rows), seed, number).at(np.arange(count)))]


def shuffled(rows: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """For steps that take rows as they come: a log may be sorted by time or label."""
    return rows[Shuffle(len(rows), seed, ORDER_STREAM).at(np.arange(len(rows)))]


def look_first(rows: NDArray[np.int64], seed: int) -> list[NDArray[np.int64]]:
    """A seeded part of the rows, then the others; all in one part if there are too few to look at some first."""
    count = max(LEAST_LOOK, len(rows) // LOOK_SHARE)
    if count >= len(rows):
        return [rows]
    first = np.zeros(len(rows), bool)
    first[subset(np.arange(len(rows)), count, seed, LOOK_STREAM)] = True
    return [rows[first], rows[~first]]
