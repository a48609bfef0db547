"""AutoInt, xDeepFM, PNN, FiBiNET, FinalMLP, MaskNet, Wide & Deep: formulas row by row, gradients, options, costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from nasrec_nni.baselines.cost import count
from nasrec_nni.baselines.settings import BaselineSettings
from nasrec_nni.errors import UserError, UserErrors
from nasrec_nni.plugins import registry

NAMES = ("wide_deep", "pnn", "xdeepfm", "autoint", "fibinet", "masknet", "finalmlp")
SETTINGS = BaselineSettings(
    embedding=4,
    embedding_init=0.5,
    sparse_gradients=False,
    hidden=(6, 4),
    attention_width=6,
    cin_maps=(3, 2),
    product_units=5,
    reduction=2,
    gate_width=8,
    block_width=5,
    mask_width=7,
)
FORMS: dict[str, tuple[dict[str, Any], ...]] = {
    "wide_deep": ({},),
    "pnn": ({},),
    "xdeepfm": ({}, {"cin_maps": [4]}),
    "autoint": ({}, {"deep": False}, {"attention_layers": 1, "attention_heads": 3}),
    "fibinet": ({}, {"bilinear": "all"}, {"bilinear": "each", "reduction": 9}),
    "masknet": ({}, {"form": "serial", "mask_blocks": 3}, {"mask_blocks": 1}),
    "finalmlp": ({}, {"hidden_2": [3, 8], "fusion_heads": 2}, {"context_1": [0], "context_2": [1, 0]}),
}
CASES = [(name, form) for name in NAMES for form in FORMS[name]]
Array = NDArray[np.float64]


def build(name: str, rows: tuple[int, ...] = (7, 3, 11), dense: int = 2, **options: Any) -> Any:
    model = registry("baselines").load(name)(dense, rows, SETTINGS, **options).double()
    for parameter in model.parameters():  # what starts at zero would hide a wrong formula
        nn.init.normal_(parameter, std=0.5)
    return model


def draw(batch: int, rows: tuple[int, ...] = (7, 3, 11), dense: int = 2) -> tuple[Tensor, Tensor]:
    ids = torch.stack([torch.randint(size, (batch,)) for size in rows], 1)
    return torch.randn(batch, dense, dtype=torch.float64), ids


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


# ---- the formulas in numpy, one example at a time ---------------------------------------------------------------


def array(tensor: Tensor) -> Array:
    return tensor.detach().numpy()


def linear(layer: Any, x: Array) -> Array:
    out = array(layer.weight) @ x
    return out if layer.bias is None else out + array(layer.bias)


def run(layers: Any, x: Array) -> Array:
    for layer in layers:
        if isinstance(layer, nn.Linear):
            x = linear(layer, x)
        elif isinstance(layer, nn.ReLU):
            x = np.maximum(x, 0)
    return x


def look_up(table: Any, rows: tuple[int, ...], ids: Array) -> Array:
    starts = np.cumsum([0, *rows[:-1]])
    return array(table.weight)[starts + ids]


def first_order(part: Any, rows: tuple[int, ...], x: Array, ids: Array) -> Array:
    return linear(part.dense, x) + look_up(part.table, rows, ids).sum()


def features(part: Any, rows: tuple[int, ...], x: Array, ids: Array) -> tuple[Array, Array]:
    """The rows, and `[x, flatten(e)]`."""
    e = look_up(part.table, rows, ids)
    return np.concatenate((e, x[:, None] * array(part.factors))), np.concatenate((x, e.ravel()))


def slow_wide_deep(model: Any, rows: tuple[int, ...], x: Array, ids: Array) -> Array:
    z = np.concatenate((x, look_up(model.embedding, rows, ids).ravel()))
    return first_order(model.first_order, rows, x, ids) + run(model.tower, z)


def slow_pnn(model: Any, rows: tuple[int, ...], x: Array, ids: Array) -> Array:
    t, z = features(model.rows, rows, x, ids)
    theta, units = array(model.theta.weight), linear(model.linear, z)
    for u, weights in enumerate(theta):
        for i in range(len(t)):
            for j in range(len(t)):
                units[u] += weights[i] * weights[j] * (t[i] @ t[j])
    return run(model.tower, np.maximum(units, 0))


def slow_xdeepfm(model: Any, rows: tuple[int, ...], x: Array, ids: Array) -> Array:
    t, z = features(model.rows, rows, x, ids)
    maps, sums = t, []
    for layer in model.cin.layers:
        weight = array(layer.weight).reshape(-1, len(maps), len(t))
        maps = np.einsum("hij,ie,je->he", weight, maps, t)
        sums += [one.sum() for one in maps]
    deep = linear(model.head, np.array(sums)) + run(model.tower, z)
    return first_order(model.first_order, rows, x, ids) + deep


def slow_autoint(model: Any, rows: tuple[int, ...], x: Array, ids: Array) -> Array:
    t, z = features(model.rows, rows, x, ids)
    for layer in model.attention:
        query, key, value, rest = (
            t @ array(part.weight).T for part in (layer.query, layer.key, layer.value, layer.rest)
        )
        size = rest.shape[1] // layer.heads
        for head in range(layer.heads):
            part = slice(head * size, (head + 1) * size)
            for i in range(len(t)):
                scores = np.exp([query[i, part] @ key[j, part] for j in range(len(t))])
                rest[i, part] += (scores / scores.sum()) @ value[:, part]
        t = np.maximum(rest, 0)
    logit = linear(model.head, t.ravel())
    return logit if model.tower is None else logit + run(model.tower, z)


def slow_fibinet(model: Any, rows: tuple[int, ...], x: Array, ids: Array) -> Array:
    t, _ = features(model.rows, rows, x, ids)
    weighed = t * run(model.senet.excitation, t.mean(1))[:, None]
    found = []
    for part, source in ((model.bilinear, t), (model.bilinear_se, weighed)):
        matrices = array(part.weight)
        for number, (i, j) in enumerate(combinations(range(len(t)), 2)):
            matrix = matrices[{"all": 0, "each": i, "interaction": number}[part.kind]]
            found.append((source[i] @ matrix) * source[j])
    return first_order(model.first_order, rows, x, ids) + run(model.tower, np.concatenate(found))


def normed(x: Array) -> Array:
    return (x - x.mean()) / np.sqrt(x.var() + 1e-5)


def slow_masknet(model: Any, rows: tuple[int, ...], x: Array, ids: Array) -> Array:
    e = look_up(model.embedding, rows, ids)
    z = np.concatenate((x, e.ravel()))
    scaled = np.array([normed(row) for row in e]) * array(model.scale) + array(model.shift)
    start = hidden = np.concatenate((x, scaled.ravel()))
    outputs = []
    for block in model.blocks:
        out = normed(array(block.linear.weight) @ (run(block.mask, z) * (start if model.parallel else hidden)))
        hidden = np.maximum(out * array(block.norm.weight) + array(block.norm.bias), 0)
        outputs.append(hidden)
    return run(model.head, np.concatenate(outputs)) if model.parallel else linear(model.head, hidden)


def slow_finalmlp(model: Any, rows: tuple[int, ...], x: Array, ids: Array) -> Array:
    e = look_up(model.embedding, rows, ids)
    z = np.concatenate((x, e.ravel()))

    def gate(part: Any) -> Array:
        context = array(part.learnt[0]) if part.learnt is not None else np.concatenate([e[f] for f in part.context])
        return 2 / (1 + np.exp(-run(part.layers, context)))

    a, b = run(model.stream_1, gate(model.gate_1) * z), run(model.stream_2, gate(model.gate_2) * z)
    weight = array(model.fusion.weight)
    logit = linear(model.fusion.first, a) + linear(model.fusion.second, b)
    for head, (left, right) in enumerate(zip(np.split(a, len(weight)), np.split(b, len(weight)), strict=True)):
        logit = logit + left @ weight[head] @ right
    return logit


SLOW: dict[str, Callable[[Any, tuple[int, ...], Array, Array], Array]] = {
    "wide_deep": slow_wide_deep,
    "pnn": slow_pnn,
    "xdeepfm": slow_xdeepfm,
    "autoint": slow_autoint,
    "fibinet": slow_fibinet,
    "masknet": slow_masknet,
    "finalmlp": slow_finalmlp,
}


@pytest.mark.parametrize(("name", "form"), CASES)
@settings(max_examples=6, deadline=None)
@given(rows=st.lists(st.integers(2, 9), min_size=2, max_size=5), dense=st.integers(0, 3), seed=st.integers(0, 999))
def test_the_formula(name: str, form: dict[str, Any], rows: list[int], dense: int, seed: int) -> None:
    torch.manual_seed(seed)
    fields = tuple(rows)
    model = build(name, fields, dense, **form).eval()
    x, ids = draw(3, fields, dense)
    expected = [SLOW[name](model, fields, array(one), array(numbers))[0] for one, numbers in zip(x, ids, strict=True)]
    torch.testing.assert_close(model(x, ids), torch.tensor(np.array(expected)), rtol=1e-9, atol=1e-9)


# ---- what every network must hold --------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "form"), CASES)
@pytest.mark.parametrize("batch", [1, 16])
def test_gradients_reach_every_parameter(name: str, form: dict[str, Any], batch: int) -> None:
    model = build(name, **form)
    logits = model(*draw(batch))
    assert logits.shape == (batch,)
    logits.square().sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
        if batch > 1:
            assert parameter.grad.any(), key


@pytest.mark.parametrize(("name", "form"), CASES)
def test_a_row_does_not_see_the_others(name: str, form: dict[str, Any]) -> None:
    model = build(name, **form).eval()
    x, ids = draw(6)
    torch.testing.assert_close(model(x, ids)[2:3], model(x[2:3], ids[2:3]), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", NAMES)
def test_every_field_counts(name: str) -> None:
    model = build(name).eval()
    x, ids = draw(8)
    before = model(x, ids)
    for field, rows in enumerate((7, 3, 11)):
        other = ids.clone()
        other[:, field] = (other[:, field] + 1) % rows
        assert not torch.allclose(model(x, other), before)
    for column in range(x.shape[1]):
        other = x.clone()
        other[:, column] += 1
        assert not torch.allclose(model(other, ids), before)


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_fields_is_that_of_the_schema(name: str) -> None:
    """Fields in another order are the same rows of the table, read by other weights: the outcome changes."""
    model = build(name, rows=(5, 5)).eval()
    x, ids = draw(16, rows=(5, 5))
    assert not torch.allclose(model(x, ids), model(x, ids.flip(1)))


@pytest.mark.parametrize("name", NAMES)
def test_a_dense_column_of_zeros_has_no_weight(name: str) -> None:
    """What stands in for absent dense columns: whatever weights read it, the outcome is that of the ids."""
    model = build(name, dense=1).eval()
    x, (_, ids) = torch.zeros(8, 1, dtype=torch.float64), draw(8)
    before = model(x, ids)
    if hasattr(model, "rows"):
        nn.init.normal_(model.rows.factors, std=3)
    if hasattr(model, "first_order"):
        nn.init.normal_(model.first_order.dense.weight, std=3)
    torch.testing.assert_close(model(x, ids), before)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "fibinet"])
@pytest.mark.parametrize("dense", [0, 2])
def test_one_field(name: str, dense: int) -> None:
    logits = build(name, rows=(5,), dense=dense)(*draw(3, (5,), dense))
    assert torch.isfinite(logits).all()


def test_fibinet_needs_a_pair() -> None:
    with pytest.raises(UserError, match="one feature only"):
        build("fibinet", rows=(5,), dense=0)
    assert build("fibinet", rows=(5,), dense=1)(*draw(3, (5,), 1)).shape == (3,)


@pytest.mark.parametrize("name", NAMES)
def test_dropout_acts_in_training_only(name: str) -> None:
    model = build(name, dropout=0.5)
    rows = draw(64)
    assert not torch.equal(model(*rows), model(*rows))
    model.eval()
    assert torch.equal(model(*rows), model(*rows))


@pytest.mark.parametrize("name", NAMES)
def test_a_multi_valued_field(name: str) -> None:
    """One value with padding behind is the same as one value."""
    single = build(name)
    several = replace(SETTINGS, lengths=(1, 1, 3))
    model = registry("baselines").load(name)(2, (7, 3, 11), several).double()
    model.load_state_dict(single.state_dict())
    x, ids = draw(6)
    padded = torch.cat((ids, torch.full((6, 2), -1)), 1)
    torch.testing.assert_close(model.eval()(x, padded), single.eval()(x, ids))


@pytest.mark.parametrize("name", NAMES)
def test_sparse_gradients_reach_every_table(name: str) -> None:
    model = registry("baselines").load(name)(2, (7, 3, 11), replace(SETTINGS, sparse_gradients=True))
    x, ids = draw(5)
    model(x.float(), ids).sum().backward()
    tables = [p for key, p in model.named_parameters() if key.endswith(("table.weight", "embedding.weight"))]
    assert tables
    assert all(table.grad.is_sparse for table in tables)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "wide_deep"])
def test_it_is_one_graph_for_every_batch(name: str) -> None:
    """No Python looks at the data: what `torch.export` traces once holds for batches of every size."""
    model = build(name, **FORMS[name][-1]).eval()
    x, ids = draw(4)
    size = torch.export.Dim("rows", min=1, max=4096)
    program = torch.export.export(model, (x, ids), dynamic_shapes=({0: size}, {0: size}))
    for batch in (1, 9):
        rows = draw(batch)
        torch.testing.assert_close(program.module()(*rows), model(*rows), rtol=1e-11, atol=1e-11)


# ---- options -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("wide_deep", {"cross_layers": 2}, "embedding, hidden, dropout"),
        ("autoint", {"attention_heads": 4}, "must divide attention_width (6)"),
        ("autoint", {"deep": 1}, "true, false"),
        ("autoint", {"deep": False, "hidden": [3]}, "has no effect with deep: false"),
        ("autoint", {"atention_width": 3}, "Did you mean 'attention_width'?"),
        ("xdeepfm", {"cin_maps": []}, "whole numbers above 0"),
        ("pnn", {"product_units": 0}, "whole number above 0"),
        ("fibinet", {"bilinear": "some"}, "all, each, interaction"),
        ("fibinet", {"bilinear": ["all"]}, "all, each, interaction"),
        ("masknet", {"form": "both"}, "parallel, serial"),
        ("masknet", {"form": "serial", "hidden": [8]}, "has no effect with form: serial"),
        ("finalmlp", {"fusion_heads": 3}, "must divide the last of hidden (4)"),
        ("finalmlp", {"hidden_2": [9], "fusion_heads": 2}, "must divide the last of hidden_2 (9)"),
        ("finalmlp", {"context_1": [3]}, "0 to 2"),
        ("finalmlp", {"context_2": [1, 1]}, "each once"),
    ],
)
def test_a_wrong_option_is_a_users_mistake(name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises((UserError, UserErrors)) as caught:
        build(name, **options)
    assert words in caught.value.message
    assert f"retrain.baseline_options.{name}." in caught.value.message


# ---- costs: a count by hand beside the counter -------------------------------------------------------------------

E, F, W = 4, 3, 2  # embedding, fields, dense columns
N, FLAT = F + W, W + F * E
PAIRS, FIRST = N * (N - 1) // 2, W


def mlp(inputs: int) -> int:
    return inputs * 6 + 6 * 4 + 4


ATTENTION = [4 * N * size * 6 + 2 * N * N * 6 for size in (E, 6)]
CIN = E * (N * N * 3 + 3 * N * 2)
SQUEEZE = 2 * N * (N // 2)
MASK = FLAT * 7
MACS = [
    ("wide_deep", {}, FIRST + mlp(FLAT)),
    ("pnn", {}, FLAT * 5 + N * 5 * E + 5 * E + mlp(5)),
    ("xdeepfm", {}, FIRST + CIN + 5 + mlp(FLAT)),
    ("autoint", {}, sum(ATTENTION) + N * 6 + mlp(FLAT)),
    ("autoint", {"deep": False, "attention_layers": 1}, ATTENTION[0] + N * 6),
    ("fibinet", {}, FIRST + SQUEEZE + 2 * PAIRS * E * E + mlp(2 * PAIRS * E)),
    ("fibinet", {"bilinear": "each"}, FIRST + SQUEEZE + 2 * (N - 1) * E * E + mlp(2 * PAIRS * E)),
    ("masknet", {}, 2 * (MASK + 7 * FLAT + FLAT * 5) + mlp(2 * 5)),
    ("masknet", {"form": "serial"}, (MASK + 7 * FLAT + FLAT * 5) + (MASK + 7 * 5 + 5 * 5) + 5),
    ("finalmlp", {}, 2 * (E * 8 + 8 * FLAT) + 2 * (FLAT * 6 + 6 * 4) + 2 * 4 + 4 * 4 + 4),
]


@pytest.mark.parametrize(("name", "options", "expected"), MACS)
def test_macs_by_hand(name: str, options: dict[str, Any], expected: int) -> None:
    assert count(build(name, **options), W, F).macs == expected


@pytest.mark.parametrize("name", NAMES)
def test_parameters_without_tables(name: str) -> None:
    model = build(name)
    tables = {"wide_deep": E + 1, "xdeepfm": E + 1, "fibinet": E + 1}.get(name, E) * (7 + 3 + 11)
    assert count(model, W, F).parameters == sum(parameter.numel() for parameter in model.parameters()) - tables
