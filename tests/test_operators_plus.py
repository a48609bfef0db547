"""The operators of NASRec-Plus: their formulas written out, MACs against a counter, export, what the space does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from nasrec_nni.architecture.description import Shape
from nasrec_nni.architecture.draw import random_architecture
from nasrec_nni.architecture.value import Architecture, Block
from nasrec_nni.network import NASRecNetwork, TableSettings
from nasrec_nni.network.build import build_operator
from nasrec_nni.operators.fap import MatrixProducts
from nasrec_nni.operators.inputs import Inputs, Limits, Rows
from nasrec_nni.operators.linear import ColumnMap, RowMap
from nasrec_nni.plugins import registry
from nasrec_nni.profiling import Sizes
from nasrec_nni.strategies.search.encoding import encode
from nasrec_nni.strategies.search.mutation import mutate

NEW = ("cross", "fap", "gate", "bilinear")
PLUS = registry("search_spaces").load("nasrec-plus")
WIDTH = 16
NORMS = pytest.mark.parametrize("layer_norm", [True, False], ids=["norm", "bias"])


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def sources(batch: int, dense: dict[int, int], rows: dict[int, tuple[int, int]]) -> Inputs:
    torch.manual_seed(batch)
    return Inputs(
        {j: torch.randn(batch, w) for j, w in dense.items()},
        {
            j: Rows(torch.randn(batch, WIDTH, a), torch.randn(batch, WIDTH, b) if b else None)
            for j, (a, b) in rows.items()
        },
        (torch.randn(batch, 5),),
        (torch.randn(batch, 24),),
    )


def operator(name: str, dense: dict[int, int], rows: dict[int, tuple[int, int]], out: int, norm: bool) -> nn.Module:
    module = build_operator(name, Limits(dense, rows, 24, out, WIDTH, 8, norm, elastic=False))
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return module


@pytest.mark.parametrize("name", NEW)
@settings(max_examples=12, deadline=None)
@given(
    out=st.sampled_from((4, 16, 24, 36, 64)),
    dense=st.dictionaries(st.integers(0, 3), st.sampled_from((1, 5, 16, 64)), min_size=1, max_size=3),
    rows=st.dictionaries(
        st.integers(0, 3),
        st.tuples(st.sampled_from((3, 8, 16)), st.sampled_from((0, 8))),
        min_size=1,
        max_size=3,
    ),
    layer_norm=st.booleans(),
    batch=st.integers(1, 3),
)
def test_macs_and_parameters_are_those_of_the_module(
    name: str,
    out: int,
    dense: dict[int, int],
    rows: dict[int, tuple[int, int]],
    layer_norm: bool,
    batch: int,
) -> None:
    """The counter knows matrix products; products in place are told to it."""
    inputs = sources(batch, dense, rows)
    module = operator(name, dense, rows, out, layer_norm)
    shape = Shape(dense, {j: a + b for j, (a, b) in rows.items()}, 5, 24, out, WIDTH, layer_norm)
    facts = registry("operators").load(name)
    in_place = {torch.ops.aten.addmm_: lambda total, a, b, *_, **__: 2 * a[0] * a[1] * b[1]}
    with FlopCounterMode(display=False, custom_mapping=in_place) as counter:
        found = module(inputs, out)
    assert found.shape == ((batch, out) if facts.side == "dense" else (batch, WIDTH, out))
    assert counter.get_total_flops() == 2 * batch * facts.macs(shape)
    assert sum(weight.numel() for weight in module.parameters()) == facts.parameters(shape)


def normed(norm: nn.Module | None, x: Tensor) -> Tensor:
    return x if norm is None else F.layer_norm(x, x.shape[-1:], norm.weight, norm.bias)


def columns(module: ColumnMap, dense: dict[int, Tensor]) -> Tensor:
    weight = torch.cat([module.weight[str(j)] for j in dense])
    total = torch.cat(tuple(dense.values()), 1) @ weight
    return normed(module.tail.norm, total if module.tail.bias is None else total + module.tail.bias)


def mixed(module: RowMap, sparse: dict[int, Rows]) -> Tensor:
    """Rows as a person writes them, `[B, S, E]`."""
    weights: list[Tensor] = []
    for j, rows in sparse.items():
        weights += [module.weight[str(j)]] + ([module.merger[str(j)]] if rows.merger_rows else [])
    stacked = torch.cat([rows.tensor for rows in sparse.values()], 2)
    total = torch.einsum("ber,rs->bes", stacked, torch.cat(weights))
    total = normed(module.tail.norm, total if module.tail.bias is None else total + module.tail.bias)
    return total.transpose(1, 2)


def flat(module: nn.Module, sparse: dict[int, Rows]) -> Tensor:
    total = mixed(module.map, sparse).flatten(1) @ module.weight
    return normed(module.tail.norm, total if module.tail.bias is None else total + module.tail.bias)


def cross(module: nn.Module, inputs: Inputs) -> Tensor:
    first = flat(module.sparse, inputs.sparse)
    x = first + columns(module.dense, inputs.dense)
    return normed(module.norm, first * (x @ module.weight + module.bias) + x)


def gate(module: nn.Module, inputs: Inputs) -> Tensor:
    dense, sparse = columns(module.dense, inputs.dense).relu(), flat(module.sparse, inputs.sparse).relu()
    share = torch.sigmoid((dense + sparse) @ module.weight + module.bias)
    return share * dense + (1 - share) * sparse


def fap(module: nn.Module, inputs: Inputs) -> Tensor:
    rows = mixed(module.map, inputs.sparse)
    pairs = [(a, b) for a in range(rows.shape[1]) for b in range(a)]
    matrices = module.matrices.view(len(pairs), WIDTH, WIDTH)
    products = [
        torch.einsum("be,ef,bf->b", rows[:, b], one, rows[:, a]) for (a, b), one in zip(pairs, matrices, strict=True)
    ]
    total = torch.stack(products, 1) @ module.weight
    return normed(module.tail.norm, total if module.tail.bias is None else total + module.tail.bias)


def bilinear(module: nn.Module, inputs: Inputs) -> Tensor:
    left, right = mixed(module.left, inputs.sparse), mixed(module.right, inputs.sparse)
    return (left + torch.einsum("fe,bse->bsf", module.weight, left) * right).transpose(1, 2)


@NORMS
@pytest.mark.parametrize("written", [cross, fap, gate, bilinear], ids=lambda one: one.__name__)
@pytest.mark.parametrize("out", [16, 48])
def test_formula(written: object, layer_norm: bool, out: int) -> None:
    dense, rows = {0: 5, 2: 32}, {0: (7, 0), 1: (16, 8)}
    module, inputs = operator(written.__name__, dense, rows, out, layer_norm), sources(4, dense, rows)
    torch.testing.assert_close(module(inputs, out), written(module, inputs), rtol=1e-9, atol=1e-9)


def test_bilinear_is_a_weighted_sum_of_all_pairs() -> None:
    """FiBiNET's interactions of all pairs of rows, added to mixed rows."""
    rows = {0: (6, 0)}
    module, inputs = operator("bilinear", {0: 1}, rows, 4, False), sources(3, {0: 1}, rows)
    for side in (module.left, module.right):
        nn.init.zeros_(side.tail.bias)
    x = inputs.sparse[0].tensor.transpose(1, 2)
    interactions = torch.einsum("fe,bie,bjf->bijf", module.weight, x, x)
    left, right = module.left.weight["0"], module.right.weight["0"]
    expected = torch.einsum("is,bie->bes", left, x) + torch.einsum("is,js,bijf->bfs", left, right, interactions)
    torch.testing.assert_close(module(inputs, 4), expected, rtol=1e-9, atol=1e-9)


