"""Candidates asked but not yet told: keeps the order of telling, whatever order results arrive in.

    ask k ──► [ 4  5  6 ] ──► workers ──► results in any order ──► tell 4, ask 7, tell 5, ask 8, …

So the sequence of candidates depends on `in_flight` but neither on workers nor on their speed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nasrec_nni.architecture.value import Architecture
from nasrec_nni.strategies.search.records import Record

if TYPE_CHECKING:
    from nasrec_nni.strategies.search.interface import Search


@dataclass(frozen=True)
class Ticket:
    """One asked candidate and its place in the order of asking, from 0."""

    number: int
    architecture: Architecture


@dataclass
class _Slot:
    ticket: Ticket
    done: bool = False
    value: float | None = None
    failure: str | None = None
    values: tuple[float, ...] | None = None


class Window:
    """The one place where a door asks and tells.

    Args:
        search: freshly started.
        in_flight: how many are asked before the first is told.
        budget: how many are asked at most; None for no bound.
    """

    def __init__(self, search: Search, in_flight: int = 1, budget: int | None = None) -> None:
        if in_flight < 1:
            raise ValueError("in_flight must be at least 1")
        self._search, self._in_flight, self._budget = search, in_flight, budget
        self._slots: dict[int, _Slot] = {}  # asked, not told; ascending
        self._asked = 0
        self.exhausted = False
        self._fill()

    @property
    def pending(self) -> list[Ticket]:
        """Asked and without a result, in the order of asking. Empty: the search is over."""
        return [slot.ticket for slot in self._slots.values() if not slot.done]

    def take(self, record: Record) -> None:
        """Take one result; see `finish`."""
        self.finish(record.number, record.value, record.failure, record.values)

    def finish(
        self,
        number: int,
        value: float | None,
        failure: str | None = None,
        values: tuple[float, ...] | None = None,
    ) -> None:
        """Take one result; tell what is next in order, asking one more after each.

        Args:
            number: of the ticket.
            value: lower is better, finite; None if it failed.
            failure: why it failed.
            values: all objectives of a search that has several.

        Raises:
            KeyError: no such ticket waits for a result.
        """
        slot = self._slots.get(number)
        if slot is None or slot.done:
            raise KeyError(number)
        slot.done, slot.value, slot.failure, slot.values = True, value, failure, values
        while self._slots and (first := next(iter(self._slots.values()))).done:
            del self._slots[first.ticket.number]
            told: tuple[Any, ...] = first.ticket.architecture, first.value, first.failure
            # an algorithm of one objective need not know the fourth argument
            self._search.tell(*told, *(() if first.values is None else (first.values,)))
            self._fill()

    def _fill(self) -> None:
        while len(self._slots) < self._in_flight and not self.exhausted and self._asked != self._budget:
            architecture = self._search.ask()
            if architecture is None:
                self.exhausted = True
                return
            self._slots[self._asked] = _Slot(Ticket(self._asked, architecture))
            self._asked += 1
