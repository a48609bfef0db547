"""How a time budget is divided and what a retraining leaves out: sums, bounds, the order of cuts. No clock."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as some

from nasrec_nni.pipeline.budget.cuts import Trainings, cut, least, smaller
from nasrec_nni.pipeline.budget.split import SPARE, Want, split

SECONDS = some.floats(0, 1e5, allow_nan=False)
WANTS = some.dictionaries(
    some.sampled_from(["data", "supernet", "search", "retrain", "report"]),
    some.builds(
        lambda a, b, weight: Want(min(a, b), max(a, b), weight), SECONDS, SECONDS, some.floats(0.1, 10, allow_nan=False)
    ),
    min_size=1,
)


@given(SECONDS, WANTS)
def test_shares_sum_to_the_budget_and_are_never_negative(seconds: float, wants: dict[str, Want]) -> None:
    shares = split(seconds, wants)
    assert set(shares) == {*wants, SPARE}
    assert sum(shares.values()) == pytest.approx(seconds, rel=1e-9, abs=1e-9)
    assert min(shares.values()) >= -1e-9 * max(1.0, seconds)


@given(SECONDS, WANTS)
def test_no_stage_has_more_than_it_wants_nor_less_than_it_needs(seconds: float, wants: dict[str, Want]) -> None:
    shares = split(seconds, wants)
    enough = sum(want.least for want in wants.values()) <= seconds
    for name, want in wants.items():
        assert shares[name] <= want.full * (1 + 1e-9)
        assert not enough or shares[name] >= want.least * (1 - 1e-9)
    if sum(want.full for want in wants.values()) <= seconds:
        assert all(shares[name] == want.full for name, want in wants.items())
    elif enough:
        assert shares[SPARE] == pytest.approx(0, abs=1e-6 * max(1.0, seconds))


@given(SECONDS, some.floats(0, 1e5), WANTS)
def test_more_time_takes_from_no_stage(seconds: float, more: float, wants: dict[str, Want]) -> None:
    before, after = split(seconds, wants), split(seconds + more, wants)
    for name in wants:
        assert after[name] >= before[name] - 1e-6 * max(1.0, seconds + more)


def test_scarce_time_goes_by_weight() -> None:
    wants = {"a": Want(0, 100, 3), "b": Want(0, 100, 1), "c": Want(5, 5, 9)}
    assert split(45, wants) == pytest.approx({"a": 30, "b": 10, "c": 5, SPARE: 0})
    assert split(45, {"a": Want(0, 100, 3), "b": Want(20, 100, 1)}) == pytest.approx({"a": 25, "b": 20, SPARE: 0})


def test_what_does_not_even_fit_at_least_is_scaled() -> None:
    assert split(10, {"a": Want(15, 20), "b": Want(5, 9)}) == pytest.approx({"a": 7.5, "b": 2.5, SPARE: 0})
    assert split(-3, {"a": Want(1, 2)}) == {"a": 0, SPARE: 0}
    assert split(5, {}) == {SPARE: 5}


TRAININGS = some.builds(
    Trainings,
    epochs=some.integers(1, 30),
    seeds=some.integers(1, 4),
    top_k=some.integers(0, 4),
    random=some.integers(0, 3),
    baselines=some.lists(some.sampled_from(["lr", "fm", "dcnv2"]), unique=True).map(tuple),
).filter(lambda trainings: trainings.top_k + len(trainings.baselines) > 0)
EACH = {"lr": 1.0, "fm": 2.0, "dcnv2": 9.0}


def cost(trainings: Trainings) -> float:
    models = 7.0 * (trainings.top_k + trainings.random) + sum(EACH[name] for name in trainings.baselines)
    return trainings.seeds * trainings.epochs * models


def sizes(trainings: Trainings) -> tuple[int, ...]:
    return (trainings.random, trainings.epochs, trainings.seeds, trainings.top_k, len(trainings.baselines))


@given(TRAININGS)
def test_each_cut_is_one_step_down_and_leaves_a_model_that_can_win(asked: Trainings) -> None:
    found = list(smaller(asked, cost))
    assert found[0] == asked
    for before, after in pairwise(found):
        changed = [(a, b) for a, b in zip(sizes(before), sizes(after), strict=True) if a != b]
        assert len(changed) == 1
        assert changed[0][0] - 1 == changed[0][1]
        assert cost(after) < cost(before)
    last = found[-1]
    assert (last.epochs, last.seeds, last.random, last.top_k) == (1, 1, 0, min(asked.top_k, 1))
    assert last.top_k + len(last.baselines) == 1
    assert last == least(asked, cost)


@given(TRAININGS)
def test_the_order_is_the_stated_one(asked: Trainings) -> None:
    """random, epochs to half, seeds, epochs to a quarter, searched, hand-made (slowest first), epochs to one."""
    half, quarter = math.ceil(asked.epochs / 2), math.ceil(asked.epochs / 4)
    for one in smaller(asked, cost):
        if one.epochs < asked.epochs:
            assert one.random == 0
        if one.seeds < asked.seeds:
            assert one.epochs <= half
        if one.epochs < half:
            assert one.seeds == 1
        if one.top_k < asked.top_k:
            assert one.epochs <= quarter
        if one.baselines != asked.baselines:
            assert one.top_k <= 1
            gone = set(asked.baselines) - set(one.baselines)
            assert all(EACH[left] < EACH[name] for left in one.baselines for name in gone)
        if one.epochs < quarter:
            assert one.top_k + len(one.baselines) == 1


@given(TRAININGS, some.floats(0, 3000))
def test_the_first_that_fits_is_taken(asked: Trainings, seconds: float) -> None:
    found, steps = cut(asked, seconds, cost), list(smaller(asked, cost))
    at = steps.index(found)
    assert all(cost(one) > seconds for one in steps[:at])
    assert cost(found) <= seconds or found == steps[-1]
