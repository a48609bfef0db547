"""Second look at the staged rows: how often every value and number occurs in each split."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nasrec_nni.data.splits import LEFT_OUT, SPLITS, Split
from nasrec_nni.data.staging import Field, Staged, StagedChunk
from nasrec_nni.data.transforms import SAMPLE, Moments
from nasrec_nni.data.vocabulary import CLICKS, TEST, TRAIN, VAL

GROUPS = 4  # TRAIN, CLICKS, VAL, TEST of the vocabulary; one more for rows that no split has
_GROUP = np.zeros((LEFT_OUT + 1, 2), np.int64)  # by part and label
_GROUP[0] = TRAIN, CLICKS
_GROUP[1], _GROUP[2], _GROUP[LEFT_OUT] = VAL, TEST, GROUPS


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

    def add(self, values: NDArray[np.float64], parts: NDArray[np.int8], clicks: NDArray[np.bool_]) -> None:
        """`[n]` more rows, their parts, and which have a click."""
        absent = np.isnan(values)
        train = parts == 0
        if absent.any():
            self.missing += np.bincount(parts[absent], minlength=len(self.missing))
            train &= ~absent
        negative = values < 0
        if negative.any():
            self.negative += np.bincount(parts[negative], minlength=len(self.negative))
        self.moments = self.moments.plus(values[train])
        if self.by_label is not None:
            without, with_click = self.by_label
            without, with_click = without.plus(values[train & ~clicks]), with_click.plus(values[train & clicks])
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
        seen: `[codes, 4]` rows of each code by group; for a multi-valued column occurrences.
        missing: `[4]` rows without a value.
        longest: most values of a cell.
        truncated: rows with more values than are kept.
    """

    seen: NDArray[np.uint32]
    missing: NDArray[np.int64] = field(default_factory=lambda: np.zeros(GROUPS, np.int64))
    longest: int = 1
    truncated: int = 0

    @classmethod
    def of(cls, one: Field) -> FieldTally:
        return cls(np.zeros((len(one.book), GROUPS), np.uint32))

    def add(
        self,
        one: Field,
        index: int,
        codes: NDArray[np.int64],
        cells: tuple[NDArray[np.int32], NDArray[np.int32]] | int,
        groups: NDArray[np.int64],
        length: int,
    ) -> None:
        """The rows of chunk `index`."""
        size = cells if isinstance(cells, int) else len(cells[0]) - 1
        keys = codes.astype(np.int64)
        keys *= GROUPS + 1
        keys += groups
        table = np.bincount(keys, minlength=(GROUPS + 1) * (size + 1)).reshape(size + 1, GROUPS + 1)
        self.missing += table[size, :GROUPS]
        found = table[:size, :GROUPS].astype(np.uint32)
        places = one.book.codes(index)
        if not isinstance(cells, int):
            starts, values = cells
            lengths = np.diff(starts)
            self.missing += table[:size][lengths == 0, :GROUPS].sum(0)
            self.longest = max(self.longest, int(lengths.max(initial=0)))
            self.truncated += int(table[:size][lengths > length].sum())
            cell = np.repeat(np.arange(size), lengths)
            kept = np.arange(len(values)) - starts[cell] < length
            places, found = places[values[kept]], found[cell[kept]]
        if one.book.values is not None and isinstance(cells, int):
            self.seen[places] += found  # each value stands once in the chunk
        else:
            np.add.at(self.seen, places, found)


@dataclass
class Tally:
    """All counts.

    Attributes:
        rows: per split, and at last those left out.
        clicks: the same.
        dense: per numeric column.
        fields: per categorical one.
        best: per split, sum of the entropies of planted probabilities; None where unknown.
    """

    rows: NDArray[np.int64]
    clicks: NDArray[np.int64]
    dense: list[DenseTally]
    fields: list[FieldTally]
    best: NDArray[np.float64] | None


def count(staged: Staged, split: Split, lengths: list[int], sampled: set[str]) -> Tally:
    """Count everything that vocabularies, transforms and the report need.

    Args:
        staged: the rows.
        split: their parts.
        lengths: per field, most values of a cell that are kept.
        sampled: numeric columns whose training values are wanted.
    """
    kinds = len(SPLITS) + 1
    best = np.zeros(kinds) if "probability" in staged.has else None
    tally = Tally(
        np.zeros(kinds, np.int64),
        np.zeros(kinds, np.int64),
        [DenseTally() for _ in staged.dense],
        [FieldTally.of(one) for one in staged.fields],
        best,
    )
    stride = max(1, staged.rows // SAMPLE)
    for index, start, chunk in staged.chunks("count"):
        parts = split.of(start, chunk)
        _count_chunk(tally, staged, index, chunk, parts, lengths)
        for name in sampled:
            column = staged.dense.index(name)
            values = chunk.dense[column][(parts == 0) & ((np.arange(start, start + len(parts)) % stride) == 0)]
            tally.dense[column].sample.append(values[~np.isnan(values)])
    return tally


def _count_chunk(
    tally: Tally, staged: Staged, index: int, chunk: StagedChunk, parts: NDArray[np.int8], lengths: list[int]
) -> None:
    kinds = len(SPLITS) + 1
    tally.rows += np.bincount(parts, minlength=kinds)
    clicks = chunk.label.astype(bool)
    tally.clicks += np.bincount(parts[clicks], minlength=kinds)
    groups = _GROUP[parts, chunk.label]
    for dense, values in zip(tally.dense, chunk.dense, strict=True):
        dense.add(values, parts, clicks)
    for one, found, codes, cells, length in zip(
        staged.fields, tally.fields, chunk.codes, chunk.cells, lengths, strict=True
    ):
        found.add(one, index, codes, cells, groups, length)
    if tally.best is not None:
        from scipy.special import entr

        p = np.asarray(chunk.probability)
        tally.best += np.bincount(parts, entr(p) + entr(1 - p), minlength=kinds)
