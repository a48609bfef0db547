"""The order computed on the fly: a bijection, and as good as a random one."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from nasrec_nni.data.shuffle import Shuffle

SEEDS = st.integers(0, 2**32 - 1)


def whole(n: int, seed: int = 0, epoch: int = 0) -> np.ndarray:
    return Shuffle(n, seed, epoch).at(np.arange(n))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(n=st.integers(1, 5000), seed=SEEDS, epoch=st.integers(0, 100))
def test_every_number_once(n: int, seed: int, epoch: int) -> None:
    found = whole(n, seed, epoch)
    assert found.dtype == np.int64
    assert np.array_equal(np.sort(found), np.arange(n))


@pytest.mark.parametrize("n", range(1, 40))
def test_every_number_once_of_few(n: int) -> None:
    for seed in range(30):
        assert sorted(whole(n, seed)) == list(range(n))


@settings(max_examples=50, deadline=None, derandomize=True)
@given(n=st.integers(1, 10**12), seed=SEEDS, data=st.data())
def test_any_positions_in_any_order(n: int, seed: int, data: st.DataObject) -> None:
    positions = np.array(data.draw(st.lists(st.integers(0, n - 1), max_size=30)), np.int64)
    shuffle = Shuffle(n, seed, 1)
    found = shuffle.at(positions)
    assert ((found >= 0) & (found < n)).all()
    assert found.tolist() == [shuffle.at(positions[k : k + 1])[0] for k in range(len(positions))]
    assert len(set(found.tolist())) == len(set(positions.tolist()))


def test_seed_and_epoch_make_other_orders_and_nothing_else_does() -> None:
    orders = [whole(1000, seed, epoch) for seed in range(4) for epoch in range(4)]
    for k, one in enumerate(orders):
        for other in orders[:k]:
            assert (one == other).mean() < 0.02
    assert np.array_equal(whole(1000, 2, 3), orders[11])


def test_all_orders_of_four_are_equally_frequent() -> None:
    """Over epochs, as training takes them; seeded, so that the outcome is fixed."""
    codes = [tuple(whole(4, 5, epoch)) for epoch in range(4800)]
    counts = np.array([codes.count(order) for order in set(codes)])
    assert len(counts) == 24
    assert float(((counts - 200) ** 2 / 200).sum()) < chi2.ppf(0.9999, 23)


def test_places_are_uniform() -> None:
    """Where blocks of the order come from: 20 × 20 cells, sum over orders, chi-square with both margins fixed."""
    n, parts = 10_007, 20
    statistic = 0.0
    for seed in range(20):
        table = np.histogram2d(np.arange(n), whole(n, seed), bins=parts, range=[[0, n]] * 2)[0]
        expected = table.sum(1, keepdims=True) * table.sum(0, keepdims=True) / n
        statistic += float(((table - expected) ** 2 / expected).sum())
    freedom = 20 * (parts - 1) ** 2
    assert chi2.ppf(0.0001, freedom) < statistic < chi2.ppf(0.9999, freedom)


def test_neighbours_are_independent() -> None:
    """Pairs that stand beside each other, and at a distance of the network's row length."""
    n, parts = 10_007, 20
    for distance in (1, 100, 101, 4096):
        statistic = 0.0
        for seed in range(20):
            order = whole(n, seed)
            table = np.histogram2d(order[:-distance], order[distance:], bins=parts, range=[[0, n]] * 2)[0]
            expected = table.sum(1, keepdims=True) * table.sum(0, keepdims=True) / table.sum()
            statistic += float(((table - expected) ** 2 / expected).sum())
        freedom = 20 * (parts - 1) ** 2
        assert chi2.ppf(0.0001, freedom) < statistic < chi2.ppf(0.9999, freedom), distance


def test_no_trace_of_the_file_order() -> None:
    n = 20_000
    for seed in range(20):
        order = whole(n, seed)
        assert abs(np.corrcoef(np.arange(n), order)[0, 1]) < 5 / n**0.5
        assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 5 / n**0.5
        assert (order == np.arange(n)).sum() < 10  # 1 in the mean
        steps = np.abs(np.diff(order))
        assert (steps == 1).sum() < 15  # 2 in the mean


def test_batches_hold_a_fair_share_of_every_part_of_the_file() -> None:
    """The first batch of a log sorted by time has rows of each hour, as drawing without replacement gives them."""
    n, k, parts = 1_018_100, 4096, 32
    statistic = 0.0
    for seed in range(30):
        counts = np.bincount(Shuffle(n, seed, 0).at(np.arange(k)) * parts // n, minlength=parts)
        statistic += float(((counts - k / parts) ** 2 / (k / parts)).sum())
    assert chi2.ppf(0.0001, 30 * (parts - 1)) < statistic < chi2.ppf(0.9999, 30 * (parts - 1))


def test_memory_grows_by_the_root() -> None:
    tracemalloc.start()
    try:
        shuffle = Shuffle(10**9, 0, 0)
        shuffle.at(np.arange(4096))
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_impossible_sizes_and_positions_are_refused() -> None:
    with pytest.raises(ValueError, match="nothing to shuffle"):
        Shuffle(0, 0, 0)
    for position in (-1, 10):
        with pytest.raises(IndexError, match=r"outside 0\.\.9"):
            Shuffle(10, 0, 0).at(np.array([3, position]))
    assert len(Shuffle(10, 0, 0).at(np.array([], np.int64))) == 0
