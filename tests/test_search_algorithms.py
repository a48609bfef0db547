"""What holds for every algorithm of ours: sequence, replay, limits, earlier results, failures, small spaces."""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasrec_nni.architecture.draw import random_architecture, stream
from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.architecture.value import Architecture
from nasrec_nni.errors import UserError
from nasrec_nni.plugins import registry
from nasrec_nni.profiling import Sizes, profile
from nasrec_nni.strategies.search import (
    OVER_LIMIT,
    CandidateFailed,
    CostLimits,
    Evaluation,
    Nsga2,
    PredictorSearch,
    RandomSearch,
    Record,
    Search,
    Window,
    front,
    replay,
    run_search,
    start_search,
)
from nasrec_nni.strategies.search.encoding import encode
from nasrec_nni.strategies.search.offspring import crossed
from nasrec_nni.strategies.search.pareto import hypervolume, ranks
from nasrec_nni.strategies.search.unique import listed

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from known_front import REFERENCE, KnownFront

SPACE = SpaceDescription("nasrec-small", ("fc", "dp"), ("efc",), blocks=3)
TINY = SpaceDescription("tiny", ("fc",), ("efc",), blocks=2, dense_widths=(16,), sparse_rows=(16,))
ONE = SpaceDescription("one", ("fc",), ("efc",), blocks=1, dense_widths=(16,), sparse_rows=(16,))
SIZES = Sizes(dense=5, fields=4)
OPTIONS: dict[str, dict[str, Any]] = {
    "random": {},
    "regularized-evolution": {"population": 8, "sample": 4},
    "nsga2": {"population": 8},
    "predictor": {"first": 6, "refit_every": 8, "pool": 16, "trees": 5},
}
NAMES = list(OPTIONS)
BUDGET = 24


def start(name: str, seed: int = 1, objectives: int = 2, budget: int = BUDGET, **more: Any) -> Search:
    space = more.pop("space", SPACE)
    return start_search(name, space, seed, OPTIONS[name], budget, objectives=objectives, **more)


def evaluate(architecture: Architecture) -> Evaluation:
    """A loss that falls with width, and the live MACs; one in five fails."""
    number = int(architecture.id, 16)
    if number % 5 == 0:
        raise CandidateFailed("no luck")
    macs = profile(architecture, SIZES).live_macs
    loss = number % 97 / 97 - math.log(macs)
    return Evaluation(loss, macs, {}, (loss, float(macs)))


def single(architecture: Architecture) -> Evaluation:
    found = evaluate(architecture)
    return Evaluation(found.value, found.live_macs)


@cache
def whole(name: str, in_flight: int) -> tuple[Record, ...]:
    return tuple(run_search(start(name), evaluate, budget=BUDGET, in_flight=in_flight))


@cache
def threshold(share: float) -> float:
    drawn = [profile(random_architecture(SPACE, stream(5, "t", n)), SIZES).live_macs for n in range(200)]
    return float(np.quantile(drawn, share))


def test_all_ours_are_tested_here() -> None:
    mine = [plugin.name for plugin in registry("search").list() if plugin.package == "nasrec-nni"]
    assert sorted(mine) == sorted(NAMES)


