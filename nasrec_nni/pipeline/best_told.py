"""Whom a candidate is compared with while it is scored: the best of those told when it was asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nasrec_nni.strategies.search import Record, best

if TYPE_CHECKING:
    from nasrec_nni.evaluation.evaluator import Evaluator, Score


class BestTold:
    """So the comparison depends on seed and `in_flight` alone, not on what happens to be finished.

    Args:
        evaluator: of the search; scores a candidate again whose losses are gone, after a stop.
        records: so far; the caller appends to it.
        in_flight: candidates asked before the first is told.
    """

    def __init__(self, evaluator: Evaluator, records: Sequence[Record], in_flight: int) -> None:
        self._evaluator, self._records, self._in_flight = evaluator, records, in_flight
        self._scores: dict[str, Score] = {}

    def next_number(self) -> int:
        """The candidate that a search in process scores next: the first without a record."""
        done = {record.number for record in self._records}
        return next(number for number in range(len(done) + 1) if number not in done)

    def keep(self, identity: str, score: Score) -> None:
        """The losses of a candidate that may become the best."""
        self._scores[identity] = score

    def score(self, number: int) -> Score | None:
        """All its losses; None before the first success was told."""
        told = number - self._in_flight
        found = best((record for record in self._records if record.number <= told), 1)
        if not found:
            return None
        identity = found[0].id
        if identity not in self._scores:
            self._scores[identity] = self._evaluator.evaluate(found[0].architecture)
        may = {identity} | {record.id for record in self._records if record.number > told}
        self._scores = {key: score for key, score in self._scores.items() if key in may}
        return self._scores[identity]
