"""Logistic regression near a start: its loss and gradient over cached features, and its curvature there."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nasrec_nni.operators.loss import click_loss

PARTS = {"cpu": 2**18, "cuda": 2**25}  # features converted at once: what a cache holds, or what hides a call
SAMPLE_PART = 1024  # rows


class Logistic:
    """Mean log loss plus `ridge / 2 · ‖w − start‖²`; sums over parts are in float64.

    bfloat16 features are converted by parts into one buffer, so that no second array of their size is made.

    Args:
        features: `[N, D]`.
        labels: `[N]`, 0 or 1.
        start: `[D + 1]`, weights and then the bias; its type is computed with.
        ridge: pull towards `start`; the bias is free.
        weight: `[N]`, rows that each one counts as; None if all count as one.
        rows: of a part; None for all of features that need no conversion, and for what a cache holds of others.

    Attributes:
        begin: `[D + 1]`, the start.
    """

    def __init__(
        self, features: Tensor, labels: Tensor, start: Tensor, ridge: float, weight: Tensor | None, rows: int | None
    ) -> None:
        self.begin: NDArray[np.float64] = start.double().numpy(force=True)
        self._start = start
        self._pull = np.append(np.full(len(start) - 1, ridge), 0.0)
        self._features, self._labels, self._truth = features, labels, labels.double()
        self._share = None if weight is None else weight / weight.sum()
        self._weight = None if weight is None else weight.double()
        self._logits = torch.empty_like(self._truth)
        self._slopes = torch.empty_like(start, dtype=torch.float64)
        convert = features.dtype != start.dtype
        if rows is None:
            size = PARTS.get(features.device.type, PARTS["cuda"])
            rows = max(1, size // features.shape[1]) if convert else len(features)
        self._rows = min(rows, len(features))
        self._buffer = start.new_empty(self._rows, features.shape[1]) if convert else None

    def __call__(self, vector: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Loss and gradient at `[D + 1]`."""
        head = torch.from_numpy(vector).to(self._start)
        self._slopes.zero_()
        for part, x in self._parts():
            logits = torch.addmv(head[-1].expand(len(x)), x, head[:-1])
            self._logits[part] = logits
            away = torch.sigmoid(logits) - self._labels[part]
            away = away / len(self._labels) if self._share is None else away * self._share[part]
            self._slopes[:-1] += x.T @ away
            self._slopes[-1] += away.sum()
        moved = vector - self.begin
        value = click_loss(self._logits, self._truth, self._weight).item() + 0.5 * float(self._pull @ moved**2)
        return value, self._slopes.numpy(force=True) + self._pull * moved

    def curvature(self, rows: int) -> NDArray[np.float64]:
        """Second derivatives at the start, `[D + 1, D + 1]`, from so many rows evenly spread over all."""
        count = min(rows, len(self._features))
        chosen = torch.linspace(0, len(self._features) - 1, count, dtype=torch.float64).long().to(self._features.device)
        total, mass = self._start.new_zeros(len(self._start), len(self._start)), 0.0
        for first in range(0, count, SAMPLE_PART):
            part = chosen[first : first + SAMPLE_PART]
            x = self._features[part].to(self._start)
            p = torch.sigmoid(torch.addmv(self._start[-1].expand(len(x)), x, self._start[:-1]))
            counted = torch.ones_like(p) if self._share is None else self._share[part]
            x = torch.cat((x, torch.ones_like(p).unsqueeze(1)), 1) * (counted * p * (1 - p)).sqrt().unsqueeze(1)
            total.addmm_(x.T, x)
            mass += counted.sum().item()
        return (total / mass).double().numpy(force=True) + np.diag(self._pull)

    def _parts(self) -> Iterator[tuple[slice, Tensor]]:
        for first in range(0, len(self._features), self._rows):
            part = slice(first, first + self._rows)
            x = self._features[part]
            yield part, x if self._buffer is None else self._buffer[: len(x)].copy_(x)
