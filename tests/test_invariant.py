"""The central invariant: a supernet restricted to a path is the network of that path alone with sliced weights."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from nasrec_nni.architecture.canonical import canonical_path
from nasrec_nni.architecture.draw import random_architecture
from nasrec_nni.architecture.value import Architecture, Path
from nasrec_nni.operators.slices import SliceTape
from nasrec_nni.plugins import registry
from nasrec_nni.search_spaces.samples import to_sample
from nasrec_nni.search_spaces.space import NASRecFull, NASRecPlus, NASRecSmall, NASRecSpace
from nasrec_nni.strategies.one_shot.strategies import SingleOperatorAnyConnection

SPACES = {"nasrec-small": NASRecSmall, "nasrec-full": NASRecFull, "nasrec-plus": NASRecPlus}
BOTH = ("nasrec-small", "nasrec-plus")  # Plus holds every operator of Full
DISTRIBUTIONS = (
    "single-operator-any-connection",
    "single-operator-single-connection",
    "any-operator-any-connection",
    "full",
)
TOLERANCE = {"rtol": 1e-9, "atol": 1e-9}
ROWS = (7, 5, 11)


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def make_supernet(name: str, layer_norm: bool, seed: int, dense: int = 5, **sizes: object) -> NASRecSpace:
    """A supernet whose every weight, biases and norms included, is random."""
    torch.manual_seed(seed)
    space = SPACES[name](dense=dense, rows_per_field=ROWS, layer_norm=layer_norm, **sizes)
    supernet = SingleOperatorAnyConnection().mutate_model(space)
    with torch.no_grad():
        for parameter in supernet.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return supernet


def batch(size: int, dense: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.stack([torch.randint(rows, (size,), generator=generator) for rows in ROWS], 1)
    labels = torch.randint(2, (size,), generator=generator).to(torch.float64)
    return torch.randn(size, dense, generator=generator), ids, labels


def loss_of(model: torch.nn.Module, data: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    logits = model(data[0], data[1])
    return logits, torch.nn.functional.binary_cross_entropy_with_logits(logits, data[2])


def dense_gradient(parameter: Tensor) -> Tensor:
    if parameter.grad is None:
        return torch.zeros_like(parameter)
    return parameter.grad.to_dense() if parameter.grad.is_sparse else parameter.grad


def check(supernet: NASRecSpace, path: Path, data: tuple[Tensor, Tensor, Tensor], training: bool) -> None:
    supernet.train(training)
    supernet.zero_grad(set_to_none=True)
    supernet.activate(path)
    logits, loss = loss_of(supernet, data)
    loss.backward()
    network = supernet.network(path).train(training)
    alone, alone_loss = loss_of(network, data)
    alone_loss.backward()
    torch.testing.assert_close(logits, alone, **TOLERANCE)
    check_gradients(supernet, network)
    check_tape(supernet, data, dict(network.named_parameters()))


def check_gradients(supernet: NASRecSpace, network: torch.nn.Module) -> None:
    """Equal in the block that the network uses, zero around it and elsewhere."""
    used = dict(network.named_parameters())
    for name, parameter in supernet.named_parameters():
        gradient = dense_gradient(parameter)
        if name in used:
            block = tuple(slice(size) for size in used[name].shape)
            torch.testing.assert_close(gradient[block], dense_gradient(used[name]), **TOLERANCE)
            gradient = gradient.clone()
            gradient[block] = 0
        assert not gradient.any(), f"{name} has a gradient outside of what the path uses"


def check_tape(supernet: NASRecSpace, data: tuple[Tensor, Tensor, Tensor], used: dict[str, Tensor]) -> None:
    """Gradients of leaf slices are the network's gradients too."""
    supernet.zero_grad(set_to_none=True)
    tape = SliceTape()
    with tape.recording():
        _, loss = loss_of(supernet, data)
    loss.backward()
    names = {parameter: name for name, parameter in supernet.named_parameters()}
    for parameter, gradient in tape.gradients():
        reference = dense_gradient(used[names[parameter]])
        block = tuple(slice(size) for size in gradient.shape)
        torch.testing.assert_close(gradient, reference[block], **TOLERANCE)


@pytest.mark.parametrize("name", BOTH)
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(data=st.data())
def test_small_sizes(name: str, data: st.DataObject) -> None:
    blocks = data.draw(st.integers(1, 4), label="blocks")
    seed = data.draw(st.integers(0, 2**31), label="seed")
    dense = data.draw(st.sampled_from((1, 5, 8, 16, 40)), label="dense inputs")
    widths = data.draw(
        st.lists(st.sampled_from((4, 8, 16, 32, 64)), min_size=1, max_size=3, unique=True), label="widths"
    )
    rows = data.draw(st.lists(st.sampled_from((3, 4, 8, 12)), min_size=1, max_size=2, unique=True), label="rows")
    embedding, heads = data.draw(st.sampled_from(((8, 4), (4, 1), (16, 8))), label="E, heads")
    supernet = make_supernet(
        name,
        data.draw(st.booleans(), label="layer norm"),
        seed,
        dense,
        blocks=blocks,
        dense_widths=tuple(widths),
        sparse_rows=tuple(rows),
        embedding=embedding,
        heads=heads,
        max_connections=data.draw(st.integers(1, 4), label="max connections"),
    )
    distribution = registry("one_shot").load(data.draw(st.sampled_from(DISTRIBUTIONS), label="distribution"))
    path = distribution.draw(supernet.description, np.random.default_rng(seed), "uniform")
    size = data.draw(st.sampled_from((1, 2, 5)), label="batch")
    check(supernet, path, batch(size, dense, seed), data.draw(st.booleans(), label="training"))


