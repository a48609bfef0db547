"""Several workers, deaths and duplicates: every candidate once, and the sequence of the search in one process."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasrec_nni.config import Config, SpaceConfig
from nasrec_nni.errors import UserError
from nasrec_nni.experiment.batch import SHOWN, final, intermediate, records_of, tickets_of, to_parameter
from nasrec_nni.experiment.channel import RECORDS
from nasrec_nni.experiment.doors import with_in_flight
from nasrec_nni.experiment.ledger import DEATHS, FAILURES, Ledger
from nasrec_nni.pipeline.space import describe
from nasrec_nni.strategies.search import (
    CandidateFailed,
    Evaluation,
    Record,
    RegularizedEvolution,
    Search,
    Ticket,
    Window,
    run_search,
)

SPACE = describe(SpaceConfig.model_validate({"blocks": 2, "dense_widths": [8, 16], "sparse_rows": [4], "heads": 2}))
BUDGET = 40
OPTIONS = {"population": 8, "sample": 4}


def search(seed: int = 0) -> Search:
    return RegularizedEvolution(SPACE, seed, OPTIONS, BUDGET)


def score(ticket: Ticket) -> Record:
    """A value that only depends on the architecture; about one in eight fails."""
    architecture = ticket.architecture
    value = int(architecture.id, 16) % 1009 / 1009
    if value < 0.125:
        return Record(ticket.number, architecture.id, architecture, None, "unlucky")
    return Record(ticket.number, architecture.id, architecture, value, None, 7, {"log_loss": value, "auc": None})


def reference(in_flight: int, seed: int = 0) -> list[tuple[Any, ...]]:
    def evaluate(architecture: Any) -> Evaluation:
        record = score(Ticket(0, architecture))
        if record.value is None:
            raise CandidateFailed("unlucky")
        return Evaluation(record.value, 7, record.facts)

    found = run_search(search(seed), evaluate, budget=BUDGET, in_flight=in_flight, max_failures_in_a_row=99)
    return [(record.number, record.id, record.value) for record in found]


def ledger(kept: list[Record], in_flight: int, batch: int, seed: int = 0) -> Ledger:
    return Ledger(search(seed), in_flight, BUDGET, batch, list(kept), kept.append)


@given(
    chance=st.randoms(use_true_random=False),
    in_flight=st.integers(1, 12),
    batch=st.integers(1, 6),
    workers=st.integers(1, 4),
)
@settings(max_examples=40, deadline=None)
def test_any_order_deaths_restarts_and_duplicates_give_the_sequence_of_one_process(
    chance: random.Random, in_flight: int, batch: int, workers: int
) -> None:
    kept: list[Record] = []
    book = ledger(kept, in_flight, batch)
    at_work: list[tuple[int, list[Ticket]]] = []
    while not book.over:
        while len(at_work) < workers and (found := book.next_tickets()):
            assert len(found[1]) <= batch
            at_work.append(found)
        if not at_work:
            book.all_lost()
            continue
        hand_out, tickets = at_work.pop(chance.randrange(len(at_work)))
        done = [score(ticket) for ticket in tickets]
        what = chance.random()
        if what < 0.1:  # killed in the middle, what was scored is on disk
            book.absorb(done[: chance.randrange(len(done) + 1)])
            book.lost(hand_out, "killed", blame=False)
        elif what < 0.2:  # everything is killed
            book = ledger(kept, in_flight, batch)
            at_work.clear()
        else:
            chance.shuffle(done)
            assert book.absorb([*done, *done]) == len(done)
            assert book.absorb(done) == 0
            book.lost(hand_out, "well", blame=False)
    assert book.stopped is None or "in a row" in book.stopped
    numbers = [record.number for record in kept]
    assert len(set(numbers)) == len(numbers)
    found_rows = sorted((record.number, record.id, record.value) for record in kept)
    expected = reference(in_flight)
    assert set(found_rows) <= set(expected) if book.stopped else found_rows == expected


def test_results_of_other_searches_are_ignored() -> None:
    kept: list[Record] = []
    book = ledger(kept, 4, 2)
    foreign = [score(ticket) for ticket in Window(search(seed=9), 4, BUDGET).pending]
    assert book.absorb(foreign) == 0
    assert kept == []


def test_a_candidate_whose_worker_dies_again_and_again_is_given_up_and_the_others_go_on() -> None:
    kept: list[Record] = []
    book = ledger(kept, 4, 4)
    for _ in range(DEATHS):
        found = book.next_tickets()
        assert found is not None
        assert found[1][0].number == 0
        book.lost(found[0], "it was killed")
    (record,) = kept
    assert record.number == 0
    assert record.failure == "the worker that scored it ended 3 times, the last time: it was killed"
    found = book.next_tickets()
    assert found is not None
    assert [ticket.number for ticket in found[1]][:3] == [1, 2, 3]


@pytest.mark.parametrize("blame", [True, False])
def test_trials_that_never_bring_a_result_stop_the_search(blame: bool) -> None:
    book = ledger([], 4, 4)
    for _ in range(2 * DEATHS):
        assert not book.over
        found = book.next_tickets()
        assert found is not None
        book.lost(found[0], "cannot start", blame)
    assert book.over
    assert "without a single result, the last one: cannot start" in str(book.stopped)


def test_too_many_failures_in_a_row_stop_the_search() -> None:
    kept: list[Record] = []
    book = ledger(kept, 4, 4)
    while not book.over:
        found = book.next_tickets()
        assert found is not None
        book.absorb(Record(t.number, t.architecture.id, t.architecture, None, "bad") for t in found[1])
    assert f"{FAILURES} candidates in a row failed, the last one with: bad" in str(book.stopped)
    assert book.next_tickets() is None


# ---- what travels ----------------------------------------------------------------------------------------------------


def test_a_batch_survives_the_way_to_a_worker_and_back() -> None:
    tickets = Window(search(), 5, BUDGET).pending
    parameter = to_parameter(tickets)
    assert parameter[SHOWN] == {"batch": "0-4", "candidates": 5}
    assert to_parameter([tickets[0], tickets[3]])[SHOWN] == {"batch": "0,3", "candidates": 2}
    assert tickets_of(parameter) == tickets
    records = [score(ticket) for ticket in tickets]
    metric = final(records)
    assert metric is not None
    assert metric["default"] == min(record.value for record in records if record.value is not None)
    assert records_of(metric) == records


@pytest.mark.parametrize(
    "spoil",
    [
        lambda parameter: None,
        lambda parameter: [],
        lambda parameter: {"candidates": [{"number": 0}]},
        lambda parameter: {"candidates": [parameter["candidates"][0] | {"id": "0" * 16}]},
        lambda parameter: {"candidates": [parameter["candidates"][0] | {"number": -1}]},
    ],
)
def test_a_parameter_that_is_none_of_ours_is_refused(spoil: Callable[[Any], Any]) -> None:
    with pytest.raises(UserError, match="trial parameter"):
        tickets_of(spoil(to_parameter(Window(search(), 2, BUDGET).pending)))


@pytest.mark.parametrize("metric", [None, 0.5, float("nan"), "text", [], {}, {"records": 1}, {"records": "[{}]"}])
def test_odd_metrics_hold_no_records(metric: Any) -> None:
    assert records_of(metric) == []


def test_only_numbers_reach_the_web_page() -> None:
    good, bad = None, None
    for ticket in Window(search(), 30, BUDGET).pending:
        record = score(ticket)
        good, bad = (record, bad) if record.value is not None else (good, record)
    assert good is not None and bad is not None
    assert intermediate(bad) is None
    assert final([bad]) is None
    figures = intermediate(good)
    assert figures is not None
    assert all(type(value) in (int, float) for value in figures.values())
    told = final([bad, good])
    assert told is not None
    assert {name: one for name, one in told.items() if name != RECORDS} == figures


# ---- workers and candidates in flight --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("search_keys", "begun_with", "workers", "in_flight", "batch"),
    [
        ({}, None, None, 1, 16),
        ({"in_flight": 3}, None, None, 3, 16),
        ({}, 12, None, 12, 16),  # the run was begun with workers, and goes on without
        ({"candidates": 500}, None, 2, 32, 16),
        ({"candidates": 40}, None, 2, 10, 5),  # at most a quarter of the candidates
        ({"in_flight": 6}, None, 2, 6, 3),
        ({}, 8, 2, 8, 4),
    ],
)
def test_candidates_in_flight_follow_from_workers_only_where_they_are_not_set(
    search_keys: dict[str, int], begun_with: int | None, workers: int | None, in_flight: int, batch: int
) -> None:
    config = with_in_flight(Config.model_validate({"search": search_keys}), begun_with, workers)
    assert (config.search.in_flight, config.workers.batch) == (in_flight, batch)


def test_fewer_in_flight_than_workers_are_refused() -> None:
    with pytest.raises(UserError, match="1 of 2 workers would have nothing to do"):
        with_in_flight(Config.model_validate({"search": {"in_flight": 1}}), None, 2)
