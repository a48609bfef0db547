"""Search in process, and the replay that continues a stopped one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nasrec_nni.architecture.value import Architecture
from nasrec_nni.errors import UserError
from nasrec_nni.strategies.search.interface import Search
from nasrec_nni.strategies.search.records import OVER_LIMIT, Evaluation, Record
from nasrec_nni.strategies.search.window import Ticket, Window

Evaluate = Callable[[Architecture], Evaluation]
FAILURES = 10  # in a row, after which a search stops, through every door


class CandidateFailed(Exception):
    """An evaluator gives up on this candidate, but not on the search.

    Args:
        reason: one sentence, kept in the record.
        facts: kept too. With `OVER_LIMIT` among them the failure is no fault, and is not counted as one.
    """

    def __init__(self, reason: str, facts: Mapping[str, Any] | None = None) -> None:
        self.reason, self.facts = reason, dict(facts or {})
        super().__init__(reason)


def run_search(
    search: Search,
    evaluate: Evaluate,
    *,
    budget: int | None = None,
    in_flight: int = 1,
    records: Sequence[Record] = (),
    on_result: Callable[[Record], None] = lambda record: None,
    max_failures_in_a_row: int = FAILURES,
    where: str = "candidates.jsonl",
) -> list[Record]:
    """Evaluate candidates one by one until the budget is spent or the space is exhausted.

    Args:
        search: freshly started; earlier records are replayed into it.
        evaluate: scores one architecture; raises `CandidateFailed` to have it recorded as failed.
        budget: candidates in all, those of `records` included.
        in_flight: candidates asked before the first is told; part of what defines the sequence.
        records: of the same search before it was stopped, in the order of the file.
        on_result: called with each new record before it is told; the place for a durable line.
        max_failures_in_a_row: new failures after which the search stops.
        where: file of `records`, named in errors.

    Returns:
        All records, the given ones first.

    Raises:
        UserError: `records` belong to another search, or too many candidates in a row failed.
    """
    window = Window(search, in_flight, budget)
    replay(window, records, where)
    found, failures = list(records), 0
    while pending := window.pending:
        record = _evaluated(pending[0], evaluate)
        on_result(record)
        found.append(record)
        window.take(record)
        if OVER_LIMIT not in record.facts:
            failures = 0 if record.failure is None else failures + 1
        if failures == max_failures_in_a_row:
            raise UserError(
                f"the search stops: {failures} candidates in a row failed, the last one with: {record.failure}",
                hint="Mend the cause and run the same command again. It goes on behind these: what was scored is kept, "
                "and candidates that have failed stay failed. To score them too, search into another run folder",
            )
    return found


def replay(window: Window, records: Sequence[Record], where: str = "candidates.jsonl") -> None:
    """Bring a fresh search to where the records end: ask, compare, tell.

    Results may stand in the order they arrived in, as long as the same `in_flight` made them.

    Args:
        window: around a freshly started search.
        records: line by line.
        where: their file, named in errors.

    Raises:
        UserError: a record is not what this search asks at that place.
    """
    for line, record in enumerate(records, 1):
        waiting = {ticket.number: ticket.architecture for ticket in window.pending}
        asked = waiting.get(record.number)
        if asked is None or asked.id != record.id:
            expected = f"candidate {record.number} is {asked.id}" if asked else f"one of the numbers {sorted(waiting)}"
            raise UserError(
                "the recorded candidate is not what this search asks here",
                value=f"candidate {record.number}, {record.id}",
                where=f"{where}:{line}",
                allowed=expected,
                hint="Seed, space, options, budget or in_flight changed: search into another run folder",
            )
        window.take(record)


def _evaluated(ticket: Ticket, evaluate: Evaluate) -> Record:
    architecture = ticket.architecture
    try:
        found = evaluate(architecture)
    except CandidateFailed as error:
        return Record(ticket.number, architecture.id, architecture, None, error.reason, facts=error.facts)
    values = None if found.values is None else tuple(map(float, found.values))
    if odd := [one for one in (found.value, *(values or ())) if not math.isfinite(one)]:
        return Record(ticket.number, architecture.id, architecture, None, f"the objective is {odd[0]}")
    value = float(found.value)
    return Record(ticket.number, architecture.id, architecture, value, None, found.live_macs, found.facts, values)
