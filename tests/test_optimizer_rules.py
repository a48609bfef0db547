"""Our optimizers over 100 steps of random batches: against torch's dense ones, and kernels against list operations."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from nasrec_nni.config import Recipe
from nasrec_nni.config_file import parse_config
from nasrec_nni.operators.optimizers import Adagrad, Adam, RowwiseAdagrad, base
from nasrec_nni.operators.optimizers.base import TouchedOptimizer
from nasrec_nni.operators.optimizers.rules import RULES
from nasrec_nni.operators.slices import SliceTape, take

STEPS = 100
F64 = torch.float64
ROOT = Path(__file__).parents[1]
EXAMPLES = settings(max_examples=5, deadline=None)
KINDS: dict[str, type[Adagrad] | type[RowwiseAdagrad] | type[Adam]] = {
    "adagrad": Adagrad, "rowwise-adagrad": RowwiseAdagrad, "adam": Adam,
}  # fmt: skip


class DenseRowwise(torch.optim.Optimizer):
    """The definition, on whole tables: `s += mean over the row of g²; w -= lr · g / (√s + ε)`."""

    def __init__(self, parameters: Any, lr: float, eps: float) -> None:
        super().__init__(parameters, {"lr": lr, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for weight in group["params"]:
                rows = (len(weight), -1)
                total = self.state[weight].setdefault("sum", weight.new_zeros(len(weight)))
                total += weight.grad.view(rows).square().mean(1)
                weight -= group["lr"] * (weight.grad.view(rows) / (total.sqrt() + group["eps"])[:, None]).view_as(
                    weight
                )


def sparse(ids: Tensor, values: Tensor, table: Tensor) -> Tensor:
    """A gradient as autograd makes it: rows may be repeated."""
    return torch.sparse_coo_tensor(ids[None], values, table.shape, check_invariants=False)


class Batches:
    """A table, a whole weight, and random gradients of both: ids with repetitions, some rows never among them."""

    def __init__(self, seed: int, rows: int, width: int, ids: int, *, every_row: bool = False) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.table, self.whole = (nn.Parameter(self._normal(*shape)) for shape in ((rows, width), (3, 5)))
        self.ids, self.every_row = ids, every_row

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator, dtype=F64)

    def draw(self) -> tuple[Tensor, Tensor, Tensor]:
        ids = torch.randint(max(1, len(self.table) - 1), (self.ids,), generator=self.generator)
        if self.every_row:
            ids = torch.cat((ids, torch.arange(len(self.table))))
        return ids, self._normal(len(ids), self.table.shape[1]), self._normal(3, 5)


def compare(
    batches: Batches,
    ours: TouchedOptimizer,
    theirs: Callable[[nn.Parameter, nn.Parameter], list[torch.optim.Optimizer]],
    l2: float,
    clip: float,
    tolerance: float,
    of_rows: bool = False,
) -> None:
    """Both over the same batches; the reference has dense gradients, or coalesced ones of the rows of the batch."""
    table, whole = (nn.Parameter(p.detach().clone()) for p in (batches.table, batches.whole))
    references = theirs(table, whole)
    clipped = 0
    for _ in range(STEPS):
        ids, values, batches.whole.grad = batches.draw()
        batches.table.grad = sparse(ids, values, batches.table)
        table.grad, whole.grad = torch.zeros_like(table).index_add_(0, ids, values), batches.whole.grad.clone()
        rows = ids.unique()
        table.grad[rows] += l2 * table.detach()[rows]
        norm = torch.linalg.vector_norm(torch.cat((table.grad.flatten(), whole.grad.flatten())))
        if clip:
            nn.utils.clip_grad_norm_([table, whole], clip)
            clipped += int(norm > clip)
        if of_rows:
            table.grad = sparse(rows, table.grad[rows], table).coalesce()
        for reference in references:
            reference.step()
        ours.step()
        assert ours.norm is not None
        torch.testing.assert_close(ours.norm, norm, rtol=1e-9, atol=0)
    assert bool(clipped) == bool(clip)
    torch.testing.assert_close(batches.table, table, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(batches.whole, whole, rtol=tolerance, atol=tolerance)


cases = given(
    seed=st.integers(0, 2**31),
    rows=st.integers(1, 40),
    width=st.integers(1, 6),
    ids=st.integers(1, 50),
    l2=st.sampled_from([0.0, 0.1]),
    clip=st.sampled_from([0.0, 3.0]),
)


def groups(batches: Batches, l2: float) -> list[dict[str, Any]]:
    return [{"params": [batches.table], "l2": l2}, {"params": [batches.whole]}]


@EXAMPLES
@cases
def test_adagrad_is_torchs_dense_one_on_every_row(
    seed: int, rows: int, width: int, ids: int, l2: float, clip: float
) -> None:
    batches = Batches(seed, rows, width, ids)
    ours = Adagrad(groups(batches, l2), 0.1, 1e-2, clip=clip)
    compare(batches, ours, lambda *both: [torch.optim.Adagrad(both, 0.1, eps=1e-2)], l2, clip, 1e-10)


@EXAMPLES
@cases
def test_rowwise_adagrad_is_its_definition_on_every_row(
    seed: int, rows: int, width: int, ids: int, l2: float, clip: float
) -> None:
    batches = Batches(seed, rows, width, ids)
    ours = RowwiseAdagrad(groups(batches, l2), 0.1, 1e-2, clip=clip)
    compare(batches, ours, lambda *both: [DenseRowwise(both, 0.1, 1e-2)], l2, clip, 1e-10)
    assert ours.state[batches.table]["sum"].shape == (rows,)


@EXAMPLES
@cases
def test_adam_is_torchs_sparse_one_on_rows_and_its_dense_one_on_whole_weights(
    seed: int, rows: int, width: int, ids: int, l2: float, clip: float
) -> None:
    batches = Batches(seed, rows, width, ids)
    ours = Adam(groups(batches, l2), 0.01, eps=1e-6, clip=clip)

    def theirs(table: nn.Parameter, whole: nn.Parameter) -> list[torch.optim.Optimizer]:
        return [torch.optim.SparseAdam([table], 0.01, eps=1e-6), torch.optim.Adam([whole], 0.01, eps=1e-6)]

    compare(batches, ours, theirs, l2, clip, 1e-9, of_rows=True)


@EXAMPLES
@cases
def test_adam_is_torchs_dense_one_where_every_step_uses_every_row(
    seed: int, rows: int, width: int, ids: int, l2: float, clip: float
) -> None:
    """With ε next to nothing: the lazy form has it in another place."""
    batches = Batches(seed, rows, width, ids, every_row=True)
    ours = Adam(groups(batches, l2), 0.01, eps=1e-15, clip=clip)
    compare(batches, ours, lambda *both: [torch.optim.Adam(both, 0.01, eps=1e-15)], l2, clip, 1e-8)


@EXAMPLES
@given(
    seed=st.integers(0, 2**31),
    shapes=st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=3), min_size=1, max_size=3),
    kind=st.sampled_from(["adagrad", "rowwise-adagrad"]),
    clip=st.sampled_from([0.0, 1.0]),
)
def test_slices_equal_dense_gradients_that_are_zero_elsewhere(
    seed: int, shapes: list[list[int]], kind: str, clip: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    ours = [nn.Parameter(torch.randn(*shape, generator=generator, dtype=F64)) for shape in shapes]
    theirs = [nn.Parameter(weight.detach().clone()) for weight in ours]
    tape = SliceTape()
    optimizer = KINDS[kind](ours, 0.1, 1e-2, clip=clip, tape=tape)
    twin = torch.optim.Adagrad(theirs, 0.1, eps=1e-2) if kind == "adagrad" else DenseRowwise(theirs, 0.1, 1e-2)
    for _ in range(STEPS):
        for weight, other in zip(ours, theirs, strict=True):
            other.grad = torch.zeros_like(other)
            if torch.rand((), generator=generator) < 0.2:
                continue
            shape = [int(torch.randint(1, size + 1, (), generator=generator)) for size in weight.shape]
            gradient = torch.randn(*shape, generator=generator, dtype=F64)
            with tape.recording():
                take(weight, *shape).backward(gradient)
            other.grad[tuple(slice(size) for size in shape)] = gradient
        if clip:
            nn.utils.clip_grad_norm_(theirs, clip)
        optimizer.step()
        twin.step()
    for weight, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(weight, other, rtol=1e-10, atol=1e-10)


def trained(
    kind: str, seed: int, shapes: list[list[int]], table: tuple[int, int, int], l2: float, clip: float
) -> tuple[list[Tensor], list[float]]:
    """Weights, states and norms after float32 steps on slices of whole weights and on rows of a table."""
    generator = torch.Generator().manual_seed(seed)
    rows, width, ids = table
    weights = [nn.Parameter(torch.randn(*shape, generator=generator)) for shape in [[rows, width], *shapes]]
    tape = SliceTape()
    optimizer = KINDS[kind](weights, 0.01, eps=1e-2, l2=l2, clip=clip, tape=tape)
    norms = []
    for _ in range(20):
        index = torch.randint(rows, (ids,), generator=generator)
        values = torch.randn(width, ids, generator=generator).t()  # not contiguous
        weights[0].grad = sparse(index, values, weights[0])
        for number, weight in enumerate(weights[1:]):
            shape = [int(torch.randint(1, size + 1, (), generator=generator)) for size in weight.shape]
            whole = number % 2 == 0 and weight.dim() != 2
            gradient = torch.randn(*(weight.shape if whole else shape), generator=generator)
            if gradient.dim() == 2:
                gradient = gradient.t().contiguous().t()
            with tape.recording():
                take(weight, *gradient.shape).backward(gradient)
        optimizer.step()
        assert optimizer.norm is not None
        norms.append(optimizer.norm.item())
    states = [value for weight in weights for value in optimizer.state[weight].values() if isinstance(value, Tensor)]
    return [weight.detach() for weight in weights] + states, norms


@settings(max_examples=20, deadline=None)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    seed=st.integers(0, 2**31),
    shapes=st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=3), max_size=4),
    table=st.tuples(st.integers(1, 300), st.integers(1, 20), st.integers(1, 200)),
    l2=st.sampled_from([0.0, 0.1]),
    clip=st.sampled_from([0.0, 3.0]),
)
def test_kernels_equal_torchs_operations_up_to_rounding(
    kind: str, seed: int, shapes: list[list[int]], table: tuple[int, int, int], l2: float, clip: float
) -> None:
    case = (kind, seed, shapes, table, l2, clip)
    fast, norms = trained(*case)
    again, _ = trained(*case)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "fits", lambda block: False)
        plain, expected = trained(*case)
    assert all(torch.equal(a, b) for a, b in zip(fast, again, strict=True))
    assert norms == pytest.approx(expected, rel=1e-5)
    for one, other in zip(fast, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_kernels_are_in_use_for_float32_and_only_there(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(base, "chunks", lambda blocks, size: seen.append(len(blocks)) or [])
    for dtype, others in ((torch.float32, 0), (F64, 1), (torch.bfloat16, 1)):
        weight = nn.Parameter(torch.ones(3, 4, dtype=dtype))
        weight.grad = torch.ones_like(weight)
        Adagrad([weight]).step()
        assert seen.pop() == others


def test_gradients_that_are_not_finite_change_nothing_in_float32() -> None:
    for bad in (float("nan"), float("inf")):
        weights = [nn.Parameter(torch.ones(2, 3)) for _ in range(2)]
        weights[0].grad, weights[1].grad = torch.ones(2, 3), torch.tensor([[0.0, bad, 0.0]] * 2)
        optimizer = Adagrad(weights, clip=1.0)
        with pytest.raises(base.NotFiniteError):
            optimizer.step()
        assert all(torch.equal(weight, torch.ones(2, 3)) for weight in weights)
        assert not optimizer.state


def test_the_page_names_every_rule_and_every_key() -> None:
    text = (ROOT / "docs/optimizers.md").read_text()
    (block,) = re.findall(r"```yaml\n(.*?)```", text, re.S)
    recipe = parse_config(yaml.safe_load(block)).retrain.recipe
    assert recipe.embedding_optimizer == "rowwise-adagrad"
    keys = {key for key in Recipe.model_fields if key.startswith(("optimizer", "embedding", "epsilon"))}
    named = set(re.findall(r"`([a-z_0-9-]+)`", text))
    assert keys - {"embedding_init"} <= named
    assert RULES.keys() <= named


def test_the_instrument_measures_every_rule(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    threads = torch.get_num_threads()
    importlib.import_module("updates").main(["--rows", "40", "--batch", "8", "--paths", "1", "--rounds", "1"])
    torch.set_num_threads(threads)
    shown = capsys.readouterr().out
    assert all(f"{name}: kernels" in shown for name in ("Adagrad", "row-wise Adagrad", "lazy Adam"))
    assert "torch's fused Adagrad" in shown