def test_a_second_cross_on_the_same_rows_is_the_next_layer_of_dcnv2() -> None:
    """With equal x_0, and the first layer passed on whole: third powers of the input, and no higher ones."""
    rows = {0: (3, 0)}
    one, two = (operator("cross", {0: 4}, rows, 4, False) for _ in "12")
    two.sparse.load_state_dict(one.sparse.state_dict())
    with torch.no_grad():
        for module in (one, two):
            for bias in (module.sparse.map.tail.bias, module.sparse.tail.bias, module.dense.tail.bias):
                bias.zero_()
        one.dense.weight["0"].zero_()
        two.dense.weight["0"].copy_(torch.eye(4))
    values = []
    for scale in range(5):
        inputs = sources(2, {0: 4}, rows)
        scaled = replace(inputs, sparse={0: Rows(scale * inputs.sparse[0].tensor)})
        values.append(two(replace(scaled, dense={0: one(scaled, 4)}), 4))
    polynomial = torch.stack(values)
    fourth = polynomial[4] - 4 * polynomial[3] + 6 * polynomial[2] - 4 * polynomial[1] + polynomial[0]
    third = polynomial[3] - 3 * polynomial[2] + 3 * polynomial[1] - polynomial[0]
    assert third.abs().max() > 1e-3
    torch.testing.assert_close(fourth, torch.zeros_like(fourth), rtol=0, atol=1e-9)


