"""Scoring candidates: slices from the file, the last layer refitted, figures equal to slow references."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from torch import Tensor

from nasrec_nni.config import Recipe, SearchConfig
from nasrec_nni.config_file import parse_config
from nasrec_nni.data.loader import Batches
from nasrec_nni.data.prepare import prepare
from nasrec_nni.data.prepared import PreparedSet
from nasrec_nni.errors import UserError
from nasrec_nni.evaluation.evaluator import Evaluator, shared_head
from nasrec_nni.evaluation.last_layer import fit_adagrad, fit_lbfgs
from nasrec_nni.evaluation.supernet import Supernet
from nasrec_nni.strategies.one_shot.train import make_space, train_supernet
from nasrec_nni.strategies.sampling.sampler import architectures
from nasrec_nni.training.schedule import build_schedule

CONFIG = parse_config(
    {
        "threads": 1,
        "space": {"name": "nasrec-full", "blocks": 3, "dense_widths": [16, 32], "sparse_rows": [8, 16]},
        "supernet": {"recipe": {"preset": "published", "batch": 128}, "validation_rows": 300},
        "search": {"head_rows": 1500, "score_rows": 700},
    }
)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> PreparedSet:
    folder = tmp_path_factory.mktemp("data") / "set"
    return prepare("synthetic", [], folder, {"rows": 8000}, progress=False)


@pytest.fixture(scope="module")
def supernet(prepared: PreparedSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("supernet")
    train_supernet(CONFIG, prepared, folder, progress=False)
    return folder


def test_networks_hold_the_slices_of_the_file(supernet: Path, prepared: PreparedSet) -> None:
    from safetensors.torch import load_file

    loaded, whole = Supernet(supernet), load_file(supernet / "model.safetensors")
    for architecture in architectures(loaded.facts.space, 1, 20):
        network = loaded.network(architecture)
        assert not network.training
        for name, parameter in network.named_parameters():
            assert torch.equal(parameter, whole[name][tuple(slice(size) for size in parameter.shape)]), name


def test_score_equals_a_slow_reference(supernet: Path, prepared: PreparedSet) -> None:
    evaluator = Evaluator(supernet, prepared, CONFIG.search)
    for architecture in architectures(evaluator.supernet.facts.space, 2, 3):
        score = evaluator.evaluate(architecture)
        assert score == _again(evaluator, architecture, score)
        assert (score.head_rows, score.score_rows) == (1500, 700)
        network = evaluator.supernet.network(architecture)
        with torch.no_grad():
            head, converged = evaluator._fit(network)
            data = next(iter(Batches(prepared, evaluator.score_rows, 700, None)))
            x = network.features(data.dense, data.sparse).double()
            exact = (x @ head[:-1].double() + head[-1].double()).numpy()
            p = 1 / (1 + np.exp(-exact))
            logits = np.concatenate([evaluator._logits(network, head, *part) for part in evaluator._score])
        np.testing.assert_allclose(logits, exact, rtol=0, atol=1e-5)
        assert score.converged is converged is True
        assert score.log_loss == pytest.approx(log_loss(data.label, p), abs=1e-6)
        # of its own logits: two that are nearer than a rounding may stand in the other order in float64
        assert score.auc == pytest.approx(roc_auc_score(data.label, logits), abs=1e-12)
        assert score.losses.mean() == pytest.approx(score.log_loss)


def _again(evaluator: Evaluator, architecture, first):  # type: ignore[no-untyped-def]
    """A second evaluation, with the fields that may differ taken from the first."""
    second = evaluator.evaluate(architecture)
    assert np.array_equal(second.losses, first.losses)
    return type(first)(**(vars(second) | {"cpu_seconds": first.cpu_seconds, "losses": first.losses}))


def test_refitting_never_makes_the_training_rows_worse(supernet: Path, prepared: PreparedSet) -> None:
    evaluator = Evaluator(supernet, prepared, CONFIG.search)
    for architecture in architectures(evaluator.supernet.facts.space, 3, 5):
        network = evaluator.supernet.network(architecture)
        with torch.no_grad():
            data = next(iter(Batches(prepared, evaluator.head_rows, 1500, None)))
            x = network.features(data.dense, data.sparse)

            def loss(head: Tensor, x: Tensor = x, label: Tensor = data.label) -> float:
                return torch.nn.functional.binary_cross_entropy_with_logits(x @ head[:-1] + head[-1], label).item()

            start = shared_head(network)
            torch.testing.assert_close(x @ start[:-1] + start[-1], network(data.dense, data.sparse))
            assert loss(evaluator._fit(network)[0]) <= loss(start)


def test_lbfgs_equals_sklearn() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3000, 7, generator=generator, dtype=torch.float64)
    truth = torch.randn(7, generator=generator, dtype=torch.float64)
    y = (torch.rand(3000, generator=generator, dtype=torch.float64) < torch.sigmoid(x @ truth - 1)).double()
    ridge = 1e-2
    found, converged = fit_lbfgs(x, y, torch.zeros(8, dtype=torch.float64), ridge, iterations=500, gain=1e-14)
    assert converged
    oracle = LogisticRegression(C=1 / (ridge * len(x)), tol=1e-10, max_iter=5000).fit(x.numpy(), y.numpy())
    expected = torch.tensor([*oracle.coef_[0], *oracle.intercept_])
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_ridge_pulls_towards_the_start() -> None:
    x, y = torch.randn(200, 3), torch.randint(2, (200,)).float()
    start = torch.tensor([1.0, -2.0, 0.5, 0.1])
    torch.testing.assert_close(fit_lbfgs(x, y, start, 1e6)[0][:3], start[:3], rtol=0, atol=1e-4)


def test_adagrad_equals_torch_with_the_authors_schedule() -> None:
    generator = torch.Generator().manual_seed(1)
    x = 10 * torch.randn(1024, 5, generator=generator)
    y = torch.randint(2, (1024,), generator=generator).float()
    linear = torch.nn.Linear(5, 1)
    start = torch.cat((linear.weight[0], linear.bias)).detach().clone()
    recipe = Recipe(learning_rate=0.04)
    optimizer = torch.optim.Adagrad(linear.parameters(), lr=0.04, eps=1e-2)
    schedule = build_schedule(optimizer, recipe, 100)
    for step in range(100):
        rows = slice(step * 512 % 1024, step * 512 % 1024 + 512)
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(linear(x[rows])[:, 0], y[rows])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(linear.parameters(), 5.0)
        optimizer.step()
        schedule.step()  # type: ignore[union-attr]
    found = fit_adagrad(x, y, start, steps=100)
    torch.testing.assert_close(found, torch.cat((linear.weight[0], linear.bias)), rtol=1e-4, atol=1e-5)


def test_adagrad_takes_its_rows_in_a_seeded_shuffled_order(supernet: Path, prepared: PreparedSet) -> None:
    def labels(head: str, seed: int) -> tuple[np.ndarray, Evaluator]:
        evaluator = Evaluator(supernet, prepared, CONFIG.search.model_copy(update={"head": head}), seed)
        return np.concatenate([batch.label.numpy() for batch in evaluator._batches(evaluator._head)]), evaluator

    ordered, plain = labels("lbfgs", 0)
    assert np.array_equal(ordered, prepared.label[plain.head_rows])
    shuffled, evaluator = labels("adagrad", 0)
    assert np.array_equal(evaluator.head_rows, plain.head_rows)
    assert shuffled.sum() == ordered.sum()
    assert not np.array_equal(shuffled, ordered)
    assert np.array_equal(shuffled, labels("adagrad", 0)[0])
    assert not np.array_equal(shuffled, labels("adagrad", 1)[0])


def test_another_set_a_broken_file_and_no_supernet_are_refused(
    supernet: Path, prepared: PreparedSet, tmp_path: Path
) -> None:
    other = prepare("synthetic", [], tmp_path / "other", {"rows": 500, "seed": 9}, progress=False)
    with pytest.raises(UserError, match="another prepared set"):
        Evaluator(supernet, other, SearchConfig())
    with pytest.raises(UserError, match="not a trained supernet"):
        Evaluator(tmp_path, prepared, SearchConfig())
    for name in ("model.safetensors", "supernet.json"):
        (tmp_path / name).write_bytes((supernet / name).read_bytes())
    with (tmp_path / "model.safetensors").open("r+b") as stream:
        stream.seek(-3, 2)
        stream.write(b"xyz")
    with pytest.raises(UserError, match="not those that were written"):
        Evaluator(tmp_path, prepared, SearchConfig())


def test_space_is_made_from_config_and_columns(prepared: PreparedSet) -> None:
    space = make_space(CONFIG, prepared)
    assert space.sizes.dense == prepared.dense_width
    assert space.description.blocks == 3
