"""Batches addressed by (epoch, step), starting where a checkpoint says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from nasrec_nni.data.batch import Batch


class Addressed(Protocol):
    """What a loader reads: `nasrec_nni.data.loader.Batches` is one."""

    def __len__(self) -> int: ...

    def batch(self, epoch: int, step: int) -> Batch: ...


class ResumableLoader:
    """Each `iter` walks one epoch of the source, the first from `start` on.

    Lightning's own resume goes on counting from the checkpoint but reads the loader from its beginning; here
    `CheckpointKeeper` sets `epoch` and `start`, and checks every batch's address against Lightning's counters.

    Attributes:
        epoch: that the next `iter` walks.
        start: its first step.
        at: (epoch, step) of the batch handed out last.
    """

    def __init__(self, source: Addressed) -> None:
        self.source = source
        self.epoch = 0
        self.start = 0
        self.at = (-1, -1)

    def __len__(self) -> int:
        """Steps of a whole epoch."""
        return len(self.source)

    def __iter__(self) -> Iterator[Batch]:
        # a generator, so the position is read at the first batch: Lightning makes iterators that it never reads
        epoch, start = self.epoch, self.start
        self.epoch, self.start = epoch + 1, 0
        for step in range(start, len(self.source)):
            self.at = (epoch, step)
            yield self.source.batch(epoch, step)
