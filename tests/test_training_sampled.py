"""Negative sampling: what is trained on the thinned rows is calibrated on the whole log."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasrec_nni.baselines.settings import BaselineSettings
from nasrec_nni.config import Recipe
from nasrec_nni.config_file import parse_config
from nasrec_nni.data.batch import Batch
from nasrec_nni.data.prepare import prepare
from nasrec_nni.data.prepared import PreparedSet
from nasrec_nni.evaluation.evaluator import Evaluator
from nasrec_nni.metrics import calibration, log_loss
from nasrec_nni.plugins import registry
from nasrec_nni.strategies.one_shot.train import train_supernet
from nasrec_nni.strategies.one_shot.training import SupernetTraining
from nasrec_nni.strategies.sampling.sampler import architectures
from nasrec_nni.training.fit import fit
from nasrec_nni.training.module import ClickModule
from nasrec_nni.training.predict import predict

RATE = 0.2


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> tuple[PreparedSet, np.ndarray]:
    """A set of whose training rows every click and a fifth of the rest are kept, and each row's true probability."""
    folder, generator, n = tmp_path_factory.mktemp("sampled"), np.random.default_rng(5), 50_000
    a, b, ad = generator.normal(size=n), generator.normal(size=n), generator.integers(0, 12, n)
    probability = 1 / (1 + np.exp(-(0.8 * a - 0.5 * b + 0.7 * generator.normal(size=12)[ad] - 2.0)))
    click = generator.random(n) < probability
    rows = zip(click.astype(int), a, b, ad, strict=True)
    lines = [f"{label},{one:.5f},{other:.5f},v{number}" for label, one, other, number in rows]
    (folder / "log.csv").write_text("\n".join(["y,a,b,ad", *lines]))
    options = {"label": "y", "numeric": ["a", "b"], "categorical": ["ad"], "transform": "identity", "negatives": RATE}
    return prepare("table", [folder / "log.csv"], folder / "set", options, progress=False), probability


def uncorrected(prepared: PreparedSet) -> PreparedSet:
    """The same rows, as if nothing had been left out."""
    found = copy.copy(prepared)
    found.schema = replace(prepared.schema, negative_rate=1.0)
    assert found.negative_rate == 1.0
    return found


def regression(prepared: PreparedSet, folder: Path) -> tuple[np.ndarray, float]:
    """Logistic regression: probabilities of the validation rows, and its validation log loss."""
    torch.manual_seed(0)
    recipe = Recipe(preset="bars", batch=512, epochs=8, learning_rate=0.05, dropout=0.0)
    network = registry("baselines").load("lr")(prepared.dense_width, prepared.rows_per_field, BaselineSettings())
    train, val = prepared.rows("train"), prepared.rows("val")
    found = fit(
        network, prepared, recipe, seed=1, folder=folder, train_rows=train, val_rows=val, progress=False, device="cpu"
    )
    return predict(network, prepared, val), found.val_log_loss


def test_a_network_is_calibrated_on_the_whole_log(log: tuple[PreparedSet, np.ndarray], tmp_path: Path) -> None:
    prepared, probability = log
    assert prepared.negative_rate == RATE
    assert prepared.label[prepared.rows("train")].mean() > 2 * prepared.label[prepared.rows("val")].mean()
    label = prepared.label[prepared.rows("val")]
    p, corrected = regression(prepared, tmp_path / "corrected")
    assert calibration(label, p) == pytest.approx(1, abs=0.05)
    assert corrected < log_loss(label, probability[prepared.rows("val")]) + 0.01
    p, blind = regression(uncorrected(prepared), tmp_path / "blind")
    assert calibration(label, p) > 1.5  # type: ignore[operator]
    assert blind > corrected + 0.02


@pytest.mark.parametrize("head", ["newton", "lbfgs", "adagrad"])
def test_a_refitted_last_layer_is_calibrated_on_the_whole_log(
    log: tuple[PreparedSet, np.ndarray], head: str, tmp_path: Path
) -> None:
    prepared, _ = log
    config = parse_config(
        {
            "device": "cpu",
            "space": {"blocks": 2, "dense_widths": [16], "sparse_rows": [8], "embedding": 4, "heads": 2},
            "supernet": {"recipe": {"preset": "published", "batch": 256, "epochs": 1}, "warmup": 0.0},
            "search": {"head_rows": 10_000, "head": head},
        }
    )
    train_supernet(config, prepared, tmp_path, progress=False)

    def figures(data: PreparedSet) -> tuple[float, float]:
        evaluator = Evaluator(tmp_path, data, config.search)
        (architecture,) = architectures(evaluator.supernet.facts.space, 4, 1)
        network = evaluator.supernet.network(architecture)
        with torch.no_grad():
            weights, _ = evaluator._fit(network)
            batches = [batch for _, some in evaluator._score for batch in evaluator._batches(some)]
            x = torch.cat([network.features(batch.dense, batch.sparse) for batch in batches]).double()
            p = torch.sigmoid(x @ weights[:-1].double() + weights[-1].double()).numpy()
        found = calibration(data.label[data.rows("val")], p)
        assert found is not None
        return found, evaluator.evaluate(architecture).log_loss

    (corrected, loss), (blind, blind_loss) = figures(prepared), figures(uncorrected(prepared))
    assert corrected == pytest.approx(1, abs=0.05)
    assert blind > 1.5
    assert blind_loss > loss + 0.02


class FirstColumn(nn.Module):
    """The first dense column is the logit."""

    def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
        return dense[:, 0]


def supernet_module(rate: float) -> Any:
    module = SupernetTraining(Recipe(), 2, rate)
    module.set_model(FirstColumn())
    return module


@pytest.mark.parametrize("make", [lambda rate: ClickModule(FirstColumn(), Recipe(), 2, rate), supernet_module])
def test_the_loss_of_training_rows_is_at_shifted_logits(make: Callable[[float], Any]) -> None:
    logits, label = torch.randn(20), torch.randint(2, (20,)).float()
    batch = Batch(logits[:, None], torch.zeros(20, 1).long(), label)
    losses = []
    for rate in (1.0, 0.25):
        module = make(rate)
        module._trainer = SimpleNamespace(global_step=1)
        module.log = lambda *_, **__: None
        losses.append(module.training_step(batch, 0))
    assert torch.equal(losses[0], F.binary_cross_entropy_with_logits(logits, label))
    odds = torch.exp(logits) / 0.25
    torch.testing.assert_close(losses[1], F.binary_cross_entropy(odds / (1 + odds), label))


def test_validation_of_the_supernet_is_at_the_logits_themselves() -> None:
    module = supernet_module(0.25)
    logits, label = torch.randn(20), torch.randint(2, (20,)).float()
    module.validation_step(Batch(logits[:, None], torch.zeros(20, 1).long(), label), 0)
    expected = F.binary_cross_entropy_with_logits(logits.double(), label.double())
    torch.testing.assert_close(module._losses[0], expected)
