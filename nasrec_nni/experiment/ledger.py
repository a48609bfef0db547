"""The search as several workers see it: what is to be handed out, what came back, when it is over. No NNI here.

window (asked, not told) ── next_tickets ──► trial ── absorb ──► candidates.jsonl, then the window is told
                                  ▲────────── lost ──────────┘
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from nasrec_nni.strategies.search import OVER_LIMIT, Record, Search, Ticket, Window, replay
from nasrec_nni.strategies.search.drive import FAILURES

DEATHS = 3  # of the worker that had a candidate in hand, before the candidate is given up


class Ledger:
    """Hands out each pending candidate once, takes each result once.

    Args:
        search: freshly started.
        in_flight: candidates asked before the first is told.
        budget: candidates in all.
        batch: most candidates of one hand-out.
        records: of `candidates.jsonl`, replayed.
        keep: writes a record to `candidates.jsonl`, durably.
        where: that file, named in errors.

    Attributes:
        records: all so far.
        stopped: why the search was given up, or None.
    """

    def __init__(
        self,
        search: Search,
        in_flight: int,
        budget: int,
        batch: int,
        records: Sequence[Record],
        keep: Callable[[Record], None],
        where: str = "candidates.jsonl",
    ) -> None:
        self._window = Window(search, in_flight, budget)
        replay(self._window, records, where)
        self.records = list(records)
        self._batch, self._keep = batch, keep
        self._out: dict[int, int] = {}  # candidate: the hand-out that has it
        self._hand_outs = 0
        self._deaths: Counter[int] = Counter()
        self._failures = self._empty = 0
        self.stopped: str | None = None

    @property
    def over(self) -> bool:
        """Nothing is left to do."""
        return self.stopped is not None or not self._window.pending

    def next_tickets(self) -> tuple[int, list[Ticket]] | None:
        """Number of this hand-out and its candidates; None if there is nothing to do just now."""
        if self.stopped is not None:
            return None
        free = [ticket for ticket in self._window.pending if ticket.number not in self._out][: self._batch]
        if not free:
            return None
        self._hand_outs += 1
        self._out.update((ticket.number, self._hand_outs) for ticket in free)
        return self._hand_outs, free

    def claim(self, tickets: Iterable[Ticket]) -> int:
        """A hand-out that someone else has made, for candidates that are pending and free."""
        self._hand_outs += 1
        pending = {ticket.number for ticket in self._window.pending} - set(self._out)
        self._out.update((t.number, self._hand_outs) for t in tickets if t.number in pending)
        return self._hand_outs

    def absorb(self, records: Iterable[Record]) -> int:
        """Take results; those of no pending candidate (duplicates, other searches) are ignored.

        Returns:
            How many were new.
        """
        new = 0
        for record in sorted(records, key=lambda record: record.number):
            waiting = {ticket.number: ticket.architecture.id for ticket in self._window.pending}
            if waiting.get(record.number) == record.id:
                self._take(record)
                new += 1
        if new:
            self._empty = 0
        return new

    def lost(self, hand_out: int, reason: str, blame: bool = True) -> None:
        """A trial has ended: what it had and did not finish is handed out again.

        Args:
            hand_out: its number.
            reason: how the trial ended, for the record of a candidate that is given up.
            blame: the candidate that was being scored may be why.
        """
        numbers = sorted(number for number, by in self._out.items() if by == hand_out)
        for number in numbers:
            del self._out[number]
        unfinished = [t for t in self._window.pending if t.number in numbers]
        if not unfinished:
            return
        self._empty += 1
        if self._empty >= DEATHS * 2 and self.stopped is None:
            self.stopped = f"{self._empty} trials in a row ended without a single result, the last one: {reason}"
        if not blame:
            return
        first = unfinished[0]  # candidates are scored in order, so it was this one's turn
        self._deaths[first.number] += 1
        if self._deaths[first.number] >= DEATHS:
            told = f"the worker that scored it ended {DEATHS} times, the last time: {reason}"
            self._take(Record(first.number, first.architecture.id, first.architecture, None, told))

    def all_lost(self) -> None:
        """No trial is at work any more, whatever was handed out: nobody is blamed."""
        self._out.clear()

    def stop(self, reason: str) -> None:
        """Give the search up."""
        if self.stopped is None:
            self.stopped = reason

    def _take(self, record: Record) -> None:
        self._keep(record)
        self.records.append(record)
        self._out.pop(record.number, None)
        self._window.take(record)
        if OVER_LIMIT not in record.facts:
            self._failures = 0 if record.failure is None else self._failures + 1
        if self._failures == FAILURES:
            self.stop(f"{FAILURES} candidates in a row failed, the last one with: {record.failure}")
