"""Our optimizers against torch's dense and sparse ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nasrec_nni.config import Recipe
from nasrec_nni.operators.embedding import FusedEmbedding
from nasrec_nni.operators.optimizers import (
    Adagrad,
    Adam,
    NotFiniteError,
    RowwiseAdagrad,
    build_optimizer,
    sparse_gradients_for,
)
from nasrec_nni.operators.slices import SliceTape, take
from nasrec_nni.training.checkpoint import read_checkpoint, write_checkpoint

STEPS = 100
F64 = torch.float64


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Small(nn.Module):
    """A table of 50 rows and a two-layer net; `sparse` picks the kind of gradient."""

    def __init__(self, sparse: bool) -> None:
        super().__init__()
        self.table = FusedEmbedding((20, 30), 4, sparse=sparse)
        self.layers = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 1))

    def forward(self, ids: Tensor) -> Tensor:
        result: Tensor = self.layers(self.table(ids).flatten(1)).squeeze(1)
        return result


def twins(dtype: torch.dtype = F64) -> tuple[Small, Small]:
    torch.manual_seed(1)
    one, other = Small(sparse=True).to(dtype), Small(sparse=False).to(dtype)
    other.load_state_dict(one.state_dict())
    return one, other


def batches(steps: int = STEPS) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(2)
    # few rows at first, others later: state starts at different times, and some rows are never used
    return [
        (torch.randint(0, 6 + step // 10, (8, 2), generator=generator), torch.rand(8, generator=generator, dtype=F64))
        for step in range(steps)
    ]


def train(model: nn.Module, optimizers: list[Any], steps: int = STEPS, clip: float = 0.0) -> list[float]:
    norms = []
    for ids, label in batches(steps):
        for optimizer in optimizers:
            optimizer.zero_grad()
        logits = model(ids)
        # large, so that some steps are clipped
        loss = 30 * nn.functional.binary_cross_entropy_with_logits(logits, label.to(logits.dtype))
        loss.backward()
        if clip:
            norms.append(nn.utils.clip_grad_norm_(model.parameters(), clip).item())
        for optimizer in optimizers:
            optimizer.step()
            if getattr(optimizer, "norm", None) is not None:
                norms.append(optimizer.norm.item())
    return norms


def assert_same(one: nn.Module, other: nn.Module, tolerance: float = 1e-12) -> None:
    for (name, a), b in zip(one.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance, msg=name)


def test_adagrad_equals_dense_torch_on_every_row_with_clip() -> None:
    ours, theirs = twins()
    start = theirs.table.weight.detach().clone()
    norms = train(ours, [Adagrad(ours.parameters(), 0.1, 1e-2, clip=5.0)])
    expected = train(theirs, [torch.optim.Adagrad(theirs.parameters(), 0.1, eps=1e-2)], clip=5.0)
    assert_same(ours, theirs)
    assert norms == pytest.approx(expected, rel=1e-12)
    assert min(norms) < 5.0 < max(norms)
    moved = (ours.table.weight != start).any(1)
    assert 0 < int(moved.sum()) < 50


def test_adam_equals_torch_dense_and_torch_sparse() -> None:
    ours, theirs = twins()
    train(ours, [Adam(ours.parameters(), 0.01)])
    rest = list(theirs.layers.parameters())
    theirs.table.sparse = True
    train(theirs, [torch.optim.SparseAdam([theirs.table.weight], 0.01), torch.optim.Adam(rest, 0.01)])
    assert_same(ours, theirs, 1e-10)


@pytest.mark.parametrize("name", ["adagrad", "adam"])
def test_dense_tables_equal_torch_with_weight_decay(name: str) -> None:
    """L2 of scope `table`: every row moves at every step, as with torch's weight_decay."""
    recipe = Recipe(
        optimizer=name, learning_rate=0.01, epsilon=1e-8, clip=0, embedding_l2=1e-2, embedding_l2_scope="table",
        embedding_learning_rate=0.02,
    )  # fmt: skip
    assert not sparse_gradients_for(recipe)
    _, ours = twins()
    _, theirs = twins()
    train(ours, [build_optimizer(ours, recipe)])
    kind = torch.optim.Adagrad if name == "adagrad" else torch.optim.Adam
    tables = {"params": [theirs.table.weight], "weight_decay": 1e-2, "lr": 0.02}
    train(theirs, [kind([{"params": theirs.layers.parameters()}, tables], lr=0.01, eps=1e-8)])
    assert_same(ours, theirs, 1e-10)


