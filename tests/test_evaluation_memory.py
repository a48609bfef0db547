"""Scoring in bounded memory: chunks, cached features and windows change nothing that is reported."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch.nn.functional import binary_cross_entropy_with_logits

from nasrec_nni.config_file import parse_config
from nasrec_nni.data.batch import Batch
from nasrec_nni.data.loader import Batches
from nasrec_nni.data.prepare import prepare
from nasrec_nni.data.prepared import PreparedSet
from nasrec_nni.evaluation import evaluator as module
from nasrec_nni.evaluation.cache import cached
from nasrec_nni.evaluation.evaluator import Evaluator
from nasrec_nni.evaluation.last_layer import fit_adagrad, fit_lbfgs
from nasrec_nni.strategies.one_shot.train import train_supernet
from nasrec_nni.strategies.sampling.sampler import architectures

CONFIG = parse_config(
    {
        "threads": 1,
        "space": {"name": "nasrec-full", "blocks": 2, "dense_widths": [16, 32], "sparse_rows": [8, 16]},
        "supernet": {"recipe": {"preset": "published", "batch": 128}, "validation_rows": 300},
        "search": {"head_rows": 1500, "score_rows": 700},
    }
)
HEAD_ROWS = 1500


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> PreparedSet:
    return prepare("synthetic", [], tmp_path_factory.mktemp("data") / "set", {"rows": 5000}, progress=False)


@pytest.fixture(scope="module")
def supernet(prepared: PreparedSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("supernet")
    train_supernet(CONFIG, prepared, folder, progress=False)
    return folder


def _evaluators(
    supernet: Path, prepared: PreparedSet, monkeypatch: pytest.MonkeyPatch, head: str
) -> Iterator[Evaluator]:
    config = CONFIG.search.model_copy(update={"head": head})
    for chunk in (8192, 512, 33):
        monkeypatch.setitem(module.CHUNKS, "cpu", chunk)
        yield Evaluator(supernet, prepared, config)


@pytest.mark.parametrize("head", ["lbfgs", "newton", "adagrad"])
def test_chunks_change_neither_head_nor_score(
    supernet: Path, prepared: PreparedSet, monkeypatch: pytest.MonkeyPatch, head: str
) -> None:
    # By default L-BFGS ends at its first small gain, and any rounding ends it elsewhere: here it goes to the optimum.
    monkeypatch.setattr(module, "fit_lbfgs", partial(fit_lbfgs, gain=1e-14, flat=1e-9, iterations=10_000))
    first, *others = list(_evaluators(supernet, prepared, monkeypatch, head))
    assert len({len(one._head) for one in (first, *others)}) == 3
    for architecture in architectures(first.supernet.facts.space, 5, 2):
        expected = first.evaluate(architecture)
        vector, _ = first._fit(first.supernet.network(architecture))
        for other in others:
            score = other.evaluate(architecture)
            # a matrix product may round otherwise in another shape
            tolerance = {"lbfgs": 3e-4, "newton": 1e-5, "adagrad": 1e-6}[head]
            assert score.log_loss == pytest.approx(expected.log_loss, abs=tolerance)
            assert score.auc == pytest.approx(expected.auc, abs=10 * tolerance)
            found, _ = other._fit(other.supernet.network(architecture))
            torch.testing.assert_close(found, vector, rtol=0, atol=1e-2 if head == "lbfgs" else 1e-3)


def test_cached_features_are_those_of_the_network(supernet: Path, prepared: PreparedSet) -> None:
    evaluator = Evaluator(supernet, prepared, CONFIG.search)
    network = evaluator.supernet.network(next(iter(architectures(evaluator.supernet.facts.space, 6, 1))))
    data = Batches(prepared, evaluator.head_rows, HEAD_ROWS, None).batch(0, 0)
    with torch.no_grad():
        expected = network.features(data.dense, data.sparse)
        parts = list(Batches(prepared, evaluator.head_rows, 128, None))
        weighted = [Batch(b.dense, b.sparse, b.label, torch.full_like(b.label, n + 1)) for n, b in enumerate(parts)]
        for kind, tolerance in ((torch.float32, 1e-5), (torch.bfloat16, 2**-8)):
            found = cached(network, parts, HEAD_ROWS, expected.shape[1], kind)
            assert found.features.dtype == kind
            assert found.weight is None
            assert torch.equal(found.labels, data.label)
            torch.testing.assert_close(found.features.float(), expected, rtol=tolerance, atol=1e-5)
        found = cached(network, weighted, HEAD_ROWS, expected.shape[1], torch.float32)
        assert found.weight is not None
        assert torch.equal(found.weight, torch.arange(HEAD_ROWS).div(128, rounding_mode="floor").float() + 1)
        with pytest.raises(ValueError, match="1408 rows in the batches, not 1500"):
            cached(network, parts[:-1], HEAD_ROWS, expected.shape[1], torch.float32)


def _logistic(rows: int = 2000, columns: int = 12) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(rows, columns, generator=generator)
    truth = torch.randn(columns, generator=generator)
    y = (torch.rand(rows, generator=generator) < torch.sigmoid(x @ truth - 1)).float()
    return x, y, torch.rand(rows, generator=generator) + 0.5, torch.zeros(columns + 1)


@pytest.mark.parametrize("weighted", [False, True])
def test_parts_change_nothing_in_lbfgs(weighted: bool) -> None:
    x, y, weight, start = _logistic()
    given = weight if weighted else None
    whole, converged = fit_lbfgs(x, y, start, 1e-2, weight=given)
    assert converged
    for rows in (1999, 300, 1):
        torch.testing.assert_close(fit_lbfgs(x, y, start, 1e-2, weight=given, rows=rows)[0], whole, rtol=0, atol=1e-4)


@pytest.mark.parametrize("weighted", [False, True])
def test_bfloat16_features_are_only_rounded_never_computed_with(weighted: bool) -> None:
    x, y, weight, start = _logistic()
    given = weight if weighted else None
    rounded = x.bfloat16()
    expected, _ = fit_lbfgs(rounded.float(), y, start, 1e-2, weight=given)
    for rows in (None, 300):
        found, _ = fit_lbfgs(rounded, y, start, 1e-2, weight=given, rows=rows)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    found = fit_adagrad(rounded, y, start, steps=50, weight=given)
    assert torch.equal(found, fit_adagrad(rounded.float(), y, start, steps=50, weight=given))


def test_bfloat16_scores_are_near(supernet: Path, prepared: PreparedSet) -> None:
    plain = Evaluator(supernet, prepared, CONFIG.search)
    half = Evaluator(supernet, prepared, CONFIG.search.model_copy(update={"features": "bfloat16"}))
    for architecture in architectures(plain.supernet.facts.space, 7, 3):
        expected, found = plain.evaluate(architecture), half.evaluate(architecture)
        assert not np.array_equal(found.losses, expected.losses)
        assert found.log_loss == pytest.approx(expected.log_loss, abs=1e-3)
        assert found.auc == pytest.approx(expected.auc, abs=3e-3)


def test_streamed_losses_and_auc_equal_those_of_all_rows(
    supernet: Path, prepared: PreparedSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WINDOW", 64)
    monkeypatch.setitem(module.CHUNKS, "cpu", 100)
    evaluator = Evaluator(supernet, prepared, CONFIG.search)
    data = Batches(prepared, evaluator.score_rows, 700, None).batch(0, 0)
    for architecture in architectures(evaluator.supernet.facts.space, 8, 2):
        score = evaluator.evaluate(architecture)
        with torch.no_grad():
            network = evaluator.supernet.network(architecture)
            head, _ = evaluator._fit(network)
            logits = network.features(data.dense, data.sparse).double() @ head[:-1].double() + head[-1].double()
            losses = binary_cross_entropy_with_logits(logits, data.label.double(), reduction="none").numpy()
        assert score.losses.dtype == np.float64
        np.testing.assert_allclose(score.losses, losses, rtol=0, atol=1e-5)
        assert score.log_loss == pytest.approx(losses.mean(), abs=1e-6)
        assert score.auc == pytest.approx(roc_auc_score(data.label, logits), abs=1e-6)
