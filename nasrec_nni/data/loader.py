"""Batches straight from the arrays, addressed by (seed, epoch, step)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from nasrec_nni.data.batch import Batch
from nasrec_nni.data.prepared import PreparedSet


class Batches:
    """All of `rows`, once an epoch.

    Args:
        prepared: the set.
        rows: `[n]` row numbers.
        batch: rows of a batch.
        seed: None for the order of `rows`, else a permutation by (seed, epoch).
        drop_last: leave out an incomplete last batch.

    Attributes:
        epoch: which one the next iteration gives.
        start: the step it begins with; set both to resume.
    """

    def __init__(
        self, prepared: PreparedSet, rows: NDArray[np.int64], batch: int, seed: int | None, drop_last: bool = False
    ) -> None:
        if batch < 1:
            raise ValueError(f"a batch needs at least one row, got {batch}")
        self._dense = np.asarray(prepared.dense)
        self._sparse = np.asarray(prepared.sparse)
        self._label = np.asarray(prepared.label)
        self._rows = rows
        self._batch = batch
        self._seed = seed
        self._drop_last = drop_last
        self._order: tuple[int, NDArray[np.int64]] | None = None
        self.epoch = 0
        self.start = 0

    def __len__(self) -> int:
        whole, rest = divmod(len(self._rows), self._batch)
        return whole + (1 if rest and not self._drop_last else 0)

    def _ordered(self, epoch: int) -> NDArray[np.int64]:
        if self._seed is None:
            return self._rows
        if self._order is None or self._order[0] != epoch:
            order = np.random.default_rng([self._seed, epoch]).permutation(len(self._rows))
            self._order = (epoch, self._rows[order])
        return self._order[1]

    def batch(self, epoch: int, step: int) -> Batch:
        """The batch at an address, whatever was read before.

        Raises:
            IndexError: no such step.
        """
        if not 0 <= step < len(self):
            raise IndexError(f"step {step} of {len(self)}")
        rows = self._ordered(epoch)[step * self._batch : (step + 1) * self._batch]
        dense = self._dense.take(rows, axis=0) if self._dense.shape[1] else np.zeros((len(rows), 1), np.float32)
        return Batch(
            torch.from_numpy(dense),
            torch.from_numpy(self._sparse.take(rows, axis=0)).long(),
            torch.from_numpy(self._label.take(rows)),
        )

    def __iter__(self) -> Iterator[Batch]:
        for step in range(self.start, len(self)):
            yield self.batch(self.epoch, step)
        self.start = 0
        self.epoch += 1
