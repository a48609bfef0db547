"""Dominance, fronts, crowding and hypervolume against their definitions; the front of records."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasrec_nni.architecture.draw import random_architecture
from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.errors import UserError
from nasrec_nni.strategies.search import REJECTED, Record, best, front, record_from_json
from nasrec_nni.strategies.search.pareto import by_merit, crowding, dominance, hypervolume, ranks

Point = tuple[float, ...]
SPACE = SpaceDescription("nasrec-small", ("fc", "dp"), ("efc",), blocks=2)


def points(objectives: int) -> st.SearchStrategy[list[Point]]:
    """Few values, so that there are ties and equal points."""
    return st.lists(st.tuples(*[st.integers(0, 6).map(float)] * objectives), max_size=14)


sets = st.integers(1, 4).flatmap(points)


def over(one: Point, other: Point) -> bool:
    pairs = list(zip(one, other, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


@given(sets)
def test_dominance_and_ranks_are_those_of_the_definition(found: list[Point]) -> None:
    if found:
        assert dominance(found).tolist() == [[over(one, other) for other in found] for one in found]
    left, expected, rank = dict(enumerate(found)), {}, 0
    while left:
        none_over = [at for at, point in left.items() if not any(over(other, point) for other in left.values())]
        expected |= dict.fromkeys(none_over, rank)
        left = {at: point for at, point in left.items() if at not in none_over}
        rank += 1
    assert ranks(found).tolist() == [expected[at] for at in range(len(found))]


@given(points(2))
def test_crowding_of_different_points_is_the_half_perimeter_between_neighbours(given_points: list[Point]) -> None:
    found = [point for point, rank in zip(given_points, ranks(given_points), strict=True) if rank == 0]
    found = sorted(set(found))
    room = crowding(found)
    if len(found) < 3:
        assert all(math.isinf(one) for one in room) or len(found) < 2
        return
    (left, high), (right, low) = found[0], found[-1]
    assert math.isinf(room[0])
    assert math.isinf(room[-1])
    for at in range(1, len(found) - 1):
        width, height = found[at + 1][0] - found[at - 1][0], found[at - 1][1] - found[at + 1][1]
        assert room[at] == pytest.approx(width / (right - left) + height / (high - low))


def test_crowding_without_spread_is_none() -> None:
    assert crowding([(1.0, 2.0)] * 3).tolist() == [0, 0, 0]
    assert crowding([]).tolist() == []


@given(sets)
def test_merit_goes_by_front_then_room_then_order(found: list[Point]) -> None:
    order, rank = by_merit(found), ranks(found)
    assert sorted(order) == list(range(len(found)))
    assert [rank[row] for row in order] == sorted(rank)
    for one, other in itertools.pairwise(order):
        if found[one] == found[other] and rank[one] == rank[other]:
            rows = [row for row in range(len(found)) if rank[row] == rank[one]]
            room = dict(zip(rows, crowding([found[row] for row in rows]), strict=True))
            assert room[one] > room[other] or one < other


@given(points(2), st.tuples(st.integers(0, 7), st.integers(0, 7)))
def test_hypervolume_is_the_area_counted_square_by_square(found: list[Point], reference: tuple[int, int]) -> None:
    right, top = reference
    squares = sum(any(a <= x and b <= y for a, b in found) for x in range(right) for y in range(top))
    assert hypervolume(found, reference) == squares


@given(points(2), points(2))
def test_more_points_never_make_the_hypervolume_smaller(some: list[Point], more: list[Point]) -> None:
    assert hypervolume(some + more, (7, 7)) >= hypervolume(some, (7, 7))
    kept = [point for point, rank in zip(some, ranks(some), strict=True) if rank == 0]
    assert hypervolume(kept, (7, 7)) == hypervolume(some, (7, 7))


def record(number: int, point: Point | None, **facts: object) -> Record:
    architecture = random_architecture(SPACE, np.random.default_rng(number))
    value, failure = (None, "lost") if point is None else (point[0], None)
    values = point if point is not None and len(point) > 1 else None
    return Record(number, architecture.id, architecture, value, failure, 7 if point else None, facts, values)


@given(points(2))
def test_front_of_records_is_what_none_dominates(found: list[Point]) -> None:
    records = [record(number, point) for number, point in enumerate(found)]
    failed, given_up = record(90, None), record(91, (-1.0, -1.0), **{REJECTED: 5})
    kept = front([*records, failed, given_up])
    assert {one.number for one in kept} == {
        one.number for one in records if not any(over(other, one.point or ()) for other in found)
    }
    assert [one.value for one in kept] == sorted(one.value or 0.0 for one in kept)
    if records:
        assert kept[0].value == best(records, 1)[0].value  # by the first objective alone


def test_front_of_one_objective_is_the_best_and_its_equals() -> None:
    records = [record(number, (value,)) for number, value in enumerate([0.5, 0.25, 0.75, 0.25])]
    assert [one.number for one in front(records)] == [1, 3]
    assert front([record(0, None)]) == []
    with pytest.raises(UserError, match="different numbers of objectives"):
        front([records[0], record(9, (1.0, 2.0))])


def test_values_survive_the_file_and_are_only_there_for_several_objectives() -> None:
    several, one = record(1, (0.1, 1e9 / 3)), record(1, (0.1,))
    assert "values" not in one.as_json()
    for kept in (several, one):
        assert record_from_json(json.loads(json.dumps(kept.as_json())), "file:1") == kept
    line = several.as_json()
    for odd in ([0.1], [0.2, 3.0], [0.1, "x"], [0.1, math.inf], 0.1, None):
        with pytest.raises(UserError, match=r"file:1: values must be two or more"):
            record_from_json(line | {"values": odd}, "file:1")
