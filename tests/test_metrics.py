"""Metrics against scikit-learn and hand-made figures."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import roc_auc_score

from nasrec_nni.metrics import auc, calibration, log_loss, mean, row_losses


@pytest.fixture
def rows() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    labels = (generator.random(5000) < 0.2).astype(np.float32)
    return labels, generator.normal(labels - 1.5, 1.0).round(1)  # rounded: many ties


def sigmoid(logits: Any) -> Any:
    return 1 / (1 + np.exp(-logits))


def test_log_loss_equals_sklearn(rows: tuple[np.ndarray, np.ndarray]) -> None:
    labels, logits = rows
    assert log_loss(labels, sigmoid(logits)) == pytest.approx(sklearn_log_loss(labels, sigmoid(logits)), abs=1e-14)


def test_certain_mistakes_cost_what_sklearn_says() -> None:
    labels, certain = np.array([1, 0, 1]), np.array([0.0, 1.0, 1.0])
    assert log_loss(labels, certain) == pytest.approx(sklearn_log_loss(labels, certain), abs=1e-12)
    assert math.isfinite(log_loss(labels, certain))


def test_row_losses_are_the_log_loss_row_by_row(rows: tuple[np.ndarray, np.ndarray]) -> None:
    labels, logits = rows
    assert row_losses(labels, logits).mean() == pytest.approx(log_loss(labels, sigmoid(logits)), abs=1e-14)


def test_row_losses_are_exact_at_both_ends() -> None:
    losses = row_losses([1, 0, 1, 0], [800.0, -800.0, -800.0, 800.0])
    assert losses.tolist() == [0, 0, 800, 800]
    assert row_losses([1], [40.0])[0] == pytest.approx(math.exp(-40), rel=1e-12)


def test_float32_logits_are_summed_in_float64() -> None:
    labels = np.zeros(3_000_000, np.float32)
    assert row_losses(labels, np.full(len(labels), -0.5, np.float32)).mean() == pytest.approx(
        math.log1p(math.exp(-0.5)), abs=1e-13
    )


def test_auc_with_ties_equals_counting_pairs(rows: tuple[np.ndarray, np.ndarray]) -> None:
    labels, scores = rows[0][:400], rows[1][:400]
    above = scores[labels == 1][:, None] - scores[labels == 0]
    assert auc(labels, scores) == pytest.approx(np.mean((above > 0) + 0.5 * (above == 0)), abs=1e-14)
    assert auc(*rows) == pytest.approx(roc_auc_score(*rows), abs=1e-14)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31), n=st.integers(2, 80), digits=st.integers(0, 8), weighted=st.booleans())
def test_auc_equals_sklearn(seed: int, n: int, digits: int, weighted: bool) -> None:
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.arange(n) % generator.integers(2, n + 1) == 0)
    labels[:2] = 0, 1
    scores = generator.normal(size=n).round(digits).astype(np.float32)
    weight = generator.exponential(size=n) + 1e-6 if weighted else None
    assert auc(labels, scores, weight) == pytest.approx(roc_auc_score(labels, scores, sample_weight=weight), abs=1e-12)


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_scores_that_are_not_finite_are_refused(odd: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        auc([0, 1], [0.1, odd])


@pytest.mark.parametrize("label", [0, 1])
def test_auc_of_one_class_is_none(label: int) -> None:
    assert auc([label] * 3, [0.1, 0.2, 0.3]) is None


def test_calibration() -> None:
    assert calibration([0, 1, 0, 1], [0.5, 0.5, 0.25, 0.25]) == 0.75
    assert calibration([0, 0], [0.5, 0.5]) is None


@pytest.mark.parametrize(
    ("labels", "figures"),
    [([], []), ([0, 1], [0.5]), ([0, 2], [0.5, 0.5]), ([[0, 1]], [[0.5, 0.5]])],
)
def test_wrong_shapes_and_labels_are_refused(labels: list[float], figures: list[float]) -> None:
    for metric in (log_loss, row_losses, auc, calibration):
        with pytest.raises(ValueError, match=r"needed|must be 0 or 1"):
            metric(labels, figures)


@pytest.mark.parametrize("bad", [math.nan, -0.1, 1.1])
def test_what_is_no_probability_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match=r"0\.\.1"):
        log_loss([0, 1], [0.5, bad])


def test_importing_metrics_loads_neither_sklearn_nor_torch() -> None:
    code = "import sys, nasrec_nni.metrics; print([m for m in ('sklearn', 'torch', 'nni') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


# ---- weights --------------------------------------------------------------------------------------------------------

METRICS = (log_loss, auc, calibration)


@pytest.mark.parametrize("metric", METRICS)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31), n=st.integers(1, 60))
def test_a_row_of_weight_three_is_three_rows(metric: Any, seed: int, n: int) -> None:
    generator = np.random.default_rng(seed)
    labels, weight = generator.integers(0, 2, n), generator.integers(1, 5, n)
    p = generator.random(n).round(1)  # rounded: ties, zeros and ones
    found = metric(labels, p, weight.astype(np.float32))
    expected = metric(labels.repeat(weight), p.repeat(weight))
    assert (found is None) == (expected is None)  # one class has no AUC, no click no calibration
    assert found is None or found == pytest.approx(expected, rel=1e-12)


def test_weighted_figures_equal_sklearn(rows: tuple[np.ndarray, np.ndarray]) -> None:
    labels, p = rows[0], sigmoid(rows[1])
    weight = np.random.default_rng(1).exponential(size=len(labels)).astype(np.float32) + 1e-3
    doubles = weight.astype(np.float64)
    assert log_loss(labels, p, weight) == pytest.approx(sklearn_log_loss(labels, p, sample_weight=doubles), abs=1e-13)
    assert auc(labels, p, weight) == pytest.approx(roc_auc_score(labels, p, sample_weight=doubles), abs=1e-13)
    assert calibration(labels, p, weight) == pytest.approx(
        np.average(p, weights=doubles) / np.average(labels, weights=doubles)
    )
    assert mean(p, weight) == pytest.approx(np.average(p, weights=doubles))
    assert abs(log_loss(labels, p, weight) - log_loss(labels, p)) > 1e-4


def test_equal_weights_are_none(rows: tuple[np.ndarray, np.ndarray]) -> None:
    labels, p = rows[0], sigmoid(rows[1])
    for metric in METRICS:
        for size in (1.0, 7.0):
            assert metric(labels, p, np.full(len(p), size)) == pytest.approx(metric(labels, p), rel=1e-13)


@pytest.mark.parametrize("weight", [[1.0], [1.0, 0.0], [1.0, -1.0], [1.0, math.nan], [1.0, math.inf]])
@pytest.mark.parametrize("metric", METRICS)
def test_what_is_no_weight_is_refused(metric: Any, weight: list[float]) -> None:
    with pytest.raises(ValueError, match="weight above 0"):
        metric([0, 1], [0.5, 0.5], weight)
