"""The suite of search algorithms. No torch is needed by an algorithm; the suite uses none either."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar

import pytest

from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.architecture.value import Architecture
from nasrec_nni.errors import UserError
from nasrec_nni.plugins import registry
from nasrec_nni.profiling import Sizes, profile
from nasrec_nni.strategies.search import (
    CandidateFailed,
    CostLimits,
    Evaluation,
    RandomSearch,
    Record,
    Search,
    Window,
    replay,
    run_search,
    start_search,
)
from nasrec_nni.strategies.search.unique import listed
from nasrec_nni.testing.suite import Conformance, draws_nothing, require, suite

SPACE = SpaceDescription("nasrec-small", ("fc", "dp"), ("efc",), blocks=3)
TINY = SpaceDescription("nasrec-small", ("fc",), ("efc",), blocks=2, dense_widths=(16,), sparse_rows=(16,))
SIZES = Sizes(dense=5, fields=4)
IN_FLIGHT = (1, 3)


class SearchConformance(Conformance):
    """What a search algorithm must keep; made by `search_conformance`."""

    group: ClassVar[str] = "search"
    options: ClassVar[Mapping[str, Any]] = {}
    budget: ClassVar[int] = 24

    def start(self, seed: int = 1, space: SpaceDescription = SPACE, objectives: int = 1, **more: Any) -> Search:
        """As a run starts it."""
        budget = more.pop("budget", self.budget)
        return start_search(self.name, space, seed, self.options, budget, objectives=objectives, **more)

    def searched(self, in_flight: int = 1, records: Sequence[Record] = (), **more: Any) -> list[Record]:
        """All candidates of a search; one in five fails."""
        found = run_search(self.start(**more), _evaluate, budget=self.budget, in_flight=in_flight, records=records)
        return list(found)

    def test_the_sequence_is_a_function_of_the_seed(self) -> None:
        """However many are asked before the first is told; the global generators are neither read nor moved."""
        for in_flight in IN_FLIGHT:
            with draws_nothing(self.name):
                found = self.searched(in_flight)
            same = [record.id for record in self.searched(in_flight)] == [record.id for record in found]
            require(same, f"{self.name}: the same seed gives another sequence with {in_flight} in flight")
            require(len(found) == self.budget, f"{self.name}: {len(found)} candidates of {self.budget}")
            other = [record.id for record in self.searched(in_flight, seed=2)]
            require(other != [record.id for record in found], f"{self.name}: another seed gives the same sequence")

    def test_candidates_belong_to_the_space_and_none_comes_twice(self) -> None:
        for in_flight in IN_FLIGHT:
            found = self.searched(in_flight)
            for record in found:
                SPACE.check(record.architecture)
            repeated = len(found) - len({record.id for record in found})
            require(not repeated, f"{self.name}: {repeated} candidates of {len(found)} were proposed before")

    def test_stopped_anywhere_it_goes_on_the_same(self) -> None:
        """A fresh search that is told the records so far asks for what the stopped one would have asked for."""
        for in_flight in IN_FLIGHT:
            found = self.searched(in_flight)
            for stop in sorted({0, 1, self.budget // 2, self.budget - 1, self.budget}):
                window = Window(self.start(), in_flight, self.budget)
                replay(window, found[:stop])
                again = self.searched(in_flight, records=found[:stop])
                same = [record.id for record in again] == [record.id for record in found]
                require(same, f"{self.name}: stopped after {stop} of {self.budget}, it goes on differently")

    def test_failed_candidates_are_told_and_do_no_harm(self) -> None:
        """Even if all have failed."""

        def failing(architecture: Architecture) -> Evaluation:
            raise CandidateFailed("no luck")

        search = self.start()
        found = run_search(search, failing, budget=self.budget, max_failures_in_a_row=self.budget + 1)
        require(len(found) == self.budget, f"{self.name}: it stops when candidates fail")

    def test_a_small_space_is_exhausted_and_then_nothing_is_proposed(self) -> None:
        functions = {architecture.id for architecture in listed(TINY)}
        search = self.start(space=TINY, budget=len(functions) + 20)
        found = run_search(search, lambda _: Evaluation(1.0, 1), budget=len(functions) + 20, in_flight=3)
        ids = [record.id for record in found]
        require(len(set(ids)) == len(ids), f"{self.name}: a candidate of a small space comes twice")
        require(search.ask() is None, f"{self.name}: it still proposes when the space has nothing new")
        missed = len(functions - set(ids))
        require(not missed, f"{self.name}: {missed} of {len(functions)} functions of a small space are never proposed")

    def test_unknown_options_are_refused(self) -> None:
        with pytest.raises(UserError, match="surely_unknown"):
            start_search(self.name, SPACE, 0, {**self.options, "surely_unknown": 1}, self.budget)

    def test_limits_are_kept_where_it_takes_them(self) -> None:
        self._needs("excess")
        costs = sorted(profile(record.architecture, SIZES).live_macs for record in self.searched())
        limits = CostLimits({"max_macs": costs[len(costs) // 2]}, SIZES)
        for record in self.searched(excess=limits):
            require(limits(record.architecture) <= 0, f"{self.name}: candidate {record.number} breaks the limits")

    def test_earlier_results_are_not_repeated_where_it_takes_them(self) -> None:
        self._needs("earlier")
        earlier = run_search(RandomSearch(SPACE, 9), _evaluate, budget=25)
        found = self.searched(earlier=earlier)
        again = {record.id for record in found} & {record.id for record in earlier}
        require(not again, f"{self.name}: {len(again)} earlier results are proposed again")
        same = [record.id for record in self.searched(earlier=earlier)] == [record.id for record in found]
        require(same, f"{self.name}: the same earlier results give another sequence")

    def test_several_objectives_where_it_takes_them(self) -> None:
        search = self.start()
        if "values" not in inspect.signature(search.tell).parameters:
            pytest.skip(f"{self.name} takes one objective only; a search of several is refused")
        found = run_search(self.start(objectives=2), _both, budget=self.budget)
        require(len(found) == self.budget, f"{self.name}: {len(found)} candidates of {self.budget}")

    def _needs(self, argument: str) -> None:
        if argument not in inspect.signature(registry(self.group).load(self.name)).parameters:
            pytest.skip(f"{self.name} takes no `{argument}`; a search that needs it is refused")


def search_conformance(
    name: str, *, options: Mapping[str, Any] | None = None, budget: int = 24
) -> type[SearchConformance]:
    """The suite of one algorithm.

    Args:
        name: as registered in `nasrec_nni.search`.
        options: with which it does within the budget what sets it apart (a population smaller than the budget, say).
        budget: candidates of a search.
    """
    return suite(SearchConformance, name, options=dict(options or {}), budget=budget)


@lru_cache(maxsize=1024)
def _point(architecture: Architecture) -> tuple[int, float, int]:
    macs = profile(architecture, SIZES).live_macs
    number = int(architecture.id, 16)
    return number, number % 97 / 97 - math.log(macs), macs


def _evaluate(architecture: Architecture) -> Evaluation:
    """A loss that falls with width; one in five fails."""
    number, loss, macs = _point(architecture)
    if number % 5 == 0:
        raise CandidateFailed("no luck")
    return Evaluation(loss, macs)


def _both(architecture: Architecture) -> Evaluation:
    found = _evaluate(architecture)
    return Evaluation(found.value, found.live_macs, {}, (found.value, float(found.live_macs)))