@pytest.mark.parametrize("in_flight", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_equal_seed_and_in_flight_give_the_same_candidates_and_none_twice(name: str, in_flight: int) -> None:
    np.random.seed(7)
    random.seed(7)
    found = whole(name, in_flight)
    assert tuple(run_search(start(name), evaluate, budget=BUDGET, in_flight=in_flight)) == found
    assert len({record.id for record in found}) == len(found) == BUDGET
    other = run_search(start(name, seed=2), evaluate, budget=BUDGET, in_flight=in_flight)
    assert [record.id for record in other] != [record.id for record in found]
    assert any(record.failure for record in found)


@pytest.mark.parametrize("name", NAMES)
@given(stop=st.integers(0, BUDGET), in_flight=st.sampled_from([1, 3]), shuffled=st.randoms(use_true_random=False))
@settings(max_examples=8, deadline=None)
def test_stopped_anywhere_with_results_in_any_order_it_goes_on_the_same(
    name: str, stop: int, in_flight: int, shuffled: random.Random
) -> None:
    expected = {record.number: record for record in whole(name, in_flight)}
    window, arrived = Window(start(name), in_flight, BUDGET), []
    while window.pending and len(arrived) < stop:
        ticket = shuffled.choice(window.pending)
        assert ticket.architecture == expected[ticket.number].architecture
        window.take(expected[ticket.number])
        arrived.append(expected[ticket.number])
    again = Window(start(name), in_flight, BUDGET)
    replay(again, arrived)
    assert again.pending == window.pending
    rest = run_search(start(name), evaluate, budget=BUDGET, in_flight=in_flight, records=arrived)
    assert {record.number: record for record in rest} == expected


@pytest.mark.parametrize("name", NAMES)
def test_one_objective_is_enough(name: str) -> None:
    found = run_search(start(name, objectives=1), single, budget=BUDGET)
    assert len(found) == BUDGET
    assert all(record.values is None for record in found)


@pytest.mark.parametrize("name", NAMES)
@given(seed=st.integers(0, 2**32 - 1), share=st.sampled_from([0.02, 0.1, 0.5]), in_flight=st.sampled_from([1, 4]))
@settings(max_examples=4, deadline=None)
def test_a_limit_is_never_broken_by_what_is_proposed(name: str, seed: int, share: float, in_flight: int) -> None:
    limits = CostLimits({"max_macs": threshold(share), "max_parameters": 3e5}, SIZES)
    found = run_search(start(name, seed, budget=20, excess=limits), evaluate, budget=20, in_flight=in_flight)
    assert len(found) == 20
    for record in found:
        costs = profile(record.architecture, SIZES)
        assert costs.live_macs <= threshold(share)
        assert costs.live_parameters <= 3e5
    assert front(found)


@pytest.mark.parametrize("name", NAMES)
def test_a_limit_that_chance_never_meets_is_met_by_descent(name: str) -> None:
    least = CostLimits({"max_macs": threshold(0.0) * 0.8}, SIZES)
    found = run_search(start(name, budget=10, excess=least), evaluate, budget=10)
    assert len({record.id for record in found}) == 10
    assert all(least(record.architecture) == 0 for record in found)


@pytest.mark.parametrize("space", [SPACE, TINY], ids=["large", "listed"])
def test_limits_that_nothing_keeps_are_one_clear_error(space: SpaceDescription) -> None:
    limits = CostLimits({"max_macs": 2, "max_parameters": None}, SIZES)
    with pytest.raises(UserError, match=r"search\.limits: no architecture.*got \{'max_macs': 2\}.*live MACs\. Raise"):
        limits.check(space, 0)
    CostLimits({"max_macs": 2e6}, SIZES).check(space, 0)


@pytest.mark.parametrize("name", NAMES)
def test_a_search_with_such_limits_ends_without_a_candidate(name: str) -> None:
    search = start(name, excess=CostLimits({"max_macs": 2}, SIZES), space=ONE)
    assert search.ask() is None
    assert run_search(search, evaluate, budget=12) == []


def test_the_cheapest_told_of_a_listed_space_is_the_cheapest() -> None:
    least = min(profile(architecture, SIZES).live_macs for architecture in listed(TINY))
    with pytest.raises(UserError, match=rf"the cheapest found: {least:,} live MACs"):
        CostLimits({"max_macs": least - 1}, SIZES).check(TINY, 0)
    CostLimits({"max_macs": least}, SIZES).check(TINY, 0)


@pytest.mark.parametrize("name", NAMES)
def test_no_limits_and_nothing_earlier_change_nothing(name: str) -> None:
    limits = CostLimits({"max_macs": 1e15}, SIZES)
    found = run_search(start(name, excess=limits), evaluate, budget=BUDGET)
    assert tuple(found) == whole(name, 1)


@pytest.mark.parametrize("name", NAMES)
def test_earlier_results_are_learnt_from_and_not_repeated(name: str) -> None:
    earlier = run_search(RandomSearch(SPACE, 9), evaluate, budget=25)
    seen = {record.id for record in earlier}
    found = run_search(start(name, earlier=earlier), evaluate, budget=BUDGET, in_flight=2)
    assert len(found) == BUDGET == len({record.id for record in found} - seen)
    assert found == run_search(start(name, earlier=earlier), evaluate, budget=BUDGET, in_flight=2)
    kept = run_search(start(name, earlier=earlier), evaluate, budget=BUDGET, in_flight=2, records=found[:9])
    assert kept == found
    if name == "random":
        same = run_search(RandomSearch(SPACE, 1, earlier=[*reversed(earlier)]), evaluate, budget=BUDGET, in_flight=2)
        assert same == found
    else:  # the first population is there: the first candidate is a child, and of other results another one
        worse = [
            Record(r.number, r.id, r.architecture, None if r.value is None else -r.value, r.failure,
                   values=None if r.values is None else (-r.values[0], r.values[1]))
            for r in earlier
        ]  # fmt: skip
        other = run_search(start(name, earlier=worse), evaluate, budget=BUDGET, in_flight=2)
        assert [record.id for record in other] != [record.id for record in found]


@pytest.mark.parametrize("name", NAMES)
def test_what_an_earlier_search_left_of_a_small_space_is_all_that_is_proposed(name: str) -> None:
    def point(architecture: Architecture) -> Evaluation:
        return Evaluation(1.0, 1, {}, (1.0, 2.0))

    functions = {architecture.id for architecture in listed(ONE)}
    earlier = run_search(RandomSearch(ONE, 9), point, budget=2)
    found = run_search(start(name, space=ONE, budget=99, earlier=earlier), point, budget=99)
    assert {record.id for record in found} == functions - {record.id for record in earlier} != set()
    assert len(found) == len(functions) - 2


def test_a_full_earlier_population_leaves_nothing_random() -> None:
    earlier = run_search(RandomSearch(SPACE, 9), evaluate, budget=25)
    for name in ("regularized-evolution", "nsga2"):
        first = start(name, budget=4, earlier=earlier).ask()
        assert first is not None
        nearest = min(
            sum(one != other for one, other in zip(first.blocks, record.architecture.blocks, strict=True))
            for record in earlier
        )
        assert nearest <= 2
        with pytest.raises(UserError, match="nothing would evolve"):
            start(name, budget=4)


class Old:
    """An algorithm from before limits, several objectives and earlier results."""

    def __init__(
        self, space: SpaceDescription, seed: int, options: Mapping[str, Any] | None = None, budget: int | None = None
    ) -> None:
        self._random = RandomSearch(space, seed, options, budget)

    def ask(self) -> Architecture | None:
        return self._random.ask()

    def tell(self, architecture: Architecture, value: float | None, failure: str | None = None) -> None:
        self._random.tell(architecture, value, failure)


def test_an_algorithm_is_asked_only_for_what_it_can_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry("search")._loaded, "old", Old)
    monkeypatch.setitem(OPTIONS, "old", {})
    assert len(run_search(start("old", objectives=1), single, budget=5)) == 5
    earlier = run_search(RandomSearch(SPACE, 9), single, budget=2)
    for key, more in {
        "limits": {"excess": CostLimits({"max_macs": 1e9}, SIZES)},
        "warm_start": {"earlier": earlier},
        "objectives": {"objectives": 2},
    }.items():
        with pytest.raises(UserError, match=rf"search\.algorithm: this algorithm takes no {key}, got 'old'"):
            start("old", **{"objectives": 1, **more})