def test_l2_of_touched_rows_leaves_the_others_and_comes_before_the_clip() -> None:
    recipe = Recipe(optimizer="adagrad", learning_rate=0.1, clip=1.0, embedding_l2=0.5)
    assert sparse_gradients_for(recipe)
    ours, theirs = twins()
    start = theirs.table.weight.detach().clone()
    optimizer = build_optimizer(ours, recipe)
    twin = torch.optim.Adagrad(theirs.parameters(), 0.1, eps=1e-2)
    for ids, label in batches(20):
        for model in (ours, theirs):
            model.zero_grad()
            nn.functional.binary_cross_entropy_with_logits(model(ids), label).backward()
        rows = theirs.table.table_rows(ids).unique()
        theirs.table.weight.grad[rows] += 0.5 * theirs.table.weight.detach()[rows]
        norm = nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
        twin.step()
        optimizer.step()
        assert optimizer.norm is not None
        assert optimizer.norm.item() == pytest.approx(norm.item(), rel=1e-12)
    assert_same(ours, theirs)
    assert bool((ours.table.weight == start).all(1).any())


def test_the_wrong_kind_of_table_for_l2_is_refused() -> None:
    with pytest.raises(ValueError, match="table: sparse gradients cannot have L2 of scope table"):
        build_optimizer(Small(sparse=True), Recipe(embedding_l2=1e-3, embedding_l2_scope="table"))
    with pytest.raises(ValueError, match="table: dense gradients cannot have L2 of scope touched"):
        build_optimizer(Small(sparse=False), Recipe(embedding_l2=1e-3))


def test_tables_may_have_another_rule() -> None:
    recipe = Recipe(
        optimizer="adam", learning_rate=0.01, epsilon=1e-8, clip=0,
        embedding_optimizer="adagrad", embedding_learning_rate=0.1, embedding_epsilon=1e-2,
    )  # fmt: skip
    ours, theirs = twins()
    train(ours, [build_optimizer(ours, recipe)])
    rest = list(theirs.layers.parameters())
    train(theirs, [torch.optim.Adagrad([theirs.table.weight], 0.1, eps=1e-2), torch.optim.Adam(rest, 0.01)])
    assert_same(ours, theirs, 1e-10)


def test_one_clip_spans_several_rules() -> None:
    recipe = Recipe(learning_rate=0.1, epsilon=1e-2, clip=5.0, embedding_optimizer="rowwise-adagrad")
    ours, theirs = twins()
    optimizer = build_optimizer(ours, recipe)
    norms = train(ours, [optimizer])
    assert optimizer.state[ours.table.weight]["sum"].shape == (50,)
    rest = list(theirs.layers.parameters())
    twin = [RowwiseAdagrad([theirs.table.weight], 0.1, 1e-2), torch.optim.Adagrad(rest, 0.1, eps=1e-2)]
    expected = train(theirs, twin, clip=5.0)[::2]  # our twin tells its own norm after each of those
    assert norms == pytest.approx(expected, rel=1e-12)
    assert min(norms) < 5.0 < max(norms)
    assert_same(ours, theirs, 1e-10)


def test_a_rule_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="no update rule 'sgd'; there are adagrad, rowwise-adagrad, adam"):
        Adagrad([{"params": [nn.Parameter(torch.ones(2))], "rule": "sgd"}])


def test_a_group_takes_the_values_of_its_own_rule() -> None:
    (group,) = Adagrad([{"params": [nn.Parameter(torch.ones(2))], "rule": "adam"}], eps=1e-2).param_groups
    assert (group["betas"], group["eps"]) == ((0.9, 0.999), 1e-8)


def test_a_state_of_an_earlier_version_is_read() -> None:
    """Its groups name no rule."""
    model, _ = twins()
    optimizer = build_optimizer(model, Recipe())
    stored = optimizer.state_dict()
    for group in stored["param_groups"]:
        del group["rule"]
    optimizer.load_state_dict(stored)
    train(model, [optimizer], 2)


def test_recipes_that_set_no_later_key_are_told_as_before() -> None:
    """Stored identities of trainings and stages are made of it."""
    assert not {"embedding_optimizer", "embedding_epsilon"} & set(Recipe().model_dump(mode="json"))
    chosen = Recipe(embedding_optimizer="rowwise-adagrad")
    assert chosen.model_dump(mode="json")["embedding_optimizer"] == "rowwise-adagrad"
    assert Recipe.model_validate(chosen.model_dump(mode="json")) == chosen
    assert "embedding_optimizer" in chosen.model_dump_json()


class Sliced(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 5, dtype=F64))
        self.bias = nn.Parameter(torch.randn(6, dtype=F64))
        self.whole = nn.Parameter(torch.randn(5, dtype=F64))

    def forward(self, x: Tensor, rows: int, columns: int) -> Tensor:
        hidden = nn.functional.linear(x[:, :columns], take(self.weight, rows, columns), take(self.bias, rows))
        # the weight a second time, by another slice
        again = take(self.weight, 2, columns).sum()
        return (hidden**2).sum() + again + (x @ self.whole).sum()


