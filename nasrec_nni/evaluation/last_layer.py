"""Post-training fine-tuning: the last layer of a candidate refitted on its cached features.

The frozen part has run once; what is left is logistic regression on at most some thousand features.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from nasrec_nni.operators.loss import click_loss


def fit_lbfgs(
    features: Tensor,
    labels: Tensor,
    start: Tensor,
    ridge: float,
    iterations: int = 200,
    gain: float = 1e-6,
    weight: Tensor | None = None,
) -> tuple[Tensor, bool]:
    """Minimise the mean log loss plus `ridge / 2 · ‖w − start‖²`; convex and deterministic (ours).

    The features are not standardised: on MovieLens-1M that fitted the training rows better and the validation
    rows worse, since columns that hardly vary got large weights.

    Args:
        features: `[N, D]`.
        labels: `[N]`, 0 or 1.
        start: `[D + 1]`, weights and then the bias: the supernet's shared last layer.
        ridge: pull towards `start`; the bias is free.
        iterations: most L-BFGS iterations.
        gain: stops when an iteration gains less than this share of the loss.
        weight: `[N]`, rows that each one counts as; None if all count as one.

    Returns:
        `[D + 1]`, and whether it converged within the iterations.
    """
    begin = start.double().numpy(force=True)
    free = np.append(np.full(len(begin) - 1, ridge), 0.0)

    def loss(vector: np.ndarray) -> tuple[float, np.ndarray]:
        weights = torch.from_numpy(vector).to(features)
        logits = torch.addmv(weights[-1].expand(len(features)), features, weights[:-1])
        value = click_loss(logits.double(), labels.double(), None if weight is None else weight.double()).item()
        residual = _residual(logits, labels, weight)
        gradient = torch.cat((features.T @ residual, residual.sum().unsqueeze(0))).double().numpy(force=True)
        away = vector - begin
        return value + 0.5 * float(free @ away**2), gradient + free * away

    found = minimize(loss, begin, jac=True, method="L-BFGS-B", options={"maxiter": iterations, "ftol": gain})
    return torch.from_numpy(found.x).to(features), bool(found.success)


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
        features: `[N, D]`; batches are taken in order and start over at the end.
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
        x, y = features[begin : begin + batch], labels[begin : begin + batch]
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
