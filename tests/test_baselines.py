"""Hand-made models: formulas written out slowly, shapes, gradients, options, costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nasrec_nni.baselines.cost import count
from nasrec_nni.baselines.settings import BaselineSettings
from nasrec_nni.errors import UserError, UserErrors
from nasrec_nni.plugins import registry

NAMES = ("lr", "mlp", "fm", "deepfm", "dlrm", "dcnv2")
ROWS = (7, 3, 11, 4)
DENSE, FIELDS, E = 3, len(ROWS), 5
SETTINGS = BaselineSettings(embedding=E, embedding_init=0.5, sparse_gradients=False, hidden=(6, 4), cross_layers=2)


def build(name: str, dense: int = DENSE, settings: BaselineSettings = SETTINGS, **options: Any) -> Any:
    return registry("baselines").load(name)(dense, ROWS, settings, **options)


def draw(batch: int, dense: int = DENSE) -> tuple[Tensor, Tensor]:
    ids = torch.stack([torch.randint(rows, (batch,)) for rows in ROWS], 1)
    return torch.randn(batch, dense, dtype=torch.float64), ids


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


# ---- the formulas, one row at a time -------------------------------------------------------------------------------


def linear(layer: Any, x: list[Any]) -> list[Any]:
    rows = []
    for out in range(layer.weight.shape[0]):
        total = layer.bias[out] if layer.bias is not None else torch.zeros((), dtype=torch.float64)
        for column, value in enumerate(x):
            total = total + layer.weight[out, column] * value
        rows.append(total)
    return rows


def run_layers(layers: Any, x: list[Any]) -> list[Any]:
    for layer in layers:
        if isinstance(layer, nn.Linear):
            x = linear(layer, x)
        elif isinstance(layer, nn.ReLU):
            x = [value.clamp(min=0) for value in x]
    return x


def look_up(table: Any, ids: Tensor) -> list[Tensor]:
    starts = [sum(ROWS[:field]) for field in range(FIELDS)]
    return [table.weight[start + row] for start, row in zip(starts, ids.tolist(), strict=True)]


def slow_first_order(part: Any, dense: Tensor, ids: Tensor) -> Any:
    return linear(part.dense, list(dense))[0] + sum(row[0] for row in look_up(part.table, ids))


def slow_pairs(part: Any, dense: Tensor, embedded: list[Tensor]) -> Any:
    features = embedded + [x * factor for x, factor in zip(dense, part.factors, strict=True)]
    return sum(((a * b).sum() for a, b in combinations(features, 2)), torch.zeros(()))


def slow_lr(model: Any, dense: Tensor, ids: Tensor) -> Any:
    return slow_first_order(model, dense, ids)


def slow_mlp(model: Any, dense: Tensor, ids: Tensor) -> Any:
    flat = [value for row in look_up(model.embedding, ids) for value in row]
    return run_layers(model.tower, [*dense, *flat])[0]


def slow_fm(model: Any, dense: Tensor, ids: Tensor) -> Any:
    pairs = slow_pairs(model.second_order, dense, look_up(model.embedding, ids))
    return slow_first_order(model.first_order, dense, ids) + pairs


def slow_deepfm(model: Any, dense: Tensor, ids: Tensor) -> Any:
    return slow_fm(model, dense, ids) + slow_mlp(model, dense, ids)


def slow_dlrm(model: Any, dense: Tensor, ids: Tensor) -> Any:
    embedded = look_up(model.embedding, ids)
    projected = torch.stack(linear(model.projection, list(dense)))
    products = [(a * b).sum() for a, b in combinations([projected, *embedded], 2)]
    return run_layers(model.tower, [*dense, *(value for row in embedded for value in row), *products])[0]


def slow_dcnv2(model: Any, dense: Tensor, ids: Tensor) -> Any:
    start = [*dense, *(value for row in look_up(model.embedding, ids) for value in row)]
    crossed = start
    for layer in model.cross:
        crossed = [x0 * y + x for x0, y, x in zip(start, linear(layer, crossed), crossed, strict=True)]
    return linear(model.head, [*crossed, *run_layers(model.deep, start)])[0]


SLOW: dict[str, Callable[[Any, Tensor, Tensor], Any]] = {
    "lr": slow_lr,
    "mlp": slow_mlp,
    "fm": slow_fm,
    "deepfm": slow_deepfm,
    "dlrm": slow_dlrm,
    "dcnv2": slow_dcnv2,
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_the_formula(name: str, dropout: float) -> None:
    model = build(name, settings=SETTINGS.changed(name, {"dropout": dropout}, ("dropout",))).double().eval()
    for parameter in model.parameters():  # what starts at zero would hide a wrong formula
        nn.init.normal_(parameter, std=0.5)
    dense, ids = draw(4)
    expected = torch.stack([SLOW[name](model, *row) for row in zip(dense, ids, strict=True)])
    torch.testing.assert_close(model(dense, ids), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_a_dense_column_of_zeros_leaves_the_model_over_ids(name: str) -> None:
    """The reference figures on MovieLens are those of models without any dense input."""
    model = build(name, dense=1).double().eval()
    _, ids = draw(8)
    before = model(torch.zeros(8, 1, dtype=torch.float64), ids)
    before.sum().backward()
    for part in model.modules():
        if isinstance(part, nn.Linear) and part.in_features in (1, 1 + FIELDS * E, 1 + FIELDS * E + 10):
            assert part.weight.grad is not None
            assert not part.weight.grad[:, 0].any()
            nn.init.normal_(part.weight[:, 0].detach())
    torch.testing.assert_close(model(torch.zeros(8, 1, dtype=torch.float64), ids), before)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("batch", [1, 6])
def test_shape_and_gradients(name: str, batch: int) -> None:
    model = build(name).double()
    logits = model(*draw(batch))
    assert logits.shape == (batch,)
    logits.square().sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key


@pytest.mark.parametrize("name", NAMES)
def test_a_row_does_not_see_the_others(name: str) -> None:
    model = build(name).double().eval()
    dense, ids = draw(6)
    torch.testing.assert_close(model(dense, ids)[2:3], model(dense[2:3], ids[2:3]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["mlp", "deepfm", "dlrm", "dcnv2"])
def test_dropout_acts_in_training_only(name: str) -> None:
    model = build(name, dropout=0.5).double()
    rows = draw(64)
    assert not torch.equal(model(*rows), model(*rows))
    model.eval()
    assert torch.equal(model(*rows), model(*rows))


@pytest.mark.parametrize("name", NAMES)
def test_sparse_gradients_reach_every_table(name: str) -> None:
    settings = BaselineSettings(embedding=E, hidden=(4,))
    model = build(name, settings=settings)
    dense, ids = draw(5)
    model(dense.float(), ids).sum().backward()
    tables = [p for key, p in model.named_parameters() if "table" in key or "embedding" in key]
    assert tables
    assert all(table.grad.is_sparse for table in tables)


# ---- options -------------------------------------------------------------------------------------------------------


def test_options_change_the_model() -> None:
    model = build("dcnv2", hidden=[9], cross_layers=1, embedding=2)
    assert (len(model.cross), model.deep[0].out_features, model.embedding.weight.shape[1]) == (1, 9, 2)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("lr", {"hidden": [3]}, "no option"),
        ("mlp", {"hiden": [3]}, "Did you mean 'hidden'?"),
        ("dlrm", {"cross_layers": 2}, "retrain.baseline_options.dlrm.cross_layers"),
        ("mlp", {"hidden": []}, "whole numbers above 0"),
        ("mlp", {"hidden": [3, True]}, "whole numbers above 0"),
        ("mlp", {"hidden": 64}, "whole numbers above 0"),
        ("dcnv2", {"cross_layers": 0}, "whole number above 0"),
        ("mlp", {"dropout": 1.0}, "below 1"),
    ],
)
def test_a_wrong_option_is_a_users_mistake(name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as caught:
        build(name, **options)
    assert words in caught.value.message


def test_wrong_options_are_told_together() -> None:
    with pytest.raises(UserErrors) as caught:
        build("dcnv2", hidden=[0], depth=3)
    assert len(caught.value.errors) == 2


# ---- costs ---------------------------------------------------------------------------------------------------------

FLAT = DENSE + FIELDS * E
PAIRS = (FIELDS + 1) * FIELDS // 2
FM_PRODUCTS = (2 * DENSE + FIELDS + 1) * E
EXPECTED_MACS = {
    "lr": DENSE,
    "mlp": FLAT * 6 + 6 * 4 + 4,
    "fm": DENSE + FM_PRODUCTS,
    "deepfm": DENSE + FM_PRODUCTS + FLAT * 6 + 6 * 4 + 4,
    "dlrm": DENSE * E + (FIELDS + 1) ** 2 * E + (FLAT + PAIRS) * 6 + 6 * 4 + 4,
    "dcnv2": 2 * FLAT**2 + FLAT * 6 + 6 * 4 + (FLAT + 4),
}


@pytest.mark.parametrize("name", NAMES)
def test_macs_by_hand(name: str) -> None:
    model = build(name)
    assert count(model, DENSE, FIELDS).macs == EXPECTED_MACS[name]
    assert model.training


@pytest.mark.parametrize("name", NAMES)
def test_parameters_without_tables(name: str) -> None:
    model = build(name)
    tables = {"lr": 1, "mlp": E, "fm": E + 1, "deepfm": E + 1, "dlrm": E, "dcnv2": E}[name] * sum(ROWS)
    every = sum(parameter.numel() for parameter in model.parameters())
    assert count(model, DENSE, FIELDS).parameters == every - tables


def test_a_strangers_model_is_counted_too() -> None:
    class Stranger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rows = nn.Embedding(20, 2)
            self.head = nn.Linear(2 * FIELDS, 1)

        def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
            return self.head(self.rows(sparse).flatten(1)).squeeze(1)  # type: ignore[no-any-return]

    assert count(Stranger(), DENSE, FIELDS) == (2 * FIELDS, 2 * FIELDS + 1)


# ---- multi-valued fields -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_multi_valued_field(name: str) -> None:
    """One value with padding behind is the same as one value; the same value twice is too; costs are the same."""
    single = build(name).double()
    model = build(name, settings=replace(SETTINGS, lengths=(1, 1, 3, 1))).double()
    model.load_state_dict(single.state_dict())
    dense, ids = draw(6)
    ids[:, 2] = torch.arange(6)
    padded = torch.cat((ids[:, :3], torch.full((6, 2), -1), ids[:, 3:]), 1)
    torch.testing.assert_close(model(dense, padded), single(dense, ids))
    padded[::2, 3] = ids[::2, 2]
    torch.testing.assert_close(model(dense, padded), single(dense, ids))
    padded[:, 3] = (ids[:, 2] + 1) % ROWS[2]
    assert not torch.allclose(model(dense, padded), single(dense, ids))
    assert count(model, DENSE, 6) == count(single, DENSE, FIELDS)