@pytest.mark.parametrize("name", NAMES)
def test_an_exhausted_space_ends_after_each_function_was_proposed_once(name: str) -> None:
    functions = {architecture.id for architecture in listed(TINY)}
    search = start(name, space=TINY, budget=1000)
    found = run_search(search, lambda _: Evaluation(1.0, 1, {}, (1.0, 2.0)), budget=1000, in_flight=3)
    assert sorted(record.id for record in found) == sorted(functions)
    assert search.ask() is None


def test_what_breaks_a_measured_limit_is_no_fault() -> None:
    def slow(architecture: Architecture) -> Evaluation:
        raise CandidateFailed("takes 9 ms", {OVER_LIMIT: "max_latency_ms", "latency_ms": 9.0})

    found = run_search(start("random"), slow, budget=25, max_failures_in_a_row=3)
    assert [record.facts["latency_ms"] for record in found] == [9.0] * 25
    assert front(found) == []


def test_nsga2_keeps_the_best_by_front_and_room() -> None:
    search = Nsga2(SPACE, 0, {"population": 3})
    told = [(0.0, 9.0), (9.0, 0.0), (8.0, 8.0), (4.0, 5.0), (4.1, 4.9), (9.5, 9.5)]
    for point in told:
        architecture = search.ask()
        assert architecture is not None
        search.tell(architecture, point[0], None, point)
    assert {point for _, point in search.population} == {(0.0, 9.0), (9.0, 0.0), (4.1, 4.9)}


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_a_crossed_child_is_of_the_space_and_each_block_is_a_parents(seed: int) -> None:
    generator = np.random.default_rng(seed)
    one, other = random_architecture(SPACE, generator), random_architecture(SPACE, generator)
    child = crossed(one, other, generator)
    SPACE.check(child)
    assert all(block in pair for block, *pair in zip(child.blocks, one.blocks, other.blocks, strict=True))


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_rows_of_the_encoding_are_equal_exactly_for_equal_functions(seed: int) -> None:
    generator = np.random.default_rng(seed)
    some = [random_architecture(TINY if seed % 2 else SPACE, generator) for _ in range(6)]
    space = TINY if seed % 2 else SPACE
    some += [architecture.canonical for architecture in some]
    rows = [tuple(row) for row in encode(some, space)]
    pairs = {(architecture.id, row) for architecture, row in zip(some, rows, strict=True)}
    assert len(pairs) == len({identity for identity, _ in pairs}) == len(set(rows))


