"""Several objectives at once, lower is better in each: dominance, fronts, crowding, hypervolume.

Source: Deb et al., NSGA-II (IEEE TEC 2002). Ours: equal points do not dominate each other, and ties keep the given
order, so that everything here is a function of its arguments.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Values = Sequence[Sequence[float]] | NDArray[np.float64]


def dominance(values: Values) -> NDArray[np.bool_]:
    """`[n, n]`: whether row i is nowhere worse than row j and somewhere better."""
    table = np.asarray(values, np.float64)
    no_worse = np.ones((len(table), len(table)), np.bool_)
    better = np.zeros_like(no_worse)
    for column in table.T:
        no_worse &= column[:, None] <= column[None, :]
        better |= column[:, None] < column[None, :]
    return no_worse & better


def ranks(values: Values) -> NDArray[np.int64]:
    """`[n]`, the front each point is on: 0 for those that none dominates, 1 for those that only front 0 does, …"""
    found = np.full(len(values), -1, np.int64)
    if not len(values):
        return found
    over = dominance(values)
    above = over.sum(axis=0)  # how many dominate it, of those not ranked yet
    rank = 0
    while (front := (above == 0) & (found < 0)).any():
        found[front] = rank
        above -= over[front].sum(axis=0)
        rank += 1
    return found


def crowding(values: Values) -> NDArray[np.float64]:
    """`[n]`, how far the neighbours of each point of one front are apart: infinite at the ends of each objective.

    Summed over objectives, each in units of its spread over the front.
    """
    found = np.zeros(len(values))
    for column in np.asarray(values, np.float64).T if len(values) else ():
        order = np.argsort(column, kind="stable")
        spread = column[order[-1]] - column[order[0]]
        if spread > 0:
            found[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / spread
            found[order[[0, -1]]] = np.inf
    return found


def by_merit(values: Values) -> list[int]:
    """Row numbers, best first: by front, then the least crowded within it, then as given."""
    rank, room = ranks(values), np.zeros(len(values))
    table = np.asarray(values, np.float64)
    for front in np.unique(rank):
        rows = np.flatnonzero(rank == front)
        room[rows] = crowding(table[rows])
    return sorted(range(len(values)), key=lambda row: (int(rank[row]), -float(room[row]), row))


def hypervolume(values: Values, reference: Sequence[float]) -> float:
    """The exact area that points of two objectives dominate, as far as a reference point.

    Args:
        values: any points; those that are not better than the reference in both count for nothing.
        reference: worse than whatever is to count.
    """
    right, top = reference
    area, lowest = 0.0, float(top)
    for first, second in sorted((float(one), float(other)) for one, other in values):
        if first < right and second < lowest:
            area += (right - first) * (lowest - second)
            lowest = second
    return area
