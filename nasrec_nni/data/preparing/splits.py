"""Named rules that put every row into train, val or test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasrec_nni.data.preparing.folds import stratified_folds
from nasrec_nni.data.preparing.options import PrepareOptions
from nasrec_nni.data.preparing.staging import Staged, StagedChunk
from nasrec_nni.data.split_names import LEFT_OUT
from nasrec_nni.errors import UserError

Rows = NDArray[np.int64]
Parts = NDArray[np.int8]
NASREC_FOLDS, NASREC_SEED = 10, 2018
NEGATIVES_STREAM = np.uint64(0x6E65676174697665)
CUTS = (0.8, 0.9)


@dataclass
class Split:
    """The part of every row, a byte each, or none where it can be computed.

    Attributes:
        name: the rule.
        rows: `N`.
        parts: `[N]` index into `SPLITS`, or `LEFT_OUT`; None: by the chunk (`given`), its times, or the row number.
        order: `[N]` row numbers, where a rule keeps an order of its own.
        cuts: times at which val and test begin, for `by_time`.
        negative_rate: share of training rows without a click that stay.
        seed: draws which.
    """

    name: str
    rows: int
    parts: Parts | None = None
    order: Rows | None = None
    cuts: tuple[float, float] | None = None
    negative_rate: float = 1.0
    seed: int = 0

    def of(self, start: int, chunk: StagedChunk) -> Parts:
        """`[n]` parts of the rows of a chunk that begins at row `start`."""
        size = len(chunk.label)
        if self.parts is not None:
            found = self.parts[start : start + size]
        elif self.cuts is not None:
            found = np.searchsorted(self.cuts, np.asarray(chunk.time), "right").astype(np.int8)
        elif chunk.part is not None:
            found = chunk.part
        else:
            found = np.searchsorted(_cuts(self.rows), np.arange(start, start + size), "right").astype(np.int8)
        if self.negative_rate < 1.0:
            drawn = uniform(np.arange(start, start + size, dtype=np.uint64), self.seed) >= self.negative_rate
            found = np.where((found == 0) & (chunk.label == 0) & drawn, np.int8(LEFT_OUT), found)
        return found


def uniform(rows: NDArray[np.uint64], seed: int) -> NDArray[np.float64]:
    """`[n]` numbers in 0..1, each a function of seed and row number alone (the finaliser of SplitMix64)."""
    with np.errstate(over="ignore"):
        mixed = (rows + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) ^ (np.uint64(seed) + NEGATIVES_STREAM)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed = mixed ^ (mixed >> np.uint64(31))
    found: NDArray[np.float64] = (mixed >> np.uint64(11)) * 2.0**-53
    return found


def _cuts(rows: int) -> list[int]:
    return [int(cut * rows) for cut in CUTS]


def make_split(name: str, staged: Staged, settings: PrepareOptions) -> Split:
    """The rule applied to a log.

    Args:
        name: one of `SplitName`.
        staged: rows, labels, times and parts of the log.
        settings: seed, folds, slip, negatives.

    Raises:
        UserError: the rule does not fit the log.
    """
    seed = settings.seed or 0
    found = Split(name, staged.rows, negative_rate=settings.negatives or 1.0, seed=seed)
    if name in ("random", "permutation"):
        order = np.random.default_rng(seed).permutation(staged.rows)
        found.parts = _by_place(order)
        found.order = order if name == "permutation" else None
    elif name == "nasrec":
        folds = _folds(name, staged, NASREC_FOLDS, NASREC_SEED if settings.seed is None else seed)
        if settings.first_line_slip:  # row r lies in the fold of row r - 1; the first row was never written
            folds = np.concatenate([np.array([-1], np.int8), folds[:-1]])
        found.parts = np.select([folds < 0, folds < 8, folds == 8], [LEFT_OUT, 0, 1], 2).astype(np.int8)
    elif name == "k_fold":
        folds = _folds(name, staged, settings.folds, seed)
        val = (settings.fold + 1) % settings.folds
        found.parts = np.select([folds == settings.fold, folds == val], [2, 1], 0).astype(np.int8)
    elif name == "by_time":
        found.cuts = time_cuts(staged.column("time"))
    return found


def _by_place(order: Rows) -> Parts:
    parts = np.zeros(len(order), np.int8)
    first, second = _cuts(len(order))
    parts[order[first:second]] = 1
    parts[order[second:]] = 2
    return parts


def _folds(name: str, staged: Staged, folds: int, seed: int) -> Parts:
    others = staged.rows - staged.clicks
    if min(staged.clicks, others) < folds:
        raise UserError(
            f"split {name!r} needs {folds} rows of each label",
            value=f"{staged.clicks} clicks, {others} others",
            hint="Use --split random",
        )
    return stratified_folds(staged.column("label"), folds, seed)


def time_cuts(times: NDArray[np.float64]) -> tuple[float, float]:
    """Moments at which validation and test begin: 80 % and 90 % of the rows lie before, or fewer, never a part of
    the rows of one moment.

    Args:
        times: `[N]`; their order is lost.

    Raises:
        UserError: a split would have no row.
    """
    first, second = _cuts(len(times))
    times.partition((first, second))
    val, test = float(times[first]), float(times[second])
    if not (np.count_nonzero(times < val) and val < test):
        raise UserError(
            "split 'by_time' leaves a split without rows, since rows of one moment stay together",
            value=f"{len(np.unique(times))} different times among {len(times)} rows",
            where="split",
            hint="Give a finer time column, or use --split random",
        )
    return val, test


def refuse_empty(name: str, sizes: dict[str, int], rows: int) -> None:
    """Raises UserError for a split without a row."""
    for split, size in sizes.items():
        if not size:
            raise UserError(
                f"split {name!r} leaves no row for {split}",
                value=f"{rows} rows in all",
                hint="Give more rows, or name the rows of each split with --split given",
            )
