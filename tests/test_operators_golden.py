"""Operators and whole networks equal the authors' values (tests/published) to 1e-9 in float64."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from nasrec_nni.architecture.value import Architecture, Block
from nasrec_nni.network import NASRecNetwork, TableSettings
from nasrec_nni.network.build import build_merger, build_operator
from nasrec_nni.operators.attn import INNER_NORM_WEIGHT, Attention
from nasrec_nni.operators.inputs import Inputs, Limits, Rows
from nasrec_nni.operators.linear import ColumnMap, RowMap
from nasrec_nni.profiling import Sizes

PUBLISHED = Path(__file__).parent / "published"
OPERATORS = json.loads((PUBLISHED / "golden_operators.json").read_text())
WHOLE = json.loads((PUBLISHED / "golden_networks.json").read_text())
NAMES = {"FC": "fc", "DP": "dp", "SG": "sg", "Sum": "sum", "EFC": "efc", "Attn": "attn"}
TOLERANCE = 1e-9


def tensor(values: list) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def set_(parameter: nn.Parameter, value: Tensor) -> None:
    assert parameter.shape == value.shape
    parameter.data = value.clone()


def fill_columns(target: ColumnMap, weight: Tensor, bias: Tensor | None) -> None:
    """`weight` is out × in over the concatenated sources, ascending."""
    start = 0
    for part in target.weight.values():
        set_(part, weight[:, start : start + part.shape[0]].T)
        start += part.shape[0]
    assert start == weight.shape[1]
    if bias is not None:
        set_(target.tail.bias, bias)


def fill_rows(target: RowMap, weight: Tensor, bias: Tensor | None) -> None:
    start = 0
    for source in target.weight:
        for slots in (target.weight, target.merger):
            if source in slots:
                size = slots[source].shape[0]
                set_(slots[source], weight[:, start : start + size].T)
                start += size
    assert start == weight.shape[1]
    if bias is not None:
        set_(target.tail.bias, bias)


def fill_operator(module: nn.Module, name: str, weights: dict[str, Tensor]) -> None:
    def take(key: str) -> Tensor | None:
        return weights.pop(key, None)

    weights = dict(weights)
    if name == "fc":
        fill_columns(module.map, take("W"), take("b"))
    if name in ("efc", "attn"):
        fill_rows(module.map, take("Q"), take("q"))
    if name == "attn":
        stacked = take("in_proj")
        set_(module.in_weight, stacked if stacked is not None else take("in_proj (q,k,v stacked)"))
        set_(module.in_bias, take("in_proj_bias"))
        for linear, key in ((module.out, "out_proj"), (module.inner, "1"), (module.outer, "2")):
            prefix = ("out_proj", "out_proj_bias") if key == "out_proj" else (f"W{key}", f"b{key}")
            set_(linear.weight, take(prefix[0]))
            set_(linear.bias, take(prefix[1]))
    if name == "dp":
        if "A" in weights:
            fill_columns(module.dense, take("A"), take("a"))
        if "Q" in weights:
            fill_rows(module.sparse, take("Q"), take("q"))
    if name == "sg":
        set_(module.gate_weight, take("V").T)
        set_(module.gate_bias, take("c"))
    if "W" in weights:
        set_(module.weight, take("W").T)
    if "P" in weights:
        set_(module.weight, take("P").T)
    for key in ("b", "p"):
        if key in weights:
            set_(module.bias if name == "sg" else module.tail.bias, take(key))
    assert not weights, f"weights that found no place: {sorted(weights)}"


@pytest.mark.parametrize("case", OPERATORS["cases"], ids=lambda case: f"{case['operator']}-{case['reads']}")
def test_operator_equals_authors(case: dict) -> None:
    torch.set_default_dtype(torch.float64)
    try:
        found = run_case(case)
    finally:
        torch.set_default_dtype(torch.float32)
    expected = tensor(case["output"])
    if found.dim() == 3:
        found = found.transpose(1, 2)
    torch.testing.assert_close(found, expected, rtol=TOLERANCE, atol=TOLERANCE)


def run_case(case: dict) -> Tensor:
    inputs = {name: tensor(values) for name, values in OPERATORS["inputs"].items()}
    reads = case["reads"]
    weights = {key: tensor(value) for key, value in case["weights"].items()}
    named = re.findall(r"\b[xs]\d+\b", reads)
    dense = {index: inputs[name] for index, name in enumerate(("x0", "x1", "x16")) if name in named}
    sparse = {
        index: Rows(inputs[name].transpose(1, 2)) for index, name in enumerate(("s0", "s1", "s8")) if name in named
    }
    widest = max((x.shape[1] for x in dense.values()), default=0)
    limits = Limits(
        {j: x.shape[1] for j, x in dense.items()},
        {j: (x.tensor.shape[2], 0) for j, x in sparse.items()},
        widest,
        case["width"],
        16,
        8,
        case["layer_norm"],
        elastic=False,
    )
    if case["operator"].startswith("merger"):
        module = build_merger("fm", limits)
        fill_operator(module, "fm", weights)
        return module(inputs["s"].transpose(1, 2), case["width"])
    name = NAMES[case["operator"]]
    module = build_operator(name, limits)
    fill_operator(module, name, weights)
    sides = {"left x0, right x1": (0, 1), "left x1, right x0": (1, 0)}
    left, right = next((pair for text, pair in sides.items() if reads.startswith(text)), (None, None))
    one_sided = {} if left is None else {"left": (dense[left],), "right": (dense[right],)}
    return module(Inputs(dense=dense, sparse=sparse, **one_sided), case["width"])


@pytest.mark.parametrize("case", WHOLE["networks"], ids=lambda case: f"{case['name']}-{case['layer_norm']}")
def test_network_equals_authors(case: dict) -> None:
    blocks = tuple(
        Block(
            **{key: tuple(value) if isinstance(value, list) else value for key, value in block.items()}
            | {key: NAMES[block[key]] for key in ("dense_operator", "sparse_operator")}
        )
        for block in case["blocks"]
    )
    torch.set_default_dtype(torch.float64)
    try:
        sizes = Sizes(5, 3, layer_norm=case["layer_norm"])
        network = NASRecNetwork(Architecture("test", blocks), sizes, TableSettings((4, 4, 4)))
        fill_network(network, {key: tensor(value) for key, value in case["weights"].items()})
        float32_inner_norms(network)
        logits = network(tensor(WHOLE["dense"]), torch.tensor(WHOLE["ids"]))
    finally:
        torch.set_default_dtype(torch.float32)
    torch.testing.assert_close(logits, tensor(case["logits"]).flatten(), rtol=TOLERANCE, atol=TOLERANCE)


def float32_inner_norms(network: NASRecNetwork) -> None:
    """The whole-network values were made with LN' weights of 0.17 rounded to float32 before the cast to float64."""
    for module in network.modules():
        if isinstance(module, Attention):
            for norm in (module.norm1, module.norm2):
                norm.weight.data.fill_(torch.tensor(INNER_NORM_WEIGHT, dtype=torch.float32).item())


def fill_network(network: NASRecNetwork, weights: dict[str, Tensor]) -> None:
    weights = dict(weights)
    set_(network.embedding.weight, torch.cat([weights.pop(f"embedding/{field}") for field in range(3)]))
    for number, module in enumerate(network.blocks, 1):
        for side in ("dense_operator", "sparse_operator", "dense_to_sparse", "sparse_to_dense"):
            prefix = f"block{number}/{side}/"
            own = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
            weights = {key: value for key, value in weights.items() if not key.startswith(prefix)}
            for name, part in getattr(module, side).items():
                fill_operator(part, name, own)
            assert not own or len(getattr(module, side)), f"{prefix} is dead in ours"
    head = weights.pop("head/W").flatten()
    width = network.path.blocks[-1].dense_width
    set_(network.head.dense, head[:width])
    rows = head[width:].view(-1, 16).T
    count = network.path.blocks[-1].sparse_rows
    set_(network.head.sparse, rows[:, :count])
    if network.head.merger is not None:
        set_(network.head.merger, rows[:, count:])
    if "head/b" in weights:
        set_(network.head.bias, weights.pop("head/b"))
    assert not weights, sorted(weights)
