"""Batches straight from the arrays, addressed by (seed, epoch, step)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nasrec_nni.data.batch import Batch
from nasrec_nni.data.prepared import PreparedSet
from nasrec_nni.data.shuffle import Shuffle

WINDOW = 8192  # rows


class Batches:
    """All of `rows`, once an epoch.

    ```
    positions of the step ─ Shuffle ─► places in `rows` ─► row numbers ─ one gather an array ─► Batch
    ```
    Nothing is held but the mapped arrays: of `rows`, too, only what a batch needs is read.

    Args:
        prepared: the set.
        rows: `[n]` row numbers, mapped or in memory.
        batch: rows of a batch.
        seed: None for the order of `rows`, else a permutation by (seed, epoch).
        drop_last: leave out an incomplete last batch.
        pin: tensors in pinned memory, from which a GPU copies without making the CPU wait.
        part: (i, n) gives part i, from 0, of each batch cut into n; all parts in their order are the batch.

    Attributes:
        epoch: which one the next iteration gives.
        start: the step it begins with; set both to resume.
    """

    def __init__(
        self,
        prepared: PreparedSet,
        rows: NDArray[np.int64],
        batch: int,
        seed: int | None,
        drop_last: bool = False,
        pin: bool = False,
        part: tuple[int, int] = (0, 1),
    ) -> None:
        if batch < 1:
            raise ValueError(f"a batch needs at least one row, got {batch}")
        # views without numpy's memmap class, whose every slice costs a microsecond
        self._dense = np.asarray(prepared.dense)
        self._sparse = np.asarray(prepared.sparse)
        self._label = np.asarray(prepared.label)
        self._weight = None if prepared.weight is None else np.asarray(prepared.weight)
        self._rows = np.asarray(rows)
        self._batch = batch
        self._seed = seed
        self._drop_last = drop_last
        self._pin = pin
        self._part = part
        self._shuffle: tuple[int, Shuffle] | None = None
        self._steps = max(1, WINDOW // batch)  # whose order is computed together: a call costs as much as 2,000 rows
        self._window: tuple[tuple[int, int], NDArray[np.int64]] | None = None
        self.epoch = 0
        self.start = 0

    def __len__(self) -> int:
        whole, rest = divmod(len(self._rows), self._batch)
        return whole + (1 if rest and not self._drop_last else 0)

    def _chosen(self, epoch: int, step: int) -> NDArray[np.int64]:
        """Row numbers of a step."""
        first, last = step * self._batch, min((step + 1) * self._batch, len(self._rows))
        if self._seed is None:
            return self._rows[first:last]
        if self._shuffle is None or self._shuffle[0] != epoch:
            self._shuffle = epoch, Shuffle(len(self._rows), self._seed, epoch)
        window = step // self._steps
        begin = window * self._steps * self._batch
        if self._window is None or self._window[0] != (epoch, window):
            end = min(begin + self._steps * self._batch, len(self._rows))
            self._window = (epoch, window), self._rows.take(self._shuffle[1].at(np.arange(begin, end)))
        return self._window[1][first - begin : last - begin]

    def _own(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        number, parts = self._part
        return rows[len(rows) * number // parts : len(rows) * (number + 1) // parts]

    def batch(self, epoch: int, step: int) -> Batch:
        """The batch at an address, whatever was read before.

        Raises:
            IndexError: no such step.
        """
        if not 0 <= step < len(self):
            raise IndexError(f"step {step} of {len(self)}")
        rows = self._own(self._chosen(epoch, step))
        dense = self._dense.take(rows, axis=0) if self._dense.shape[1] else np.zeros((len(rows), 1), np.float32)
        return Batch(
            self._tensor(dense),
            self._tensor(self._sparse.take(rows, axis=0).astype(np.int64)),
            self._tensor(self._label.take(rows)),
            None if self._weight is None else self._tensor(self._weight.take(rows)),
        )

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        tensor = torch.from_numpy(array)
        return tensor.pin_memory() if self._pin else tensor

    def __iter__(self) -> Iterator[Batch]:
        for step in range(self.start, len(self)):
            yield self.batch(self.epoch, step)
        self.start = 0
        self.epoch += 1


def labels_of(prepared: PreparedSet, rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Labels and weights of some rows; no weights if all count as one."""
    weight = None if prepared.weight is None else np.asarray(prepared.weight).take(rows)
    return np.asarray(prepared.label).take(rows), weight
