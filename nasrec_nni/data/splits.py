"""Named rules that put every row into train, val or test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nasrec_nni.errors import UserError

Rows = NDArray[np.int64]
SplitName = Literal["random", "nasrec", "permutation", "in_order", "given"]
SPLITS = ("train", "val", "test")
FOLDS = 10
NASREC_SEED = 2018


def _cut(order: Rows) -> list[Rows]:
    first, second = int(0.8 * len(order)), int(0.9 * len(order))
    return [order[:first], order[first:second], order[second:]]


def permutation(labels: NDArray[np.float32], seed: int | None) -> list[Rows]:
    """80/10/10 of numpy's seeded permutation; the rows stay in its order (the usual MovieLens rule)."""
    return _cut(np.random.default_rng(seed or 0).permutation(len(labels)))


def random(labels: NDArray[np.float32], seed: int | None) -> list[Rows]:
    """80/10/10 by a seeded permutation; rows of a split in file order."""
    return [np.sort(part) for part in permutation(labels, seed)]


def in_order(labels: NDArray[np.float32], seed: int | None) -> list[Rows]:
    """The first 80 % of the file, the next 10 %, the last 10 %."""
    return _cut(np.arange(len(labels)))


def nasrec(labels: NDArray[np.float32], seed: int | None) -> list[Rows]:
    """Ten stratified folds: 0 to 7 train, 8 val, 9 test, each in file order.

    Source: NASRec, authors' implementation (the "AutoCTR split", seed 2018).

    Raises:
        UserError: a class has fewer rows than there are folds.
    """
    from sklearn.model_selection import StratifiedKFold

    clicks = int(labels.sum())
    if min(clicks, len(labels) - clicks) < FOLDS:
        raise UserError(
            f"split 'nasrec' needs {FOLDS} rows of each label",
            value=f"{clicks} clicks, {len(labels) - clicks} others",
            hint="Use --split random",
        )
    folds = StratifiedKFold(n_splits=FOLDS, shuffle=True, random_state=NASREC_SEED if seed is None else seed)
    parts = [rows for _, rows in folds.split(np.zeros(len(labels)), labels)]
    return [np.sort(np.concatenate(parts[:8])), parts[8], parts[9]]


BY_LABEL: dict[str, Callable[[NDArray[np.float32], int | None], list[Rows]]] = {
    "random": random,
    "nasrec": nasrec,
    "permutation": permutation,
    "in_order": in_order,
}


def split_rows(name: str, labels: NDArray[np.float32], parts: NDArray[np.int8], seed: int | None) -> dict[str, Rows]:
    """`[n]` int64 row numbers of each split.

    Args:
        name: the rule.
        labels: `[N]` 0 or 1.
        parts: `[N]` index into `SPLITS` as the log says it; read by `given` only.
        seed: None for the rule's own.

    Raises:
        UserError: a split has no row.
    """
    if name == "given":
        found = [np.flatnonzero(parts == index) for index in range(len(SPLITS))]
    else:
        found = BY_LABEL[name](labels, seed)
    for split, rows in zip(SPLITS, found, strict=True):
        if not len(rows):
            raise UserError(
                f"split {name!r} leaves no row for {split}",
                value=f"{len(labels)} rows in all",
                hint="Give more rows, or name the rows of each split with --split given",
            )
    return {split: rows.astype(np.int64) for split, rows in zip(SPLITS, found, strict=True)}
