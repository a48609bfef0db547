"""TensorBoard points of a search, written by the process that writes `candidates.jsonl`, whichever door it is.

A point stands at its candidate's number, and in that order, whatever the order of results: what TensorBoard shows of a
search does not depend on who worked. Written by tensorboard itself: torch's writer takes four CPU seconds to load.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from nasrec_nni.run_folder import RunFolder
from nasrec_nni.strategies.search import Record, best

LOG_LOSS, VALUE, BEST = "search/log_loss", "search/value", "search/best_value"


class Scalars:
    """Log loss and objective of every candidate that has them, and the best objective so far.

    Args:
        folder: of the run.
        before: records of an earlier attempt; its points beyond the first gap in their numbers are written anew.
    """

    def __init__(self, folder: RunFolder, before: Sequence[Record]) -> None:
        self._waiting = {record.number: record for record in before}
        self._next = 0
        self._best: float | None = None
        while record := self._waiting.pop(self._next, None):
            self._count(record)
        self._writer = EventFileWriter(str(folder.tensorboard / "search"))
        self._add(self._next, Event(session_log=SessionLog(status=SessionLog.START)))
        self._write()

    def __enter__(self) -> Scalars:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def take(self, record: Record) -> None:
        """Write it, and what waited for it; one with a lower number that is not there yet holds it back."""
        self._waiting[record.number] = record
        self._write()

    def _write(self) -> None:
        while record := self._waiting.pop(self._next, None):
            points = self._count(record)
            values = [Summary.Value(tag=tag, simple_value=value) for tag, value in points.items()]
            if values:
                self._add(record.number, Event(summary=Summary(value=values)))
        self._writer.flush()

    def _count(self, record: Record) -> dict[str, float]:
        self._next += 1
        if record.value is None:
            return {}
        if best([record], 1):
            self._best = record.value if self._best is None else min(self._best, record.value)
        points = {LOG_LOSS: record.facts.get("log_loss"), VALUE: record.value, BEST: self._best}
        return {tag: value for tag, value in points.items() if value is not None}

    def _add(self, step: int, event: Event) -> None:
        event.step, event.wall_time = step, time.time()
        self._writer.add_event(event)
