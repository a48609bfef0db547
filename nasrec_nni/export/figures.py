"""Log loss and AUC of scores that stream by, in bounded memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasrec_nni.metrics import row_losses

GROUPS = 1 << 19  # of rows with neighbouring scores that are kept apart, twice as many for a moment


class Figures:
    """Adds up rows that have a label. AUC is exact up to `GROUPS` different scores.

    Beyond that, neighbouring scores share a group of about 1 / `GROUPS` of all rows and count as ties. `auc_error` is
    the most that this can change.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._weight = self._loss = 0.0
        self._scores = np.empty(0, np.float32)
        self._masses = np.empty((2, 0))  # of rows without a click, and with one
        self._waiting: list[tuple[NDArray[np.float32], NDArray[np.float64]]] = []
        self._size = 0
        self._inside = 0.0  # pairs of a click and another row that lie in one group

    def add(
        self, logits: NDArray[np.float32], label: NDArray[np.float32], weight: NDArray[np.float32] | None = None
    ) -> None:
        """Rows `[n]`; those whose label is NaN are passed over."""
        known = ~np.isnan(label)
        logits, label = logits[known], label[known]
        if not len(logits):
            return
        mass = np.ones(len(logits)) if weight is None else weight[known].astype(np.float64)
        self.rows += len(logits)
        self._weight += float(mass.sum())
        self._loss += float(mass @ row_losses(label, logits))
        clicked = label > 0.5
        self._waiting.append((logits, np.stack((np.where(clicked, 0, mass), np.where(clicked, mass, 0)))))
        self._size += len(logits)
        if self._size > GROUPS:
            self._gather()

    def _gather(self) -> None:
        """Waiting rows into groups of one score each; neighbours together where there are too many."""
        scores = np.concatenate([self._scores, *(part for part, _ in self._waiting)])
        masses = np.concatenate([self._masses, *(part for _, part in self._waiting)], 1)
        self._waiting, self._size = [], 0
        order = np.argsort(scores, kind="stable")
        scores, masses = scores[order], masses[:, order]
        starts = np.flatnonzero(np.diff(scores, prepend=np.float32(-np.inf)) > 0) if len(scores) else np.empty(0, int)
        scores, masses = scores[starts], np.add.reduceat(masses, starts, axis=1)
        if len(scores) > GROUPS:
            total = masses.sum(0)
            place = np.floor((np.cumsum(total) - total / 2) * (GROUPS / total.sum()))
            first = np.flatnonzero(np.diff(place, prepend=-1.0) > 0)
            joined = np.add.reduceat(masses, first, axis=1)
            apart = np.add.reduceat(masses[0] * masses[1], first)
            self._inside += float((joined[0] * joined[1] - apart).sum())
            scores, masses = scores[first], joined
        self._scores, self._masses = scores, masses

    def read(self) -> dict[str, Any]:
        """`labelled_rows`, and if there are any `log_loss`, `auc` (None with one class), `auc_error`."""
        if not self.rows:
            return {"labelled_rows": 0}
        self._gather()
        others, clicks = self._masses
        pairs = float(others.sum() * clicks.sum())
        found = {"labelled_rows": self.rows, "log_loss": self._loss / self._weight, "auc": None, "auc_error": None}
        if pairs:
            below = np.cumsum(others) - others / 2
            found |= {"auc": float(clicks @ below) / pairs, "auc_error": self._inside / 2 / pairs}
        return found
