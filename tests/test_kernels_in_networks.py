"""Whole networks in float32, kernels included, against the same weights in float64; and under mixed precision."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from nasrec_nni.architecture.draw import random_architecture, stream
from nasrec_nni.network import NASRecNetwork, TableSettings
from nasrec_nni.operators import linear
from nasrec_nni.operators.kernels.attention import HeadsOfTwo
from nasrec_nni.plugins import registry
from nasrec_nni.profiling import Sizes

ROWS = (7, 5, 11, 30)
DENSE, BATCH = 5, 9


@pytest.fixture(scope="module", autouse=True)
def kernels_for_few_rows() -> Iterator[None]:
    """They would leave a batch of this size to torch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear, "KERNEL_ROWS", 1)
        yield


def network(space: str, seed: int, layer_norm: bool) -> NASRecNetwork:
    """That of a random architecture."""
    description = registry("search_spaces").load(space)
    sizes = Sizes.of(description, DENSE, len(ROWS), layer_norm)
    torch.manual_seed(seed)
    architecture = random_architecture(description, stream(seed, "test", 0))
    return NASRecNetwork(architecture, sizes, TableSettings(ROWS, init=0.3))


def batch(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.stack([torch.randint(rows, (BATCH,), generator=generator) for rows in ROWS], 1)
    return torch.randn(BATCH, DENSE, generator=generator), ids


def gradients(model: torch.nn.Module, dense: Tensor, ids: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits, and the gradient of every weight that has one."""
    logits = model(dense, ids)
    logits.square().sum().backward()
    found = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    return logits.detach(), {name: g.to_dense() if g.is_sparse else g for name, g in found.items()}


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(["nasrec-plus", "nasrec-full", "nasrec-small"]), st.integers(0, 10_000), st.booleans())
def test_float32_is_float64_but_for_rounding(space: str, seed: int, layer_norm: bool) -> None:
    single = network(space, seed, layer_norm)
    plain, double = copy.deepcopy(single), copy.deepcopy(single).double()
    dense, ids = batch(seed)
    logits, found = gradients(single, dense, ids)
    wanted_logits, wanted = gradients(double, dense.double(), ids)
    assert found.keys() == wanted.keys()
    assert logits.isfinite().all()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear, "KERNEL_ROWS", 1 << 30)
        torchs_logits, torchs = gradients(plain, dense, ids)
    bound = 2e-3 * wanted_logits.abs().max().clamp(min=1)
    far_bound = 1e-3 * torch.cat([one.flatten() for one in wanted.values()]).norm() + 1e-6
    # Without layer norm activations may explode, so that torch's own float32 cannot tell either: nothing to compare.
    assume((torchs_logits.double() - wanted_logits).abs().max() <= bound / 4)
    assume(_far(torchs, wanted) <= far_bound / 4)
    torch.testing.assert_close(logits.double(), wanted_logits, rtol=0, atol=float(bound))
    assert _far(found, wanted) <= far_bound


def _far(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> Tensor:
    return torch.cat([(found[name].double() - wanted[name]).flatten() for name in wanted]).norm()


def test_exploding_scores_of_attention_stay_numbers() -> None:
    """Scores of 1e10 are rounded by thousands; the largest and the others once more differently."""
    x = torch.randn(4, 64, 3, 8, 2, generator=torch.Generator().manual_seed(0)).mul_(2e5).requires_grad_()
    out = HeadsOfTwo.apply(x)
    out.sum().backward()
    assert out.isfinite().all() and x.grad is not None and x.grad.isfinite().all()
    v = x[:, :, 2]
    assert (out <= v.amax(1, keepdim=True) * 1.0001 + 1).all() and (out >= v.amin(1, keepdim=True) * 1.0001 - 1).all()


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(["nasrec-plus", "nasrec-full", "nasrec-small"]), st.integers(0, 10_000))
def test_every_operator_works_under_mixed_precision(space: str, seed: int) -> None:
    model = network(space, seed, True)
    dense, ids = batch(seed)
    with torch.no_grad():
        exact = model(dense, ids)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(dense, ids)
    logits.float().square().sum().backward()
    assert all(weight.grad is None or weight.grad.dtype == torch.float32 for weight in model.parameters())
    assert (logits.float() - exact).norm() <= 0.15 * exact.norm() + 0.05
