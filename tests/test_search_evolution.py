"""Regularised evolution and random search: mutation, ageing, duplicates, failures, small spaces, sequence."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasrec_nni.architecture.draw import random_architecture
from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.architecture.value import Architecture, Block
from nasrec_nni.errors import UserError
from nasrec_nni.plugins import registry
from nasrec_nni.strategies.search import (
    CandidateFailed,
    Evaluation,
    RandomSearch,
    Record,
    RegularizedEvolution,
    Search,
    mutate,
    run_search,
)
from nasrec_nni.strategies.search.evolution import mutation_count
from nasrec_nni.strategies.search.unique import encodings, listed

FULL = SpaceDescription("nasrec-full", ("fc", "dp", "sg", "sum"), ("attn", "efc"))
SMALL = SpaceDescription("nasrec-small", ("fc", "dp"), ("efc",), blocks=4)
TINY = SpaceDescription("tiny", ("fc",), ("efc",), blocks=2, dense_widths=(16,), sparse_rows=(16,))
ONE = SpaceDescription("one", ("fc",), ("efc",), blocks=1, dense_widths=(16,), sparse_rows=(16,))
FAST = {"population": 16, "sample": 8}


def score(architecture: Architecture) -> float:
    """Made up: wants wide dense operators read from the raw input, and the merger of each block on."""
    live = architecture.canonical.blocks
    return sum(
        (block.dense_width != 256) + (0 not in (block.dense_connections or ())) + (not block.sparse_to_dense)
        for block in live
    ) + sum((block.sparse_rows or 64) / 64 for block in live)


def evaluate(architecture: Architecture) -> Evaluation:
    return Evaluation(score(architecture), live_macs=1)


def ids(search: Search, budget: int, in_flight: int = 1) -> list[str]:
    return [record.id for record in run_search(search, evaluate, budget=budget, in_flight=in_flight)]


@given(seed=st.integers(0, 2**32), space=st.sampled_from([FULL, SMALL, TINY, ONE]))
@settings(max_examples=150, deadline=None)
def test_a_mutation_always_changes_the_canonical_form_and_one_key_only(seed: int, space: SpaceDescription) -> None:
    generator = np.random.default_rng(seed)
    parent = random_architecture(space, generator)
    child = mutate(parent, space, generator)
    assert child is not None
    assert child.id != parent.id
    space.check(child)
    changed = [
        {key for key in vars(old) if getattr(old, key) != getattr(new, key)}
        for old, new in zip(parent.blocks, child.blocks, strict=True)
    ]
    (keys,) = [keys for keys in changed if keys]
    assert len(keys) == 1 or keys == {"dense_operator", "sparse_operator"}


def test_mutations_reach_every_key_of_every_block() -> None:
    generator = np.random.default_rng(0)
    parent = random_architecture(FULL, generator)
    reached = set()
    for _ in range(3000):
        child = mutate(parent, FULL, generator)
        assert child is not None
        for number, (old, new) in enumerate(zip(parent.blocks, child.blocks, strict=True), 1):
            reached |= {(number, key) for key in vars(old) if getattr(old, key) != getattr(new, key)}
        parent = child
    only_one_source = {(1, key) for key in ("dense_connections", "sparse_connections", "left", "right")}
    assert reached == {(number, key) for number in range(1, 8) for key in Block.__dataclass_fields__} - only_one_source


def test_the_oldest_leaves_whatever_its_value() -> None:
    search = RegularizedEvolution(SMALL, 0, FAST)
    asked = []
    for number in range(40):
        architecture = search.ask()
        assert architecture is not None
        asked.append(architecture)
        search.tell(architecture, float(number))  # the first is the best, and must go all the same
        assert [member.architecture for member in search.population] == asked[-16:]


def test_parent_is_the_best_of_the_sample() -> None:
    search = RegularizedEvolution(SMALL, 0, {"population": 16, "sample": 16, "generations": 1})
    for number in range(16):
        architecture = search.ask()
        assert architecture is not None
        search.tell(architecture, float(abs(number - 5)))
    best = search.population[5].architecture
    for _ in range(10):  # 10 asked before one is told: one mutation away from the same parent
        child = search.ask()
        assert child is not None
        assert sum(old != new for old, new in zip(best.blocks, child.blocks, strict=True)) == 1


@pytest.mark.parametrize("sample", [1, 4])
def test_small_samples_do_not_always_find_the_best(sample: int) -> None:
    search = RegularizedEvolution(FULL, 0, {"population": 16, "sample": sample, "generations": 1})
    for number in range(16):
        architecture = search.ask()
        assert architecture is not None
        search.tell(architecture, float(number))
    parents = set()
    for _ in range(20):
        child = search.ask()
        assert child is not None
        pairs = [zip(member.architecture.blocks, child.blocks, strict=True) for member in search.population]
        parents.add(int(np.argmin([sum(old != new for old, new in pair) for pair in pairs])))
    assert len(parents) > 2
    assert max(parents) <= 16 - sample  # the best of a sample is never among its worst


def test_steps_shrink_as_the_authors_do() -> None:
    at = {0: 6, 1: 5, 48: 5, 49: 4, 96: 4, 97: 3, 144: 3, 145: 2, 192: 2, 193: 1, 239: 1, 300: 1}
    assert {generation: mutation_count(generation, 240) for generation in at} == at
    assert [mutation_count(generation, 40) for generation in (0, 1, 20, 21, 40)] == [3, 2, 2, 1, 1]


def test_generations_come_from_options_or_budget() -> None:
    assert RegularizedEvolution(SMALL, 0).generations == 240
    assert RegularizedEvolution(SMALL, 0, {}, budget=2048).generations == 240
    assert RegularizedEvolution(SMALL, 0, {"population": 16}, budget=16 + 81).generations == 11
    assert RegularizedEvolution(SMALL, 0, {"generations": 40}, budget=2048).generations == 40
    assert RegularizedEvolution(SMALL, 0, {"population": 9}, budget=10).generations == 1


def test_sizes_with_which_nothing_would_evolve_are_refused() -> None:
    with pytest.raises(UserError, match="nothing would evolve, got 128"):
        RegularizedEvolution(SMALL, 0, {}, budget=128)
    with pytest.raises(UserError, match=r"search.options.sample: more than there are, got 9; allowed: at most"):
        RegularizedEvolution(SMALL, 0, {"population": 8, "sample": 9})


def test_first_children_take_the_scheduled_number_of_steps() -> None:
    search = RegularizedEvolution(FULL, 0, {"population": 4, "sample": 4, "generations": 240})
    for number in range(4):
        architecture = search.ask()
        assert architecture is not None
        search.tell(architecture, float(number))
    parent = search.population[0].architecture
    changed = []
    for _ in range(30):
        child = search.ask()
        assert child is not None
        pairs = zip(parent.blocks, child.blocks, strict=True)
        changed.append(sum(getattr(old, key) != getattr(new, key) for old, new in pairs for key in vars(old)))
    assert 4 < statistics.mean(changed) <= 7  # six mutations, some of them on the same key


def test_generations_of_one_parent() -> None:
    options = {"population": 16, "sample": 16, "generations": 1, "generation_size": 8}
    search = RegularizedEvolution(FULL, 1, options)
    for _ in range(16):
        architecture = search.ask()
        assert architecture is not None
        search.tell(architecture, 5.0)
    for _generation in range(3):
        parent = search.population[-1].architecture  # of equals, the youngest
        for number in range(8):
            child = search.ask()
            assert child is not None
            # The parent stays for eight children although better ones are told meanwhile.
            assert sum(old != new for old, new in zip(parent.blocks, child.blocks, strict=True)) <= 2
            search.tell(child, -float(number))
    assert [member.value for member in search.population[-8:]] == [-float(number) for number in range(8)]


@pytest.mark.parametrize("in_flight", [1, 4])
@pytest.mark.parametrize("algorithm", ["regularized-evolution", "random"])
def test_equal_seed_and_in_flight_give_the_same_candidates_and_none_twice(algorithm: str, in_flight: int) -> None:
    make = registry("search").load(algorithm)
    options = FAST if algorithm != "random" else {}
    first = ids(make(SMALL, 3, options, 60), 60, in_flight)
    assert len(first) == 60 == len(set(first))
    np.random.seed(1)
    assert ids(make(SMALL, 3, options, 60), 60, in_flight) == first
    assert ids(make(SMALL, 4, options, 60), 60, in_flight) != first


def test_in_flight_and_values_shape_the_sequence_of_evolution_but_not_of_random_search() -> None:
    assert ids(RegularizedEvolution(SMALL, 3, FAST), 60, 1) != ids(RegularizedEvolution(SMALL, 3, FAST), 60, 4)
    assert ids(RandomSearch(SMALL, 3), 60, 1) == ids(RandomSearch(SMALL, 3), 60, 4)


def test_the_first_population_is_that_of_random_search() -> None:
    assert ids(RegularizedEvolution(SMALL, 3, {"population": 40}), 40) == ids(RandomSearch(SMALL, 3), 40)


def test_failures_are_never_parents_nor_proposed_again() -> None:
    failed = []

    def sometimes(architecture: Architecture) -> Evaluation:
        if architecture.canonical.blocks[-1].dense_width in (16, 32, 64):
            failed.append(architecture.id)
            raise CandidateFailed("too narrow")
        return evaluate(architecture)

    search = RegularizedEvolution(SMALL, 5, FAST)
    records = run_search(search, sometimes, budget=80, in_flight=4, max_failures_in_a_row=80)
    assert len(records) == len({record.id for record in records}) == 80
    assert [record.id for record in records if record.failure == "too narrow"] == failed != []
    assert not {member.architecture.id for member in search.population} & set(failed)
    assert len(search.population) == 16


def test_all_of_the_first_population_may_fail() -> None:
    search = RegularizedEvolution(SMALL, 5, FAST)
    for number in range(30):
        architecture = search.ask()
        assert architecture is not None
        search.tell(architecture, None if number < 20 else 1.0, "lost" if number < 20 else None)
    assert len(search.population) == 10


@pytest.mark.parametrize("algorithm", ["regularized-evolution", "random"])
@pytest.mark.parametrize("space", [ONE, TINY], ids=["4 functions", "all functions of two blocks"])
def test_an_exhausted_space_ends_after_each_function_was_proposed_once(algorithm: str, space: SpaceDescription) -> None:
    functions = {architecture.id for architecture in listed(space)}
    options = {"population": 8, "sample": 4} if algorithm != "random" else {}
    search = registry("search").load(algorithm)(space, 0, options, 1000)
    found = ids(search, 1000, 3)
    assert sorted(found) == sorted(functions)
    assert search.ask() is None
    assert search.ask() is None


def test_a_space_counts_as_the_spec_counts() -> None:
    assert encodings(TINY) == len(list(listed(TINY)))
    small = SpaceDescription("nasrec-small", ("fc", "dp"), ("efc",))
    assert f"{encodings(small):.2e}" == "4.92e+39"
    assert f"{encodings(FULL):.2e}" == "8.07e+43"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"popluation": 5}, "Did you mean 'population'?"),
        ({"population": 0}, "search.options.population"),
        ({"sample": "many"}, "search.options.sample"),
        ({"generation_size": 2.5}, "search.options.generation_size"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], named: str) -> None:
    with pytest.raises(UserError, match=r"search\.options") as caught:
        RegularizedEvolution(SMALL, 0, options)
    assert named in caught.value.message


def test_random_search_has_no_options() -> None:
    with pytest.raises(UserError, match="unknown option"):
        RandomSearch(SMALL, 0, {"population": 5})


def test_evolution_beats_random_search() -> None:
    def lowest(search: Search) -> float:
        records: list[Record] = run_search(search, evaluate, budget=120)
        return min(record.value for record in records if record.value is not None)

    evolved = [lowest(RegularizedEvolution(SMALL, seed, FAST, 120)) for seed in range(5)]
    drawn = [lowest(RandomSearch(SMALL, seed)) for seed in range(5)]
    assert statistics.mean(evolved) < statistics.mean(drawn) - 0.5
    assert sum(one < other for one, other in zip(evolved, drawn, strict=True)) >= 4
