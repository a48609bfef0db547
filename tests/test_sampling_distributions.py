"""Draws against the exact distributions of SPEC section 5: 100,000 each, chi-square, fixed seeds.

The probabilities here are written out anew from the SPEC, not taken from the code under test.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import fields
from functools import cache

import pytest
from scipy.stats import chisquare

from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.architecture.value import PathBlock
from nasrec_nni.strategies.sampling import (
    ANY_OPERATOR_ANY_CONNECTION,
    FULL,
    SINGLE_OPERATOR_ANY_CONNECTION,
    SINGLE_OPERATOR_SINGLE_CONNECTION,
    Counts,
    Distribution,
    PathSampler,
    architectures,
)

DRAWS = 100_000
# Some 400 chi-squares run below: with a true null, one of them falls under this bound about once in 2,500 seeds.
BOUND = 1e-6
WIDTHS, ROWS = (16, 32, 64, 128, 256, 512, 768, 1024), (16, 32, 48, 64)
DENSE, SPARSE = ("fc", "dp", "sg", "sum"), ("attn", "efc")
FULL_SPACE = SpaceDescription("nasrec-full", DENSE, SPARSE)
SHARES = {
    "binomial": {1: (1.0,), 2: (1 / 2, 1 / 2), 3: (1 / 4, 1 / 2, 1 / 4), 4: (1 / 8, 3 / 8, 3 / 8, 1 / 8)},
    "uniform": {1: (1.0,), 2: (1 / 2,) * 2, 3: (1 / 3,) * 3, 4: (1 / 4,) * 4},
}
LISTS = ("dense_connections", "sparse_connections")
CASES: dict[str, tuple[Distribution, Counts, int]] = {
    "any-connection binomial": (SINGLE_OPERATOR_ANY_CONNECTION, "binomial", 7),
    "any-connection uniform": (SINGLE_OPERATOR_ANY_CONNECTION, "uniform", 5),
    "single-connection binomial": (SINGLE_OPERATOR_SINGLE_CONNECTION, "binomial", 3),
    "any-operator binomial": (ANY_OPERATOR_ANY_CONNECTION, "binomial", 3),
    "any-operator uniform": (ANY_OPERATOR_ANY_CONNECTION, "uniform", 3),
}


@cache
def drawn(case: str) -> dict[tuple[int, str], list[Hashable]]:
    """100,000 paths, one a step, as a training takes them: (block, key) -> values, equal ones shared."""
    distribution, counts, blocks = CASES[case]
    sampler = PathSampler(distribution, FULL_SPACE.with_sizes(blocks=blocks), counts, 0, seed=20)
    columns: dict[tuple[int, str], list[Hashable]] = {
        (number, field.name): [] for number in range(1, blocks + 1) for field in fields(PathBlock)
    }
    shared: dict[Hashable, Hashable] = {}
    appends = [column.append for column in columns.values()]
    for step in range(DRAWS):
        values = (value for block in sampler.draw(step)[0].path.blocks for value in vars(block).values())
        for append, value in zip(appends, values, strict=True):
            append(shared.setdefault(value, value))
    return columns


def p_value(values: Iterable[Hashable], expected: Mapping[Hashable, float]) -> float:
    """Chi-square of values against probabilities; 0 for a value that cannot occur."""
    seen = Counter(values)
    assert math.isclose(sum(expected.values()), 1)
    if seen.keys() - expected.keys():
        return 0.0
    if len(expected) == 1:
        return 1.0
    total = sum(seen.values())
    return float(chisquare([seen[key] for key in expected], [total * share for share in expected.values()]).pvalue)


def uniform(values: Iterable[Hashable]) -> dict[Hashable, float]:
    known = list(values)
    return dict.fromkeys(known, 1 / len(known))


def subsets(items: Iterable[Hashable], counts: str) -> dict[Hashable, float]:
    """P of every subset: of its size, spread evenly over the subsets of that size."""
    known = list(items)
    shares = SHARES[counts][min(len(known), 4)]
    return {
        chosen: share / math.comb(len(known), size)
        for size, share in enumerate(shares, 1)
        for chosen in itertools.combinations(known, size)
    }


def joint(*parts: Mapping[Hashable, float]) -> dict[Hashable, float]:
    """Independent parts together."""
    return {
        tuple(key for key, _ in pairs): math.prod(share for _, share in pairs)
        for pairs in itertools.product(*(part.items() for part in parts))
    }


def expectations(case: str, number: int) -> dict[str, dict[Hashable, float]]:
    """The exact marginal distribution of every key of one block."""
    distribution, counts, _ = CASES[case]
    one = uniform((source,) for source in range(number))
    connections = one if distribution is SINGLE_OPERATOR_SINGLE_CONNECTION else subsets(range(number), counts)
    found = dict.fromkeys(LISTS, connections) | dict.fromkeys(("left", "right"), one)
    if distribution is ANY_OPERATOR_ANY_CONNECTION:
        found |= {"dense_operators": subsets(DENSE, counts), "sparse_operators": subsets(SPARSE, counts)}
    else:
        found |= {"dense_operators": uniform((name,) for name in DENSE)}
        found |= {"sparse_operators": uniform((name,) for name in SPARSE)}
    found |= {"dense_width": uniform(WIDTHS), "sparse_rows": uniform(ROWS)}
    return found | dict.fromkeys(("dense_to_sparse", "sparse_to_dense"), uniform((False, True)))


@pytest.mark.parametrize("case", CASES)
def test_every_key_of_every_block_has_its_exact_distribution(case: str) -> None:
    draws = drawn(case)
    for number in range(1, CASES[case][2] + 1):
        for key, expected in expectations(case, number).items():
            assert p_value(draws[number, key], expected) > BOUND, (number, key)


PAIRS = [
    ("dense_connections", "sparse_connections"),
    ("left", "right"),
    ("dense_connections", "left"),
    ("dense_operators", "sparse_operators"),
    ("dense_operators", "dense_width"),
    ("sparse_operators", "sparse_rows"),
    ("dense_width", "sparse_rows"),
    ("dense_to_sparse", "sparse_to_dense"),
    ("sparse_connections", "dense_operators"),
]


@pytest.mark.parametrize("case", CASES)
def test_keys_of_a_block_are_independent(case: str) -> None:
    draws, exact = drawn(case), expectations(case, 3)
    for one, two in PAIRS:
        values = zip(draws[3, one], draws[3, two], strict=True)
        assert p_value(values, joint(exact[one], exact[two])) > BOUND, (one, two)


@pytest.mark.parametrize("case", CASES)
def test_blocks_and_steps_are_independent(case: str) -> None:
    draws, before, exact = drawn(case), expectations(case, 2), expectations(case, 3)
    for key in ("dense_connections", "dense_operators", "dense_width", "sparse_to_dense"):
        values = zip(draws[2, key], draws[3, key], strict=True)
        assert p_value(values, joint(before[key], exact[key])) > BOUND, key
    operators = draws[3, "dense_operators"]
    values = zip(operators[::2], operators[1::2], strict=True)
    assert p_value(values, joint(exact["dense_operators"], exact["dense_operators"])) > BOUND


def test_the_test_can_fail() -> None:
    lists = drawn("any-connection binomial")[4, "dense_connections"]
    assert p_value(lists, subsets(range(4), "binomial")) > BOUND
    assert p_value(lists, subsets(range(4), "uniform")) < BOUND
    assert p_value(lists, dict.fromkeys(subsets(range(4), "uniform"), 1 / 15)) < BOUND


def test_full_is_everything() -> None:
    path = PathSampler(FULL, FULL_SPACE, "binomial", 0, seed=0).draw(3)[0].path
    for number, block in enumerate(path.blocks, 1):
        every = tuple(range(number))
        assert block == PathBlock(DENSE, 1024, SPARSE, 64, every, every, every, every, True, True)


def test_random_architectures_follow_the_fixed_distribution() -> None:
    space = FULL_SPACE.with_sizes(blocks=3)
    blocks = [architecture.blocks[2] for architecture in architectures(space, seed=1, n=20_000)]
    for key in LISTS:
        assert p_value((getattr(block, key) for block in blocks), subsets(range(3), "uniform")) > BOUND
    values = [(block.dense_operator, block.sparse_operator, block.dense_width, block.left) for block in blocks]
    exact = joint(uniform(DENSE), uniform(SPARSE), uniform(WIDTHS), uniform(range(3)))
    assert p_value(values, exact) > BOUND
    for architecture in architectures(space, seed=1, n=50):
        space.check(architecture)


def test_names_match_the_registry_names() -> None:
    known: list[Distribution] = [
        SINGLE_OPERATOR_ANY_CONNECTION,
        SINGLE_OPERATOR_SINGLE_CONNECTION,
        ANY_OPERATOR_ANY_CONNECTION,
        FULL,
    ]
    from nasrec_nni.plugins import registry

    assert all(registry("one_shot").load(distribution.name) is distribution for distribution in known)
