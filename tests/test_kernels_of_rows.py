"""The kernels that mix sparse rows and multiply pairs of them, against their definitions in float64."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from nasrec_nni.operators.kernels.fm import SumsOfPairs
from nasrec_nni.operators.kernels.mix import MixedRows
from nasrec_nni.operators.kernels.pairs import PairsOfRows
from nasrec_nni.operators.linear import LAYER_NORM_EPS

# Rows around the sizes of a tile, a block and a part; widths that fill vectors and such that do not.
COUNTS = st.sampled_from([1, 2, 3, 4, 5, 31, 32, 33, 200, 1023, 1024, 1025, 2050])
WIDTHS = st.sampled_from([2, 3, 6, 7, 8, 9, 15, 16, 17, 23, 24, 32, 39, 45, 48, 64])


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def mixed(xs: list[Tensor], maps: list[Tensor], weight: Tensor, bias: Tensor, relu: bool) -> Tensor:
    """By the definition."""
    total = torch.cat(xs, 1) @ torch.cat(maps)
    normed = F.layer_norm(total, weight.shape, weight, bias, LAYER_NORM_EPS)
    return normed.relu() if relu else normed


def drawn(count: int, sources: list[int], width: int, seed: int) -> tuple[list[Tensor], list[Tensor], Tensor, Tensor]:
    """Sources, maps, and the norm's weight and bias; maps are slices of larger ones, as a supernet has them."""
    torch.manual_seed(seed)
    xs = [torch.randn(count, rows) for rows in sources]
    maps = [torch.randn(rows + 3, width + 5)[:rows, :width] / sum(sources) ** 0.5 for rows in sources]
    return xs, maps, torch.rand(width) + 0.5, torch.randn(width)


@settings(max_examples=60, deadline=None)
@given(COUNTS, st.lists(st.integers(1, 70), min_size=1, max_size=4), WIDTHS, st.booleans(), st.integers(0, 2**32))
def test_mixed_rows_and_their_gradients_are_those_of_float64(
    count: int, sources: list[int], width: int, relu: bool, seed: int
) -> None:
    xs, maps, weight, bias = drawn(count, sources, width, seed)
    asked = [tensor.requires_grad_() for tensor in (weight, bias, *xs, *maps)]
    found = MixedRows.apply(relu, LAYER_NORM_EPS, *asked)
    exact = [tensor.detach().double().requires_grad_() for tensor in asked]
    number = len(xs)
    wanted = mixed(exact[2 : 2 + number], exact[2 + number :], exact[0], exact[1], relu)
    totals = (torch.cat(xs, 1).double() @ torch.cat(maps).double()).detach()
    flat = 1 / float(totals.std(1, correction=0).min())  # a row of nearly equal sums magnifies every rounding
    near = mixed(exact[2 : 2 + number], exact[2 + number :], exact[0], exact[1], False).abs() < 1e-5 * max(1, flat)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=2e-5 * max(1, flat))
    gradient = torch.randn(count, width)
    if relu:
        gradient[near] = 0  # either side of the ReLU's corner is right
    slopes = torch.autograd.grad(found, asked, gradient)
    wanted_slopes = torch.autograd.grad(wanted, exact, gradient.double())
    for slope, wanted_slope in zip(slopes, wanted_slopes, strict=True):
        size = float(wanted_slope.abs().max().clamp(min=1))
        bound = 2e-5 * size * max(1, flat) ** 2
        torch.testing.assert_close(slope.double(), wanted_slope, rtol=0, atol=bound)


def test_only_gradients_that_are_asked_for_are_made_and_scoring_gives_the_same_bits() -> None:
    xs, maps, weight, bias = drawn(300, [5, 26], 23, 0)
    wanted = [weight, bias, xs[0], xs[1].requires_grad_(), *[one.requires_grad_() for one in maps]]
    found = MixedRows.apply(True, LAYER_NORM_EPS, *wanted)
    found.sum().backward()
    assert xs[0].grad is None
    assert xs[1].grad is not None
    with torch.no_grad():
        assert torch.equal(MixedRows.apply(True, LAYER_NORM_EPS, *wanted), found)


