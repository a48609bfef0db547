"""Row weights through loss, training, refit and figures: a row of weight 3 is three equal rows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from nasrec_nni.baselines.settings import BaselineSettings
from nasrec_nni.config import Config, Recipe
from nasrec_nni.config_file import parse_config
from nasrec_nni.data.batch import Batch
from nasrec_nni.evaluation.evaluator import Evaluator
from nasrec_nni.evaluation.last_layer import fit_adagrad, fit_lbfgs
from nasrec_nni.metrics import auc, log_loss
from nasrec_nni.operators.loss import click_loss
from nasrec_nni.plugins import registry
from nasrec_nni.strategies.one_shot.module import PathModule
from nasrec_nni.strategies.one_shot.train import train_supernet
from nasrec_nni.strategies.sampling.sampler import architectures
from nasrec_nni.training.fit import fit
from nasrec_nni.training.module import ClickModule
from nasrec_nni.training.predict import predict


@dataclass
class Rows:
    """What training reads of a prepared set, in memory; `given` rows are split by their number."""

    dense: np.ndarray
    sparse: np.ndarray
    label: np.ndarray
    rows_per_field: tuple[int, ...]
    train: np.ndarray
    val: np.ndarray
    weight: np.ndarray | None = None
    lengths: tuple[int, ...] = ()
    negative_rate: float = 1.0
    fingerprint: str = "made"
    folder: Path = field(default_factory=lambda: Path("made"))

    def __post_init__(self) -> None:
        self.lengths = self.lengths or (1,) * len(self.rows_per_field)
        self.dense_width = self.dense.shape[1]

    def rows(self, split: str) -> np.ndarray:
        return self.train if split == "train" else self.val

    def repeated(self) -> Rows:
        """Each row as often as its weight says."""
        assert self.weight is not None
        times = self.weight.astype(int)
        first = np.cumsum(times) - times

        def moved(rows: np.ndarray) -> np.ndarray:
            return np.concatenate([np.arange(first[row], first[row] + times[row]) for row in rows])

        return replace(
            self,
            dense=self.dense.repeat(times, 0),
            sparse=self.sparse.repeat(times, 0),
            label=self.label.repeat(times),
            weight=None,
            train=moved(self.train),
            val=moved(self.val),
        )


def made(weighted: bool = False) -> Any:
    """Rows whose labels follow the first dense column and a field; two thirds are for training."""
    n, generator = 600, np.random.default_rng(0)
    dense = generator.normal(size=(n, 3)).astype(np.float32)
    sparse = generator.integers(0, (7, 12), (n, 2)).astype(np.int32)
    logit = dense[:, 0] + generator.normal(size=12)[sparse[:, 1]] - 0.5
    label = (generator.random(n) < 1 / (1 + np.exp(-logit))).astype(np.float32)
    weight = generator.integers(1, 5, n).astype(np.float32) if weighted else None
    return Rows(dense, sparse, label, (7, 12), np.arange(400), np.arange(400, n), weight)


class FirstColumn(nn.Module):
    """The first dense column is the logit."""

    def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
        return dense[:, 0]


def config(batch: int) -> Config:
    recipe = {"preset": "published", "batch": batch, "epochs": 2}
    width = {"blocks": 2, "dense_widths": [16], "sparse_rows": [8], "embedding": 4, "heads": 2}
    supernet = {"recipe": recipe, "warmup": 0.0}
    return parse_config({"device": "cpu", "space": width, "supernet": supernet, "search": {"head_rows": 10_000}})


def baseline(name: str, data: Any, recipe: Recipe) -> nn.Module:
    torch.manual_seed(0)
    options = BaselineSettings(embedding=4, embedding_init=0.05, hidden=(8,), lengths=data.lengths)
    network: nn.Module = registry("baselines").load(name)(data.dense_width, data.rows_per_field, options)
    return network


def trained(name: str, data: Any, recipe: Recipe, folder: Path) -> tuple[nn.Module, Any]:
    network = baseline(name, data, recipe)
    rows = {"train_rows": data.train, "val_rows": data.val}
    return network, fit(network, data, recipe, seed=1, folder=folder, progress=False, device="cpu", **rows)


# ---- the loss -------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31), n=st.integers(1, 40))
def test_loss_and_gradient_of_integer_weights_are_those_of_repeated_rows(seed: int, n: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = (5 * torch.randn(n, generator=generator, dtype=torch.float64)).requires_grad_()
    label = torch.randint(2, (n,), generator=generator).double()
    weight = torch.randint(1, 6, (n,), generator=generator)
    found = click_loss(logits, label, weight.double())
    expected = click_loss(logits.repeat_interleave(weight), label.repeat_interleave(weight))
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(loss, logits)[0] for loss in (found, expected)]
    torch.testing.assert_close(*gradients)


def test_weights_of_one_are_no_weights() -> None:
    logits, label = torch.randn(50), torch.randint(2, (50,)).float()
    assert torch.equal(click_loss(logits, label), F.binary_cross_entropy_with_logits(logits, label))
    torch.testing.assert_close(click_loss(logits, label, torch.ones(50)), click_loss(logits, label))


# ---- training -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lr", "dcnv2"])
def test_training_with_weights_is_training_on_repeated_rows(name: str, tmp_path: Path) -> None:
    """A batch holds all rows, so that both take the same steps."""
    data = made(weighted=True)
    recipe = Recipe(preset="bars", batch=5000, epochs=4, learning_rate=0.05, schedule="constant")
    one, found = trained(name, data, recipe, tmp_path / "weighted")
    other, expected = trained(name, data.repeated(), recipe, tmp_path / "repeated")
    _, blind = trained(name, replace(data, weight=None), recipe, tmp_path / "plain")
    for first, second in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-4)
    for entry, reference in zip(found.history, expected.history, strict=True):
        for figure in ("train_log_loss", "val_log_loss", "val_auc"):
            assert entry[figure] == pytest.approx(reference[figure], rel=1e-4)
    assert found.val_log_loss != pytest.approx(blind.val_log_loss, rel=1e-3)
    p = predict(one, data, data.val)
    assert found.val_log_loss == log_loss(data.label[data.val], p, data.weight[data.val])
    assert found.val_auc == auc(data.label[data.val], p, data.weight[data.val])


def test_training_with_weights_of_one_is_training_without(tmp_path: Path) -> None:
    data = made()
    recipe = Recipe(preset="bars", batch=64, epochs=2)
    _, plain = trained("lr", data, recipe, tmp_path / "plain")
    _, ones = trained("lr", replace(data, weight=np.ones(600, np.float32)), recipe, tmp_path / "ones")
    assert ones.val_log_loss == pytest.approx(plain.val_log_loss, rel=1e-5)
    assert ones.history[0]["train_log_loss"] == pytest.approx(plain.history[0]["train_log_loss"], rel=1e-5)


def test_mean_training_loss_is_over_rows_by_weight() -> None:
    module = ClickModule(FirstColumn(), Recipe(), 2)
    module._trainer = type("T", (), {"global_step": 1})()  # type: ignore[assignment]
    label, weights = torch.tensor([1.0, 0.0, 1.0]), torch.tensor([[1.0, 2.0, 3.0], [10.0, 1.0, 1.0]])
    logits = torch.randn(2, 3)
    for step in range(2):
        module.training_step(Batch(logits[step, :, None], torch.zeros(3, 1).long(), label, weights[step]), step)
    losses = F.binary_cross_entropy_with_logits(logits, label.expand(2, 3), reduction="none")
    assert module.take_train_loss() == pytest.approx(((losses * weights).sum() / weights.sum()).item(), rel=1e-6)


def test_supernet_with_weights_is_that_on_repeated_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, seen = made(weighted=True), []
    monkeypatch.setattr(PathModule, "log", lambda self, name, value, **more: seen.append((name, float(value.detach()))))
    for name, rows in {"weighted": data, "repeated": data.repeated(), "plain": replace(data, weight=None)}.items():
        train_supernet(config(5000), rows, tmp_path / name, progress=False)
    third = len(seen) // 3
    for (name, value), (other, reference) in zip(seen[:third], seen[third : 2 * third], strict=True):
        assert name == other
        assert value == pytest.approx(reference, rel=1e-4)
    assert {name for name, _ in seen} == {"supernet/loss", "supernet/val_log_loss"}
    assert seen[third - 1][1] != pytest.approx(seen[-1][1], rel=1e-4)
    weighted, repeated = (load_file(tmp_path / name / "model.safetensors") for name in ("weighted", "repeated"))
    for name in weighted:
        torch.testing.assert_close(weighted[name], repeated[name], rtol=1e-2, atol=1e-3)


# ---- evaluation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fitted", ["lbfgs", "adagrad"])
def test_last_layer_with_weights_is_that_on_repeated_rows(fitted: str) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 4, generator=generator, dtype=torch.float64)
    y = (torch.rand(200, generator=generator, dtype=torch.float64) < torch.sigmoid(x[:, 0] - 1)).double()
    weight = torch.randint(1, 5, (200,), generator=generator)
    start = torch.full((5,), 0.1, dtype=torch.float64)

    def run(x: Tensor, y: Tensor, weight: Tensor | None) -> Tensor:
        if fitted == "adagrad":
            return fit_adagrad(x, y, start, batch=len(x), steps=50, weight=weight)
        return fit_lbfgs(x, y, start, 1e-2, iterations=500, gain=1e-14, weight=weight)[0]

    found = run(x, y, weight.double())
    repeated = run(x.repeat_interleave(weight, 0), y.repeat_interleave(weight), None)
    torch.testing.assert_close(found, repeated, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(found, run(x, y, None), rtol=1e-2)
    torch.testing.assert_close(run(x, y, torch.ones(200, dtype=torch.float64)), run(x, y, None))


def test_weighted_lbfgs_equals_sklearn() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2000, 5, generator=generator, dtype=torch.float64)
    y = (torch.rand(2000, generator=generator, dtype=torch.float64) < torch.sigmoid(x[:, 0] - 1)).double()
    weight = torch.rand(2000, generator=generator, dtype=torch.float64) * 3 + 0.1
    found, _ = fit_lbfgs(x, y, torch.zeros(6, dtype=torch.float64), 1e-2, iterations=500, gain=1e-14, weight=weight)
    oracle = LogisticRegression(C=1 / (1e-2 * weight.sum().item()), tol=1e-10, max_iter=5000)
    oracle.fit(x.numpy(), y.numpy(), sample_weight=weight.numpy())
    torch.testing.assert_close(found, torch.tensor([*oracle.coef_[0], *oracle.intercept_]), rtol=1e-3, atol=1e-3)


def test_scores_with_weights_are_those_of_repeated_rows(tmp_path: Path) -> None:
    data = made(weighted=True)
    train_supernet(config(64), data, tmp_path, progress=False)
    evaluators = [Evaluator(tmp_path, rows, config(64).search) for rows in (data, data.repeated())]
    blind = Evaluator(tmp_path, replace(data, weight=None), config(64).search)
    for architecture in architectures(evaluators[0].supernet.facts.space, 1, 3):
        found, expected = (one.evaluate(architecture) for one in evaluators)
        assert found.log_loss == pytest.approx(expected.log_loss, abs=1e-3)
        assert found.auc == pytest.approx(expected.auc, abs=3e-3)
        assert len(found.losses) == len(data.val) < len(expected.losses)
        assert found.log_loss == pytest.approx(np.average(found.losses, weights=data.weight[data.val]))
        assert found.log_loss != pytest.approx(blind.evaluate(architecture).log_loss, abs=1e-3)