def test_slices_equal_the_dense_twin_for_adagrad() -> None:
    torch.manual_seed(0)
    ours, theirs = Sliced(), Sliced()
    theirs.load_state_dict(ours.state_dict())
    tape = SliceTape()
    optimizer = Adagrad(ours.parameters(), 0.05, 1e-2, clip=5.0, tape=tape)
    twin = torch.optim.Adagrad(theirs.parameters(), 0.05, eps=1e-2)
    generator = torch.Generator().manual_seed(3)
    for step in range(STEPS):
        x = torch.randn(4, 5, generator=generator, dtype=F64)
        rows, columns = 1 + step % 5, 1 + (step * 3) % 5
        optimizer.zero_grad()
        twin.zero_grad()
        with tape.recording():
            loss = ours(x, rows, columns)
        loss.backward()
        theirs(x, rows, columns).backward()
        norm = nn.utils.clip_grad_norm_(theirs.parameters(), 5.0)
        optimizer.step()
        twin.step()
        assert optimizer.norm is not None
        assert optimizer.norm.item() == pytest.approx(norm.item(), rel=1e-12)
    assert_same(ours, theirs)
    assert ours.weight.grad is None
    assert torch.equal(optimizer.state[ours.bias]["sum"][5:], torch.zeros(1, dtype=F64))


def test_lazy_adam_keeps_unused_slices() -> None:
    model, tape = Sliced(), SliceTape()
    optimizer = Adam(model.parameters(), 0.05, tape=tape)
    start = model.weight.detach().clone()
    for columns in (5, 2, 2):
        before = model.weight.detach().clone()
        optimizer.zero_grad()
        with tape.recording():
            loss = model(torch.ones(3, 5, dtype=F64), 3, columns)
        loss.backward()
        optimizer.step()
        assert torch.equal(model.weight[:, columns:], before[:, columns:])
        assert not torch.equal(model.weight[:3, :columns], before[:3, :columns])
    assert torch.equal(model.weight[3:], start[3:])
    assert optimizer.state[model.weight]["step"] == 3


def test_a_slice_has_one_leaf_a_step() -> None:
    model, tape = Sliced(), SliceTape()
    with tape.recording():
        first = take(model.weight, 2, 3)
        assert take(model.weight, 2, 3) is first
        assert take(model.weight, 3, 2) is not first
    (2 * first).sum().backward()
    (parameter, gradient), *others = tape.gradients()
    assert parameter is model.weight
    assert torch.equal(gradient, torch.full((2, 3), 2, dtype=F64))
    assert others == []  # the other slice has none
    tape.clear()
    assert list(tape.gradients()) == []
    model.weight.data = model.weight.data.float()  # as `.to` does
    with tape.recording():
        moved = take(model.weight, 2, 3)
    assert moved.dtype == torch.float32
    assert moved.data_ptr() == model.weight.data_ptr()
    assert moved.grad is None
    with pytest.raises(ValueError, match=r"a weight of \(\d, \d\) has no leading block of \(9, 1\)"), tape.recording():
        take(model.weight, 9, 1)


def test_several_slices_of_a_weight_give_one_gradient_over_all_of_them() -> None:
    model, tape = Sliced(), SliceTape()
    with tape.recording():
        loss = take(model.weight, 2, 3).sum() + 10 * take(model.weight, 3, 2).sum() + take(model.weight, 2, 3).sum()
    loss.backward()
    ((_, gradient),) = tape.gradients()
    assert gradient.tolist() == [[12, 12, 2], [12, 12, 2], [10, 10, 0]]


def test_one_weight_used_both_ways_is_refused() -> None:
    model, tape = Sliced(), SliceTape()
    optimizer = Adagrad(model.parameters(), tape=tape)
    with tape.recording():
        loss = take(model.weight, 2, 2).sum() + model.weight.sum()
    loss.backward()
    with pytest.raises(ValueError, match="both whole and by slices"):
        optimizer.step()


def test_a_gradient_that_is_not_finite_changes_nothing() -> None:
    model, _ = twins()
    optimizer = Adagrad(model.parameters(), 0.1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    (model(torch.ones(2, 2, dtype=torch.long)).sum() * float("inf")).backward()
    with pytest.raises(NotFiniteError):
        optimizer.step()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("kind", [Adagrad, RowwiseAdagrad, Adam])
def test_state_survives_a_round_trip(kind: type[Adagrad] | type[RowwiseAdagrad] | type[Adam], tmp_path: Path) -> None:
    whole, _ = twins()
    cut, _ = twins()
    data = batches(20)

    def run(model: Small, optimizer: torch.optim.Optimizer, part: slice) -> None:
        for ids, label in data[part]:
            optimizer.zero_grad()
            nn.functional.binary_cross_entropy_with_logits(model(ids), label).backward()
            optimizer.step()

    run(whole, kind(whole.parameters(), 0.1), slice(None))
    first = kind(cut.parameters(), 0.1)
    run(cut, first, slice(10))
    stored = first.state_dict()
    assert all(type(value) in (int, Tensor) for state in stored["state"].values() for value in state.values())
    second = kind(cut.parameters(), 0.7)
    write_checkpoint(stored, tmp_path / "state")
    second.load_state_dict(read_checkpoint(tmp_path / "state"))
    run(cut, second, slice(10, None))
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), cut.parameters(), strict=True))