@pytest.mark.parametrize("relu", [False, True])
def test_mixed_rows_hide_nothing_and_have_the_same_bits_on_all_threads(relu: bool, threads: None) -> None:
    results = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        xs, maps, weight, bias = drawn(3000, [7, 13], 24, 0)
        xs[1][9, 3] = float("nan")
        asked = [tensor.requires_grad_() for tensor in (weight, bias, *xs, *maps)]
        found = MixedRows.apply(relu, LAYER_NORM_EPS, *asked)
        assert found[9].isnan().all()
        others = torch.cat((found[:9], found[10:]))
        assert not others.isnan().any()
        results.append((found, *torch.autograd.grad(found[10:].square().sum(), asked)))
    for several in results[1:]:
        for one, other in zip(results[0], several, strict=True):
            assert torch.equal(one.nan_to_num(1e9), other.nan_to_num(1e9))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9), st.integers(1, 20), st.integers(1, 69), st.integers(0, 2**32))
def test_pairs_of_rows_and_their_gradients_are_those_of_float64(batch: int, width: int, rows: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, width, generator=generator).requires_grad_()
    y = torch.randn(batch, width, rows, generator=generator).requires_grad_()
    exact = [one.detach().double().requires_grad_() for one in (x, y)]
    first, second = torch.tril_indices(rows + 1, rows + 1, -1)
    joined = torch.cat((exact[0].unsqueeze(2), exact[1]), 2)
    found, wanted = PairsOfRows.apply(x, y), (joined[:, :, first] * joined[:, :, second]).sum(1)
    torch.testing.assert_close(found.double(), wanted, rtol=0, atol=1e-4)
    gradient = torch.randn(found.shape, generator=generator)
    slopes = torch.autograd.grad(found, (x, y), gradient)
    for slope, wanted_slope in zip(slopes, torch.autograd.grad(wanted, exact, gradient.double()), strict=True):
        torch.testing.assert_close(slope.double(), wanted_slope, rtol=0, atol=1e-4)


def test_pairs_of_rows_hide_nothing_and_have_the_same_bits_on_all_threads(threads: None) -> None:
    results = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        x = torch.randn(700, 5, 11, generator=torch.Generator().manual_seed(0))
        x[3, 2, 4] = float("nan")
        given = (x[:, :, 0].requires_grad_(), x[:, :, 1:].requires_grad_())
        found = PairsOfRows.apply(*given)
        assert found[3].isnan().sum() == 10  # the pairs of that row
        assert not torch.cat((found[:3], found[4:])).isnan().any()
        results.append((found[4:], *torch.autograd.grad(found[4:].square().sum(), given)))
    for several in results[1:]:
        for one, other in zip(results[0], several, strict=True):
            assert torch.equal(one.nan_to_num(1e9), other.nan_to_num(1e9))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9), st.integers(1, 20), st.integers(1, 70), st.integers(0, 2**32))
def test_sums_of_pairs_and_their_gradient_are_those_of_float64(batch: int, width: int, rows: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, width, rows, generator=generator).requires_grad_()
    exact = x.detach().double().requires_grad_()
    found, wanted = SumsOfPairs.apply(x), exact.sum(2).square() - exact.square().sum(2)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-4)
    gradient = torch.randn(found.shape, generator=generator)
    (slope,) = torch.autograd.grad(found, x, gradient)
    (wanted_slope,) = torch.autograd.grad(wanted, exact, gradient.double())
    torch.testing.assert_close(slope.double(), wanted_slope, rtol=1e-5, atol=1e-4)


def test_sums_of_pairs_hide_nothing() -> None:
    x = torch.randn(700, 5, 11)
    x[3, 2, 4] = float("nan")
    assert SumsOfPairs.apply(x).isnan().nonzero().tolist() == [[3, 2]]
