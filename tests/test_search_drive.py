"""Window, driver, replay, records: results in any order, stops at any moment, failures, ranking."""

from __future__ import annotations

import json
import math
import random

import pytest

from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.architecture.value import Architecture
from nasrec_nni.errors import UserError
from nasrec_nni.files import append_line, read_lines
from nasrec_nni.strategies.search import (
    CandidateFailed,
    Evaluation,
    RandomSearch,
    Record,
    RegularizedEvolution,
    Search,
    Window,
    best,
    record_from_json,
    replay,
    run_search,
)

SPACE = SpaceDescription("nasrec-small", ("fc", "dp"), ("efc",), blocks=3)
BUDGET = 50


def search(seed: int = 2, budget: int = BUDGET) -> RegularizedEvolution:
    return RegularizedEvolution(SPACE, seed, {"population": 12, "sample": 6}, budget)


def value(architecture: Architecture) -> float:
    return int(architecture.id, 16) / 16**16


def evaluate(architecture: Architecture) -> Evaluation:
    if value(architecture) < 0.1:
        raise CandidateFailed("out of memory")
    return Evaluation(value(architecture), live_macs=7, facts={"seconds": 0.5})


@pytest.fixture(scope="module")
def whole() -> dict[int, list[Record]]:
    """Uninterrupted searches by `in_flight`."""
    return {k: run_search(search(), evaluate, budget=BUDGET, in_flight=k) for k in (1, 4)}


@pytest.mark.parametrize("in_flight", [1, 4])
@pytest.mark.parametrize("stopped_after", [0, 1, 3, 11, 12, 13, 30, 49, 50])
def test_a_stopped_search_continues_with_the_same_candidates(
    whole: dict[int, list[Record]], in_flight: int, stopped_after: int
) -> None:
    kept = whole[in_flight][:stopped_after]
    new: list[Record] = []
    found = run_search(search(), evaluate, budget=BUDGET, in_flight=in_flight, records=kept, on_result=new.append)
    assert found == whole[in_flight]
    assert found == kept + new
    assert any(record.failure == "out of memory" for record in found)


@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_results_does_not_matter(whole: dict[int, list[Record]], seed: int) -> None:
    shuffled, window, arrived = random.Random(seed), Window(search(), 4, BUDGET), []
    by_number = {record.number: record for record in whole[4]}
    while window.pending:
        assert len(window.pending) <= 4
        ticket = shuffled.choice(window.pending)
        record = by_number[ticket.number]
        assert ticket.architecture.id == record.id
        window.finish(record.number, record.value, record.failure)
        arrived.append(record)
    assert sorted(arrived, key=lambda record: record.number) == whole[4] != arrived
    for stop in (7, 25, BUDGET):  # a file in order of arrival replays as well
        continued = Window(search(), 4, BUDGET)
        replay(continued, arrived[:stop])
        missing = sorted({record.number for record in whole[4]} - {record.number for record in arrived[:stop]})
        assert [ticket.number for ticket in continued.pending] == missing[: len(continued.pending)]


def test_a_window_holds_back_until_the_first_is_done() -> None:
    told: list[tuple[str, float | None]] = []

    class Spy(RandomSearch):
        def tell(self, architecture: Architecture, value: float | None, failure: str | None = None) -> None:
            told.append((architecture.id, value))

    window = Window(Spy(SPACE, 0), in_flight=3, budget=5)
    first, second, third = window.pending
    window.finish(2, 3.0)
    window.finish(1, None, "lost")
    assert told == []
    assert window.pending == [first]
    window.finish(0, 1.0)
    assert told == [(first.architecture.id, 1.0), (second.architecture.id, None), (third.architecture.id, 3.0)]
    assert [ticket.number for ticket in window.pending] == [3, 4]  # the budget is spent
    for number in (0, 9):
        with pytest.raises(KeyError):
            window.finish(number, 1.0)


