"""Counts of one column, of some rows or of all: made apart, added up in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasrec_nni.data.preparing.staging import Field
from nasrec_nni.data.split_names import SPLITS
from nasrec_nni.data.transforms import Moments
from nasrec_nni.errors import UserError

GROUPS = 4  # TRAIN, CLICKS, VAL, TEST of the vocabulary; one more for rows that no split has


@dataclass
class DenseTally:
    """What is known of a numeric column.

    Attributes:
        missing: rows without a value per split.
        negative: rows below 0 per split.
        moments: of the training rows.
        by_label: the same, of those without and with a click; only as long as a threshold might tell them apart.
        sample: present training values, every `stride`-th.
    """

    missing: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(SPLITS) + 1, np.int64))
    negative: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(SPLITS) + 1, np.int64))
    moments: Moments = field(default_factory=Moments)
    by_label: tuple[Moments, Moments] | None = field(default_factory=lambda: (Moments(), Moments()))
    sample: list[NDArray[np.float64]] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        values: NDArray[np.float64],
        parts: NDArray[np.int8],
        clicks: NDArray[np.bool_],
        by_label: bool,
        sampled: NDArray[np.bool_] | None,
        shift: float,
    ) -> DenseTally:
        """Of `[n]` rows.

        Args:
            values: NaN for missing.
            parts: of the rows.
            clicks: which have one.
            by_label: whether both labels are to be looked at.
            sampled: rows of the sample, None for no sample.
            shift: that the sums are about.
        """
        found = cls()
        absent = np.isnan(values)
        train = parts == 0
        if absent.any():
            found.missing += np.bincount(parts[absent], minlength=len(found.missing))
            train &= ~absent
        negative = values < 0
        if negative.any():
            found.negative += np.bincount(parts[negative], minlength=len(found.negative))
        found.moments = Moments.of(values[train], shift)
        found.by_label = None
        if by_label:
            found.by_label = (Moments.of(values[train & ~clicks]), Moments.of(values[train & clicks]))
        if sampled is not None:
            found.sample.append(values[train & sampled])
        return found

    def add(self, other: DenseTally) -> None:
        """Take the counts of more rows."""
        self.missing += other.missing
        self.negative += other.negative
        self.moments = self.moments.plus(other.moments)
        self.sample += other.sample
        if self.by_label is None or other.by_label is None:
            self.by_label = None
            return
        without, with_click = (one.plus(more) for one, more in zip(self.by_label, other.by_label, strict=True))
        apart = without.maximum < with_click.minimum or with_click.maximum < without.minimum
        self.by_label = (without, with_click) if apart or not without.count or not with_click.count else None

    @property
    def tells_label(self) -> bool:
        """A threshold on the number separates training rows with a click from those without."""
        return self.by_label is not None and min(one.count for one in self.by_label) > 1


@dataclass
class FieldTally:
    """What is known of a categorical column.

    Attributes:
        seen: `[codes, 4]` rows with each code by group.
        missing: `[4]` rows without a value.
        longest: most values of a cell.
        truncated: rows with more values than are kept.
    """

    seen: NDArray[Any]
    missing: NDArray[np.int64] = field(default_factory=lambda: np.zeros(GROUPS, np.int64))
    longest: int = 1
    truncated: int = 0

    @classmethod
    def of(cls, one: Field, rows: int) -> FieldTally:
        """Nothing seen yet of a log of so many rows."""
        try:
            return cls(np.zeros((len(one.book), GROUPS), np.uint32 if rows < 2**32 else np.uint64))
        except MemoryError:
            raise UserError(
                "there is not the memory to count the values of a column",
                value=f"{len(one.book)} table rows",
                where=f"column {one.name}",
                hint="Give fewer: --hash-rows",
            ) from None

    def add(self, other: FieldTally, places: NDArray[np.int32], unique: bool) -> None:
        """Take the counts of more rows.

        Args:
            other: counts by value of a chunk.
            places: codes of those values.
            unique: no code stands twice.
        """
        self.missing += other.missing
        self.longest = max(self.longest, other.longest)
        self.truncated += other.truncated
        if unique:
            self.seen[places] += other.seen
        else:
            np.add.at(self.seen, places, other.seen)


def field_tally(
    codes: NDArray[Any],
    cells: tuple[NDArray[np.int32], NDArray[np.int32]] | int,
    groups: NDArray[np.int64],
    length: int,
) -> tuple[FieldTally, NDArray[np.int32] | None]:
    """Counts of a chunk's rows by its values, and which values those are; None for each in turn."""
    size = cells if isinstance(cells, int) else len(cells[0]) - 1
    keys = codes.astype(np.int64)
    keys *= GROUPS + 1
    keys += groups
    table = np.bincount(keys, minlength=(GROUPS + 1) * (size + 1)).reshape(size + 1, GROUPS + 1)
    found = FieldTally(table[:size, :GROUPS].astype(np.uint32), table[size, :GROUPS].copy())
    if isinstance(cells, int):
        return found, None
    starts, values = cells
    lengths = np.diff(starts)
    cell = np.repeat(np.arange(size), lengths)
    kept = np.arange(len(values)) - starts[cell] < length
    kept &= _first_in_cell(cell, values, kept)
    found.missing += table[:size][lengths == 0, :GROUPS].sum(0)
    found.longest = int(lengths.max(initial=1))
    found.truncated = int(table[:size][lengths > length].sum())
    found.seen = found.seen[cell[kept]]
    return found, values[kept]


def _first_in_cell(cell: NDArray[np.int64], values: NDArray[np.int32], kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """`[v]` whether a kept value stands in its cell for the first time: a row counts once for each value."""
    pairs = cell * (int(values.max(initial=0)) + 1) + values
    found = np.zeros(len(pairs), bool)
    places = np.flatnonzero(kept)
    found[places[np.unique(pairs[places], return_index=True)[1]]] = True
    return found