def test_gradient_of_matrix_products() -> None:
    rows = torch.randn(2, 4, 3, requires_grad=True)
    matrices = torch.randn(6 * 3, 3, requires_grad=True)
    assert torch.autograd.gradcheck(MatrixProducts.apply, (rows, matrices))


@pytest.mark.parametrize("batch", [1, 2])
def test_matrix_products_keep_no_views(batch: int) -> None:
    """What is kept for the backward pass are the arguments, not `pairs E` numbers a batch row."""
    rows, matrices = torch.randn(batch, 9, 4, requires_grad=True), torch.randn(36 * 4, 4, requires_grad=True)
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        MatrixProducts.apply(rows, matrices)
    assert {x.data_ptr() for x in kept} == {rows.data_ptr(), matrices.data_ptr()}


def test_exported_program_equals_the_network() -> None:
    """`torch.export` with a dynamic batch of a network with all four, in float32 as in production."""
    torch.set_default_dtype(torch.float32)
    sources_ = {"dense_connections": (0,), "sparse_connections": (0,), "left": 0, "right": 0}
    sizes = {"dense_width": 16, "sparse_rows": 4, "sparse_operator": "bilinear"}
    first = Block(dense_operator="cross", **sizes, **sources_, dense_to_sparse=True, sparse_to_dense=True)
    second = replace(first, dense_operator="fap", sparse_connections=(0, 1), dense_width=32)
    third = replace(first, dense_operator="gate", dense_connections=(0, 1, 2), sparse_connections=(1, 2))
    architecture = Architecture("nasrec-plus", (first, second, third))
    table = TableSettings((7, 5, 11), sparse_gradients=False)
    network = NASRecNetwork(architecture, Sizes.of(PLUS, 5, 3, layer_norm=True), table).eval()
    dense, ids = torch.randn(4, 5), torch.randint(5, (4, 3))
    size = torch.export.Dim("batch", min=1, max=4096)
    program = torch.export.export(network, (dense, ids), dynamic_shapes=({0: size}, {0: size}))
    for rows in (1, 3, 9):
        dense, ids = torch.randn(rows, 5), torch.randint(5, (rows, 3))
        torch.testing.assert_close(program.module()(dense, ids), network(dense, ids), rtol=1e-5, atol=1e-6)


def test_the_space_is_full_and_four_operators() -> None:
    full = registry("search_spaces").load("nasrec-full")
    assert set(PLUS.dense_operators) - set(full.dense_operators) == {"cross", "fap", "gate"}
    assert set(PLUS.sparse_operators) - set(full.sparse_operators) == {"bilinear"}
    unlike = {"name": full.name, "dense_operators": full.dense_operators, "sparse_operators": full.sparse_operators}
    assert replace(PLUS, **unlike) == full


def test_drawing_and_search_reach_every_operator() -> None:
    generator = np.random.default_rng(0)
    architectures = [random_architecture(PLUS, generator) for _ in range(60)]
    children = [mutate(one, PLUS, generator) for one in architectures]
    for group in (architectures, children):
        blocks = [block for one in group for block in one.blocks]
        assert {block.dense_operator for block in blocks} == set(PLUS.dense_operators)
        assert {block.sparse_operator for block in blocks} == set(PLUS.sparse_operators)
    encoded = encode(architectures, PLUS)
    assert len(np.unique(encoded, axis=0)) == len({one.id for one in architectures})


def test_a_dense_half_that_reads_rows_only_keeps_no_dense_source_alive() -> None:
    """The field-aware product reads no dense list: what only it would read is dead."""
    first, last = random_architecture(PLUS.with_sizes(blocks=2), np.random.default_rng(3)).blocks
    changes = {"dense_operator": "fap", "dense_connections": (1,), "sparse_connections": (0,), "sparse_to_dense": False}
    last = replace(last, **changes, sparse_operator="efc")
    architecture = replace(random_architecture(PLUS, np.random.default_rng(0)), blocks=(first, last))
    own, read = architecture.canonical.blocks
    assert read.dense_connections is None
    assert own.dense_operator is None
    assert own.sparse_operator is None
