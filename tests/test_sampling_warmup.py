"""Warm-up (SPEC section 5) and the promise that a draw depends on seed and step only."""

from __future__ import annotations

import itertools
import time
from collections import Counter

import numpy as np
import pytest
from scipy.stats import binom, chisquare

from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.architecture.value import Path
from nasrec_nni.strategies.sampling import (
    ANY_OPERATOR_ANY_CONNECTION,
    FULL,
    SINGLE_OPERATOR_ANY_CONNECTION,
    SINGLE_OPERATOR_SINGLE_CONNECTION,
    PathSampler,
    architectures,
    full_probability,
    random_architecture,
)
from nasrec_nni.strategies.sampling.warmup import draw

SMALL = SpaceDescription("nasrec-small", ("fc", "dp"), ("efc",))
STRATEGIES = [SINGLE_OPERATOR_ANY_CONNECTION, SINGLE_OPERATOR_SINGLE_CONNECTION, ANY_OPERATOR_ANY_CONNECTION]


def macro_full(path: Path) -> bool:
    """Only a full macro part gives several left sources."""
    return len(path.blocks[-1].left) == len(path.blocks)


def micro_full(path: Path) -> tuple[bool, ...]:
    """Exact where a strategy draws one operator a side."""
    return tuple(len(block.dense_operators) == 2 for block in path.blocks)


def test_probability_is_zero_at_step_0_then_falls_from_1_to_0() -> None:
    assert [full_probability(step, 4) for step in range(7)] == [0, 0.75, 0.5, 0.25, 0, 0, 0]
    assert full_probability(0, 0) == full_probability(5, 0) == 0


@pytest.mark.parametrize(("step", "draws"), [(100, 20_000), (250, 100_000), (900, 20_000)])
def test_macro_coin_and_block_coins_are_independent_with_one_probability(step: int, draws: int) -> None:
    space, generator = SMALL.with_sizes(blocks=3), np.random.default_rng(5)
    p = full_probability(step, 1000)
    paths = (draw(SINGLE_OPERATOR_ANY_CONNECTION, space, generator, "binomial", p) for _ in range(draws))
    seen = Counter((macro_full(path), *micro_full(path)) for path in paths)
    cells = list(itertools.product((False, True), repeat=4))
    observed = [seen[cell] for cell in cells]

    def expected(p: float) -> list[float]:
        return [draws * float(np.prod([p if full else 1 - p for full in cell])) for cell in cells]

    assert chisquare(observed, expected(p)).pvalue > 1e-6
    assert chisquare(observed, expected(p - 0.03)).pvalue < 1e-6


def test_what_is_not_full_in_warm_up_is_the_strategys_own_draw() -> None:
    space, generator = SMALL.with_sizes(blocks=4), np.random.default_rng(6)
    paths = [draw(SINGLE_OPERATOR_ANY_CONNECTION, space, generator, "binomial", 0.5) for _ in range(20_000)]
    counts = Counter(len(path.blocks[3].dense_connections) for path in paths if not macro_full(path))
    total = sum(counts.values())
    expected = [total * share for share in (1 / 8, 3 / 8, 3 / 8, 1 / 8)]
    assert chisquare([counts[size] for size in (1, 2, 3, 4)], expected).pvalue > 1e-6
    widths = Counter(path.blocks[3].dense_width for path in paths if not micro_full(path)[3])
    assert chisquare([widths[width] for width in SMALL.dense_widths]).pvalue > 1e-6
    for path in paths[:200]:
        for full, block in zip(micro_full(path), path.blocks, strict=True):
            if full:
                assert (block.dense_width, block.sparse_rows) == (1024, 64)
                assert block.dense_to_sparse
                assert block.sparse_to_dense


def test_over_a_training_full_paths_fade_out() -> None:
    sampler = PathSampler(SINGLE_OPERATOR_ANY_CONNECTION, SMALL, "binomial", warmup_steps=4000, seed=7)
    full = np.array([(macro_full(path), *micro_full(path)) for ((path, _),) in map(sampler.draw, range(5000))])
    for quarter in range(4):
        share = 1 - (quarter + 0.5) / 4
        low, high = binom.interval(1 - 1e-6, 1000, share)
        assert low <= full[quarter * 1000 : (quarter + 1) * 1000, 0].sum() <= high
        low, high = binom.interval(1 - 1e-6, 7000, share)
        assert low <= full[quarter * 1000 : (quarter + 1) * 1000, 1:].sum() <= high
    assert not full[0].any()
    assert not full[4000:].any()


def test_full_needs_no_warm_up() -> None:
    sampler = PathSampler(FULL, SMALL, "binomial", warmup_steps=10, seed=0)
    assert sampler.draw(0) == sampler.draw(5) == sampler.draw(50)


@pytest.mark.parametrize("distribution", STRATEGIES, ids=lambda strategy: strategy.name)
def test_a_draw_depends_on_seed_and_step_only(distribution: object) -> None:
    def sampler(seed: int) -> PathSampler:
        return PathSampler(distribution, SMALL, "binomial", warmup_steps=30, seed=seed)  # type: ignore[arg-type]

    forwards = [sampler(3).draw(step) for step in range(60)]
    one = sampler(3)
    backwards = [one.draw(step) for step in reversed(range(60))][::-1]
    np.random.seed(0)
    assert forwards == backwards
    assert forwards != [sampler(4).draw(step) for step in range(60)]
    assert len({path for ((path, _),) in forwards[30:]}) > 25
    assert all(role == "student" for ((_, role),) in forwards)


def test_lists_ascend_and_architectures_depend_on_seed_and_position_only() -> None:
    for path, _ in (
        PathSampler(ANY_OPERATOR_ANY_CONNECTION, SMALL, "uniform", 0, 1).draw(step)[0] for step in range(100)
    ):
        for block in path.blocks:
            assert list(block.dense_connections) == sorted(set(block.dense_connections))
            assert list(block.sparse_connections) == sorted(set(block.sparse_connections))
            assert len(block.dense_connections) <= 4
    assert architectures(SMALL, 2, 20)[:10] == architectures(SMALL, 2, 10)
    assert architectures(SMALL, 2, 5) != architectures(SMALL, 3, 5)
    one, two = np.random.default_rng(1), np.random.default_rng(1)
    assert random_architecture(SMALL, one) == random_architecture(SMALL, two)


def test_a_draw_takes_less_than_half_a_millisecond() -> None:
    space = SpaceDescription("nasrec-full", ("fc", "dp", "sg", "sum"), ("attn", "efc"))
    sampler = PathSampler(ANY_OPERATOR_ANY_CONNECTION, space, "binomial", 10_000, 0)
    rounds = []
    for start in range(0, 2000, 200):
        before = time.process_time()
        for step in range(start, start + 200):
            sampler.draw(step)
        rounds.append((time.process_time() - before) / 200)
    assert min(rounds) < 0.5e-3
