"""Second look at the staged rows: how often every value and number occurs in each split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasrec_nni.data.preparing.splits import Split
from nasrec_nni.data.preparing.staging import Staged, StagedChunk
from nasrec_nni.data.preparing.tallies import GROUPS, DenseTally, FieldTally, field_tally
from nasrec_nni.data.preparing.vocabulary import CLICKS, TEST, TRAIN, VAL
from nasrec_nni.data.split_names import LEFT_OUT, SPLITS
from nasrec_nni.data.transforms import SAMPLE

_GROUP = np.zeros((LEFT_OUT + 1, 2), np.int64)  # by part and label
_GROUP[0] = TRAIN, CLICKS
_GROUP[1], _GROUP[2], _GROUP[LEFT_OUT] = VAL, TEST, GROUPS


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
    tally = Tally(
        np.zeros(kinds, np.int64),
        np.zeros(kinds, np.int64),
        [DenseTally() for _ in staged.dense],
        [FieldTally.of(one, staged.rows) for one in staged.fields],
        np.zeros(kinds) if "probability" in staged.has else None,
    )
    stride = max(1, staged.rows // SAMPLE)

    def work(index: int, start: int, chunk: StagedChunk) -> tuple[Any, ...]:
        parts = split.of(start, chunk)
        clicks = chunk.label.astype(bool)
        spread = np.arange(start, start + len(parts)) % stride == 0 if sampled else None
        dense = [
            DenseTally.of(
                values,
                parts,
                clicks,
                known.by_label is not None,
                spread if name in sampled else None,
                staged.first.get(name, 0.0),
            )
            for name, values, known in zip(staged.dense, chunk.dense, tally.dense, strict=True)
        ]
        groups = _GROUP[parts, chunk.label]
        fields = []
        for one, codes, cells, length in zip(staged.fields, chunk.codes, chunk.cells, lengths, strict=True):
            found, values = field_tally(codes, cells, groups, length)
            places = one.book.codes(index)
            unique = values is None and one.book.values is not None
            fields.append((found, places if values is None else places[values], unique))
        rows = np.bincount(parts, minlength=kinds), np.bincount(parts[clicks], minlength=kinds)
        return rows, dense, fields, _entropy(chunk, parts)

    for (rows, clicked), dense, fields, best in staged.each(work, "count"):
        tally.rows += rows
        tally.clicks += clicked
        for known, more in zip(tally.dense, dense, strict=True):
            known.add(more)
        for seen, found in zip(tally.fields, fields, strict=True):
            seen.add(*found)
        if tally.best is not None:
            tally.best += best
    return tally


def _entropy(chunk: StagedChunk, parts: NDArray[np.int8]) -> NDArray[np.float64] | None:
    """Sum of the entropies of planted probabilities per part."""
    if chunk.probability is None:
        return None
    from scipy.special import entr

    p = chunk.probability
    return np.bincount(parts, entr(p) + entr(1 - p), minlength=len(SPLITS) + 1).astype(np.float64)