@pytest.mark.parametrize("name", ["nasrec-small", "nasrec-full"])
def test_full_size(name: str) -> None:
    for layer_norm in (True, False):
        supernet = make_supernet(name, layer_norm, 3, dense=13)
        generator = np.random.default_rng(5)
        for number in range(10):
            path = random_architecture(supernet.description, generator).path
            check(supernet, path, batch(1 + number % 3, 13, number), training=bool(number % 2))


@pytest.mark.parametrize("name", BOTH)
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(seed=st.integers(0, 2**31), layer_norm=st.booleans(), blocks=st.integers(1, 4))
def test_freeze_slices_weights(name: str, seed: int, layer_norm: bool, blocks: int) -> None:
    supernet = make_supernet(name, layer_norm, seed, blocks=blocks, dense_widths=(16, 32), sparse_rows=(4, 8))
    architecture = random_architecture(supernet.description, np.random.default_rng(seed))
    data = batch(1 + seed % 3, 5, seed)
    frozen = supernet.freeze(to_sample(architecture, supernet.description))
    supernet.activate(architecture.path)
    found, loss = loss_of(frozen, data)
    expected, supernet_loss = loss_of(supernet, data)
    torch.testing.assert_close(found, expected, **TOLERANCE)
    loss.backward()
    supernet_loss.backward()
    check_gradients(supernet, frozen)
    frozen_canonical = supernet.freeze(to_sample(architecture.canonical, supernet.description))
    torch.testing.assert_close(frozen_canonical(*data[:2]), found, **TOLERANCE)


@pytest.mark.parametrize("name", BOTH)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(seed=st.integers(0, 2**31), distribution=st.sampled_from(DISTRIBUTIONS), blocks=st.integers(1, 4))
def test_dropout_is_the_same_under_the_same_random_state(name: str, seed: int, distribution: str, blocks: int) -> None:
    supernet = make_supernet(
        name, bool(seed % 2), seed, blocks=blocks, dense_widths=(16, 32), sparse_rows=(4, 8), dropout=0.3
    ).train()
    path = registry("one_shot").load(distribution).draw(supernet.description, np.random.default_rng(seed), "uniform")
    network = supernet.network(path).train()
    supernet.activate(path)
    data = batch(3, 5, seed)
    logits = []
    for model in (supernet, network):
        torch.manual_seed(seed)
        found, loss = loss_of(model, data)
        loss.backward()
        logits.append(found)
    torch.testing.assert_close(*logits, **TOLERANCE)
    check_gradients(supernet, network)
    torch.manual_seed(seed)
    assert not torch.equal(network.eval()(*data[:2]), logits[1])


@pytest.mark.parametrize("name", BOTH)
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(seed=st.integers(0, 2**31))
def test_equal_id_means_equal_function(name: str, seed: int) -> None:
    """Changes to what has no effect keep the id; the id changes where the function may."""
    supernet = make_supernet(name, True, seed, blocks=4, dense_widths=(16, 32), sparse_rows=(4, 8))
    generator = np.random.default_rng(seed)
    architecture = random_architecture(supernet.description, generator)
    canonical = architecture.canonical
    assert canonical.canonical == canonical
    assert canonical.id == architecture.id
    other = random_architecture(supernet.description, generator)
    blocks = tuple(
        type(own)(**{k: v if v is not None else getattr(strange, k) for k, v in vars(own).items()})
        for own, strange in zip(canonical.blocks, other.blocks, strict=True)
    )
    changed = Architecture(architecture.space, blocks)
    assert changed.id == architecture.id
    data = batch(3, 5, seed)
    supernet.activate(architecture.path)
    expected = supernet(*data[:2])
    supernet.activate(changed.path)
    torch.testing.assert_close(supernet(*data[:2]), expected, rtol=0, atol=0)
    supernet.activate(other.path)
    if other.id == architecture.id:
        torch.testing.assert_close(supernet(*data[:2]), expected, **TOLERANCE)
    else:
        assert canonical_path(other.path) != canonical_path(architecture.path)
        assert not torch.allclose(supernet(*data[:2]), expected, rtol=1e-12, atol=1e-12)


LENGTHS = (1, 3, 1)


def multi_valued(size: int, dense: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """A batch whose second field has one to three values, padded with -1."""
    numbers, ids, labels = batch(size, dense, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    more = torch.randint(ROWS[1], (size, 2), generator=generator)
    more = torch.where(torch.arange(2) < torch.randint(3, (size, 1), generator=generator), more, -1)
    return numbers, torch.cat((ids[:, :2], more, ids[:, 2:]), 1), labels


@pytest.mark.parametrize("name", BOTH)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(seed=st.integers(0, 2**31), distribution=st.sampled_from(DISTRIBUTIONS), training=st.booleans())
def test_with_a_multi_valued_field(name: str, seed: int, distribution: str, training: bool) -> None:
    supernet = make_supernet(
        name,
        bool(seed % 2),
        seed,
        blocks=1 + seed % 3,
        dense_widths=(16, 32),
        sparse_rows=(4, 8),
        lengths=LENGTHS,
        max_rows_per_field=(None, 4)[seed % 5 == 0],
    )
    data = multi_valued(1 + seed % 4, 5, seed)
    path = registry("one_shot").load(distribution).draw(supernet.description, np.random.default_rng(seed), "uniform")
    check(supernet, path, data, training)
    architecture = random_architecture(supernet.description, np.random.default_rng(seed))
    supernet.activate(architecture.path)
    frozen = supernet.freeze(to_sample(architecture, supernet.description))
    torch.testing.assert_close(frozen(*data[:2]), supernet(*data[:2]), **TOLERANCE)
