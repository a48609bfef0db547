"""Compiled kernels against torch's own operations in float64."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numba
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from nasrec_nni.operators.attn import attended_heads
from nasrec_nni.operators.dp import PairProducts, pair_numbers
from nasrec_nni.operators.kernels.attention import HeadsOfTwo
from nasrec_nni.operators.kernels.compiled import compiled
from nasrec_nni.operators.kernels.norm import LayerNorm
from nasrec_nni.operators.linear import LAYER_NORM_EPS, layer_norm
from nasrec_nni.operators.mergers import PairSums

TOLERANCE = 2e-6  # of float32 numbers of size 1


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def plain(projected: Tensor) -> Tensor:
    """Attention by its definition."""
    query, key, value = projected.permute(2, 0, 3, 1, 4)
    weights = torch.softmax(query @ key.transpose(2, 3) / projected.shape[-1] ** 0.5, 3)
    return (weights @ value).transpose(1, 2)


def projected(batch: int, rows: int, heads: int, seed: int, size: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return size * torch.randn(batch, rows, 3, heads, 2, generator=generator)


def test_kernels_work_where_nothing_can_be_kept_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    njit = numba.njit

    def without_a_place(*given: Any, **settings: Any) -> Any:
        if settings.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return njit(*given, **settings)

    monkeypatch.setattr(numba, "njit", without_a_place)
    assert compiled(lambda x: x + 1)(2) == 3


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 5),
    st.integers(1, 70),
    st.integers(1, 8),
    st.integers(0, 2**32),
    st.sampled_from([0.0, 1e-3, 1.0, 8.0]),
)
def test_attention_and_its_gradient_are_those_of_float64(
    batch: int, rows: int, heads: int, seed: int, size: float
) -> None:
    x = projected(batch, rows, heads, seed, size).requires_grad_()
    gradient = torch.randn(batch, rows, heads, 2, generator=torch.Generator().manual_seed(seed + 1))
    found = HeadsOfTwo.apply(x)
    (slope,) = torch.autograd.grad(found, x, gradient)
    exact = x.detach().double().requires_grad_()
    wanted = plain(exact)
    (wanted_slope,) = torch.autograd.grad(wanted, exact, gradient.double())
    # An exponent of size s is off by s float32 roundings, however it is computed.
    bound = TOLERANCE * (1 + size**2) * (1 + size)
    torch.testing.assert_close(found.double(), wanted, rtol=0, atol=bound)
    torch.testing.assert_close(slope.double(), wanted_slope, rtol=0, atol=4 * bound * (1 + rows / 8))


def test_the_kernel_is_as_exact_as_torchs_attention() -> None:
    x = projected(64, 48, 8, 0)
    query, key, value = x.permute(2, 0, 3, 1, 4)
    exact = plain(x.double())
    theirs = (F.scaled_dot_product_attention(query, key, value).transpose(1, 2) - exact).abs().max()
    assert (attended_heads(x) - exact).abs().max() < 2 * theirs


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_number_that_is_not_finite_is_not_hidden(bad: float, part: int) -> None:
    x = projected(4, 9, 3, 0)
    x[1, 4, part, 2, 1] = bad
    found = HeadsOfTwo.apply(x)
    assert not torch.isfinite(found[1]).all()
    assert torch.isfinite(found[[0, 2, 3]]).all()


def test_exponents_far_apart_neither_overflow_nor_vanish() -> None:
    x = projected(3, 20, 2, 0, size=60.0)
    torch.testing.assert_close(HeadsOfTwo.apply(x).double(), plain(x.double()), rtol=0, atol=60 * 2e-3)


def test_threads_do_not_change_a_bit(threads: None) -> None:
    results = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        x = projected(7, 33, 8, 1).requires_grad_()
        found = HeadsOfTwo.apply(x)
        results.append((found, torch.autograd.grad(found.square().sum(), x)[0]))
    for found, slope in results[1:]:
        assert torch.equal(found, results[0][0])
        assert torch.equal(slope, results[0][1])


@pytest.mark.parametrize("width", [1, 2, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_head_width_and_type_has_attention(width: int, dtype: torch.dtype) -> None:
    x = torch.randn(3, 11, 3, 4, width, dtype=dtype, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(attended_heads(x), plain(x))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), st.integers(1, 6), st.integers(1, 20), st.integers(0, 2**32))
def test_pair_sums_have_the_gradient_of_their_definition(batch: int, width: int, rows: int, seed: int) -> None:
    x = torch.randn(batch, width, rows, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    assert torch.autograd.gradcheck(PairSums.apply, x.requires_grad_())
    torch.testing.assert_close(PairSums.apply(x), x.sum(2).square() - x.square().sum(2))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), st.integers(1, 6), st.integers(2, 12), st.integers(0, 2**32))
def test_pair_products_have_the_gradient_of_their_definition(batch: int, width: int, rows: int, seed: int) -> None:
    x = torch.randn(batch, width, rows, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    first, second = torch.tril_indices(rows, rows, -1)
    numbers = pair_numbers(rows)
    assert torch.equal(numbers[first, second], torch.arange(len(first)))
    given = (x.requires_grad_(), first * rows + second, numbers.flatten())
    assert torch.autograd.gradcheck(PairProducts.apply, given)
    torch.testing.assert_close(PairProducts.apply(*given), (x[:, :, first] * x[:, :, second]).sum(1))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 40) | st.sampled_from([1023, 1024, 2050]),
    st.integers(1, 70) | st.sampled_from([512, 1024]),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_layer_norm_and_its_gradients_are_those_of_float64(rows: int, width: int, relu: bool, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = 2 * torch.randn(rows, width, generator=generator) + 1
    weight, bias, gradient = (torch.randn(*shape, generator=generator) for shape in ((width,), (width,), (rows, width)))
    given = [tensor.requires_grad_() for tensor in (x, weight, bias)]
    found = LayerNorm.apply(*given, LAYER_NORM_EPS, relu)
    slopes = torch.autograd.grad(found, given, gradient)
    exact = [tensor.detach().double().requires_grad_() for tensor in given]
    wanted = layer_norm(*exact, relu)
    near = (wanted.abs() < 1e-4) & (wanted > 0) if relu else torch.zeros_like(wanted, dtype=torch.bool)
    if near.any():  # either side of the ReLU's corner is right
        return
    wanted_slopes = torch.autograd.grad(wanted, exact, gradient.double())
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=2e-5)
    for slope, wanted_slope in zip(slopes, wanted_slopes, strict=True):
        size = wanted_slope.abs().max().clamp(min=1)
        torch.testing.assert_close(slope.double(), wanted_slope, rtol=0, atol=float(5e-5 * size * max(1, 8 / width)))


@pytest.mark.parametrize("relu", [False, True])
def test_layer_norm_hides_nothing_and_has_the_same_bits_on_all_threads(relu: bool, threads: None) -> None:
    x = torch.randn(3000, 24, generator=torch.Generator().manual_seed(0))
    x[7, 3] = float("nan")
    weight, bias = torch.rand(24), torch.randn(24)
    results = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        given = [tensor.clone().requires_grad_() for tensor in (x, weight, bias)]
        found = LayerNorm.apply(*given, LAYER_NORM_EPS, relu)
        assert found[7].isnan().all()
        assert not found[8:].isnan().any()
        results.append((found, *torch.autograd.grad(found[8:].square().sum(), given)))
    for others in results[1:]:
        for one, other in zip(results[0], others, strict=True):
            assert torch.equal(one.nan_to_num(1e9), other.nan_to_num(1e9))