def test_the_predictor_is_right_about_what_it_can_see() -> None:
    """Told that wide is good, it asks for wider ones than chance does."""

    def width(architecture: Architecture) -> Evaluation:
        return Evaluation(-float(sum(block.dense_width or 0 for block in architecture.canonical.blocks)), 1)

    search = PredictorSearch(SPACE, 0, {"first": 12, "refit_every": 8, "pool": 48, "explore": 0.0})
    found = [record.value or 0.0 for record in run_search(search, width, budget=36)]
    assert np.mean(found[12:]) < np.mean(found[:12]) - 500


@pytest.mark.parametrize(
    ("name", "options"),
    [("nsga2", {"population": 1}), ("nsga2", {"crossover": 2.0}), ("predictor", {"pool": 0}), ("predictor", {"x": 1})],
)
def test_wrong_options_are_refused(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=rf"search\.options\.{next(iter(options))}"):
        start_search(name, SPACE, 0, options)


def test_the_known_front_is_the_front() -> None:
    problem = KnownFront(SpaceDescription("nasrec-full", ("fc", "dp"), ("efc",), 1, (16, 32, 64), (16, 32)))
    found = [problem.point(architecture) for architecture in listed(problem.space)]
    best = {point for point, rank in zip(found, ranks(found), strict=True) if rank == 0}
    assert sorted(best) == sorted(problem.front())
    whole_space = KnownFront()
    front_of_all = hypervolume(whole_space.front(), REFERENCE)
    for number in range(200):
        point = whole_space.point(random_architecture(whole_space.space, stream(0, "p", number)))
        assert hypervolume([*whole_space.front(), point], REFERENCE) == front_of_all


def test_algorithms_of_several_objectives_beat_random_search() -> None:
    problem = KnownFront()

    def volume(name: str, seed: int) -> float:
        search = start_search(name, problem.space, seed, OPTIONS[name], 80, objectives=2)
        records = run_search(search, problem.evaluate, budget=80)
        return hypervolume([record.point or () for record in records], REFERENCE)

    chance = [volume("random", seed) for seed in range(2)]
    for name in ("nsga2", "predictor"):
        assert np.mean([volume(name, seed) for seed in range(2)]) > np.mean(chance)
