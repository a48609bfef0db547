"""Post-training fine-tuning: the last layer of a candidate refitted on its cached features.

The frozen part has run once; what is left is logistic regression on at most some thousand features.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import minimize
from torch import Tensor

from nasrec_nni.evaluation.logistic import Logistic

# Of the largest slope in the metric of the curvature, at which a fit has arrived: some 1e-8 nats are left to gain, and
# a line search for less only meets the rounding of float32 (on MovieLens-1M 9 to 45 passes in place of 8).
FLAT = 5e-5
ROUNDING = 1e-6  # of the curvature's trace: what float32 sums may be off by, so that it has a Cholesky factor


def fit_lbfgs(
    features: Tensor,
    labels: Tensor,
    start: Tensor,
    ridge: float,
    iterations: int = 200,
    gain: float = 1e-6,
    flat: float = 1e-5,
    weight: Tensor | None = None,
    rows: int | None = None,
) -> tuple[Tensor, bool]:
    """Minimise the mean log loss plus `ridge / 2 · ‖w − start‖²`; convex and deterministic (ours).

    The features are not standardised: on MovieLens-1M that fitted the training rows better and the validation
    rows worse, since columns that hardly vary got large weights.

    Args:
        features: `[N, D]`; computed with in the type of `start`.
        labels: `[N]`, 0 or 1.
        start: `[D + 1]`, weights and then the bias: the supernet's shared last layer.
        ridge: pull towards `start`; the bias is free.
        iterations: most L-BFGS iterations.
        gain: stops when an iteration gains less than this share of the loss.
        flat: stops when no slope is larger.
        weight: `[N]`, rows that each one counts as; None if all count as one.
        rows: of a part; None for all of features that need no conversion, and for what a cache holds of others.

    Returns:
        `[D + 1]`, and whether it converged within the iterations.
    """
    loss = Logistic(features, labels, start, ridge, weight, rows)
    found = minimize(
        loss, loss.begin, jac=True, method="L-BFGS-B", options={"maxiter": iterations, "ftol": gain, "gtol": flat}
    )
    return torch.from_numpy(found.x).to(start), bool(found.success)


def fit_newton(
    features: Tensor,
    labels: Tensor,
    start: Tensor,
    ridge: float,
    iterations: int = 200,
    gain: float = 1e-9,
    weight: Tensor | None = None,
    rows: int | None = None,
    sample: int = 8192,
    flat: float = FLAT,
) -> tuple[Tensor, bool]:
    """Minimise the same as `fit_lbfgs`, in the metric of its curvature on a sample of the rows (ours).

    `C Cᵀ` is that curvature; L-BFGS runs on `u = Cᵀ (w − start)`, in which every direction curves alike. On
    MovieLens-1M 27 of 30 fits needed 8 to 16 passes over the features where `fit_lbfgs` takes 28 to 135, and they
    arrive: features of one, changed by 1e-7 of themselves, moved its validation loss by less than 1e-8, while
    `fit_lbfgs`, which stops at its first small gain, left four so far from their optimum that ranks changed.

    Args:
        features: `[N, D]`; computed with in the type of `start`.
        labels: `[N]`, 0 or 1.
        start: `[D + 1]`, weights and then the bias: the supernet's shared last layer.
        ridge: pull towards `start`; the bias is free.
        iterations: most L-BFGS iterations.
        gain: stops when an iteration gains less than this share of the loss.
        weight: `[N]`, rows that each one counts as; None if all count as one.
        rows: of a part, as in `fit_lbfgs`.
        sample: rows of the curvature; which ones changes the number of passes, not where they lead.
        flat: stops when no slope in that metric is larger.

    Returns:
        `[D + 1]`, and whether it converged within the iterations; the start, not converged, where a feature is not
        finite.

    Source: sub-sampled Newton methods (Byrd et al. 2011, "On the Use of Stochastic Hessian Information").
    """
    loss = Logistic(features, labels, start, ridge, weight, rows)
    curvature = loss.curvature(sample)
    if not np.isfinite(curvature).all():
        return start.clone(), False
    curvature[np.diag_indices_from(curvature)] += ROUNDING * np.trace(curvature)
    factor = cholesky(curvature, lower=True, overwrite_a=True)

    def moved(u: np.ndarray) -> np.ndarray:
        vector: np.ndarray = loss.begin + solve_triangular(factor, u, lower=True, trans=1, check_finite=False)
        return vector

    def scaled(u: np.ndarray) -> tuple[float, np.ndarray]:
        value, slopes = loss(moved(u))
        return value, solve_triangular(factor, slopes, lower=True, check_finite=False)

    options = {"maxiter": iterations, "ftol": gain, "gtol": flat}
    found = minimize(scaled, np.zeros(len(start)), jac=True, method="L-BFGS-B", options=options)
    return torch.from_numpy(moved(found.x)).to(start), bool(found.success)


def fit_adagrad(
    features: Tensor,
    labels: Tensor,
    start: Tensor,
    batch: int = 512,
    steps: int = 500,
    peak: float = 0.04,
    weight: Tensor | None = None,
) -> Tensor:
    """The authors' procedure: Adagrad with fresh state, eps 1e-2, cosine with 10 % warm-up, clip 5.

    Args:
        features: `[N, D]`; batches are taken in order and start over at the end. bfloat16 ones are computed with in
            float32.
        labels: `[N]`.
        start: `[D + 1]`, weights and then the bias.
        batch: rows a step.
        steps: steps.
        peak: learning rate.
        weight: `[N]`, rows that each one counts as; None if all count as one.

    Source: NASRec, authors' implementation (SPEC section 7).
    """
    vector = start.clone()
    state = torch.zeros_like(vector)
    warmup, lowest = steps // 10, 1e-8
    for step in range(steps):
        if step < warmup:
            rate = lowest + (peak - lowest) * step / warmup
        else:
            rate = lowest + (peak - lowest) * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2
        begin = step * batch % len(features)
        x, y = features[begin : begin + batch].to(start), labels[begin : begin + batch]
        w = None if weight is None else weight[begin : begin + batch]
        residual = _residual(torch.addmv(vector[-1].expand(len(x)), x, vector[:-1]), y, w)
        gradient = torch.cat((x.T @ residual, residual.sum().unsqueeze(0)))
        gradient = gradient * torch.clamp(5.0 / (gradient.norm() + 1e-6), max=1.0)
        state += gradient.square()
        vector -= rate * gradient / (state.sqrt() + 1e-2)
    return vector


def _residual(logits: Tensor, labels: Tensor, weight: Tensor | None) -> Tensor:
    """Gradient of the mean log loss by the logits, `[N]`."""
    away = torch.sigmoid(logits) - labels
    return away / len(labels) if weight is None else away * (weight / weight.sum())
