"""Figures of merit of click probabilities, in float64: log loss, AUC, calibration; rows may have weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Probabilities are moved this far away from 0 and 1, as scikit-learn does, so that one certain mistake costs 36.04
# and not infinity. Nothing that a network of finite logits below 36 says is changed by it.
CLIP = float(np.finfo(np.float64).eps)


def log_loss(labels: ArrayLike, probabilities: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Mean of `-(y ln p + (1 - y) ln(1 - p))`, in nats, `p` clipped to `[CLIP, 1 - CLIP]`.

    Args:
        labels: `[B]`, 0 or 1.
        probabilities: `[B]`, of a click.
        weight: `[B]`, above 0: a row of weight 3 counts as three equal rows; None if all count as one.

    Raises:
        ValueError: no row, different lengths, a weight not above 0, or a probability that is NaN or outside 0..1.
    """
    y, p = _pair(labels, probabilities)
    if not (np.all(p >= 0) and np.all(p <= 1)):
        raise ValueError("probabilities must lie in 0..1 and not be NaN")
    p = np.clip(p, CLIP, 1 - CLIP)
    return mean(-(y * np.log(p) + (1 - y) * np.log1p(-p)), weight)


def mean(figures: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Mean over rows, in float64.

    Args:
        figures: `[B]`.
        weight: `[B]`, above 0; None if all rows count as one.
    """
    x = np.asarray(figures, np.float64)
    w = _weight(weight, x)
    return float(np.mean(x)) if w is None else float(np.dot(x, w) / w.sum())


def row_losses(labels: ArrayLike, logits: ArrayLike) -> NDArray[np.float64]:
    """Log loss of every row from its logit, exact for logits of any size, `[B]`; their mean is the log loss."""
    y, z = _pair(labels, logits)
    return np.logaddexp(0.0, np.where(y > 0.5, -z, z))


def auc(labels: ArrayLike, scores: ArrayLike, weight: ArrayLike | None = None) -> float | None:
    """Area under the ROC curve, ties counted half; None if only one class is there.

    The same as scikit-learn's, whose import would take 1.5 CPU seconds of every worker.

    Args:
        labels: `[B]`, 0 or 1.
        scores: `[B]`, any finite figure that rises with the belief in a click.
        weight: `[B]`, above 0: a row of weight 3 counts as three equal rows; None if all count as one.

    Raises:
        ValueError: as `log_loss`, or a score that is not finite.
    """
    y, score = _pair(labels, scores)
    w = _weight(weight, y)
    if not np.all(np.isfinite(score)):
        raise ValueError("scores must be finite")
    if y.min() == y.max():
        return None
    order = np.argsort(score, kind="stable")
    y, score = y[order], score[order]
    mass = np.ones_like(y) if w is None else w[order]
    equal = np.concatenate(([0], np.flatnonzero(np.diff(score)) + 1))  # where rows of another score begin
    clicks, others = np.add.reduceat(mass * y, equal), np.add.reduceat(mass * (1 - y), equal)
    below = np.cumsum(others) - others / 2
    return float(clicks @ below / (clicks.sum() * others.sum()))


def calibration(labels: ArrayLike, probabilities: ArrayLike, weight: ArrayLike | None = None) -> float | None:
    """Mean predicted over mean observed click rate, 1 at best; None if there is no click."""
    y, p = _pair(labels, probabilities)
    return mean(p, weight) / mean(y, weight) if y.any() else None


def _pair(labels: ArrayLike, figures: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    y, x = np.asarray(labels, np.float64), np.asarray(figures, np.float64)
    if y.ndim != 1 or y.shape != x.shape or not len(y):
        raise ValueError(f"two equally long vectors of at least one row are needed, got {y.shape} and {x.shape}")
    if not np.all((y == 0) | (y == 1)):
        raise ValueError("labels must be 0 or 1")
    return y, x


def _weight(weight: ArrayLike | None, figures: NDArray[np.float64]) -> NDArray[np.float64] | None:
    if weight is None:
        return None
    w = np.asarray(weight, np.float64)
    if w.shape != figures.shape or not (np.all(w > 0) and np.all(np.isfinite(w))):
        raise ValueError(f"one weight above 0 a row is needed, got {w.shape} weights for {figures.shape}")
    return w