def test_lines_survive_the_file_bit_by_bit(whole: dict[int, list[Record]], tmp_path: object) -> None:
    file = tmp_path / "candidates.jsonl"  # type: ignore[operator]
    for record in whole[1]:
        append_line(file, record.as_json())
    lines = read_lines(file)
    assert [record_from_json(line, f"{file}:{number}") for number, line in enumerate(lines, 1)] == whole[1]


def test_records_of_another_search_are_refused_with_their_line(whole: dict[int, list[Record]]) -> None:
    others: list[Search] = [search(seed=3), RandomSearch(SPACE, 5)]
    for other in others:
        with pytest.raises(UserError, match=r"candidates\.jsonl:1: the recorded candidate is not what"):
            run_search(other, evaluate, budget=BUDGET, records=whole[1])
    swapped = [*whole[1][:4], whole[1][5], whole[1][4]]
    with pytest.raises(UserError, match=r"here\.jsonl:5"):
        run_search(search(), evaluate, budget=BUDGET, records=swapped, where="here.jsonl")
    with pytest.raises(UserError, match=r"candidates\.jsonl:2"):
        run_search(search(), evaluate, budget=BUDGET, records=[whole[1][0], whole[1][0]])
    with pytest.raises(UserError, match=r"candidates\.jsonl:1\d"):
        run_search(search(), evaluate, budget=BUDGET, in_flight=4, records=whole[1])


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_a_failure(odd: float) -> None:
    numbers = iter([0.5, odd, 0.25])
    records = run_search(search(), lambda _: Evaluation(next(numbers), 1, {"log_loss": odd}), budget=3)
    assert [record.value for record in records] == [0.5, None, 0.25]
    assert records[1].failure == f"the objective is {odd}"
    json.dumps(records[1].as_json(), allow_nan=False)


def test_too_many_failures_in_a_row_stop_the_search_and_are_kept() -> None:
    def fail(architecture: Architecture) -> Evaluation:
        if len(kept) in (2, 5):
            return Evaluation(1.0, 1)
        raise CandidateFailed("no such device")

    kept: list[Record] = []
    told = r"4 candidates in a row failed, the last one with: no such device.*candidates that have failed stay failed"
    with pytest.raises(UserError, match=told):
        run_search(search(), fail, budget=BUDGET, on_result=kept.append, max_failures_in_a_row=4)
    assert [record.failure is None for record in kept] == [False, False, True, False, False, True, *[False] * 4]
    whole = run_search(search(), evaluate, budget=BUDGET, records=kept)
    assert whole[:10] == kept
    assert len(whole) == BUDGET


def test_a_fault_of_ours_is_not_taken_for_a_failed_candidate() -> None:
    kept: list[Record] = []
    with pytest.raises(ZeroDivisionError):
        run_search(search(), lambda _: Evaluation(1 / 0, 1), budget=3, on_result=kept.append)
    assert kept == []


def test_best_takes_value_then_macs_then_order(whole: dict[int, list[Record]]) -> None:
    architecture = whole[1][0].architecture

    def record(number: int, value: float | None, macs: int | None) -> Record:
        return Record(number, str(number), architecture, value, None if value is not None else "lost", macs)

    records = [record(0, 0.5, 10), record(1, None, None), record(2, 0.4, 30), record(3, 0.4, 20), record(4, 0.5, 10)]
    assert [found.number for found in best(records, 3)] == [3, 2, 0]
    assert [found.number for found in best(records, 99)] == [3, 2, 0, 4]
    assert best([records[1]], 1) == []


@pytest.mark.parametrize(
    "change",
    [
        {"id": "0" * 16},
        {"number": -1},
        {"number": True},
        {"value": None},
        {"value": "low"},
        {"value": True},
        {"failure": "both"},
        {"facts": 3},
        {"live_macs": "few"},
        {"more": 1},
        {"architecture": {"space": "x"}},
    ],
)
def test_a_broken_record_is_refused_with_its_line(whole: dict[int, list[Record]], change: dict[str, object]) -> None:
    line = next(record for record in whole[1] if record.failure is None).as_json()
    assert record_from_json(json.loads(json.dumps(line)), "file:3").number == line["number"]
    with pytest.raises(UserError, match="file:3"):
        record_from_json(line | change, "file:3")
