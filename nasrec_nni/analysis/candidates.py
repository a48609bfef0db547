"""What the page shows of a search: every candidate, and how well its scores foretold the trainings from scratch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nasrec_nni.analysis.leaderboard import Figure, Standing

ENOUGH = 5  # retrained candidates from which on a rank correlation says something


@dataclass(frozen=True)
class Candidate:
    """One architecture that the search asked for.

    Args:
        number: its place in the order of asking, from 0.
        id: canonical id.
        live_macs: per example; None if they are not known.
        log_loss: validation log loss with supernet weights; None if it has none.
        failure: why it has no score.
        rejected: it was given up early; its log loss is of a part of the rows.
    """

    number: int
    id: str
    live_macs: int | None
    log_loss: float | None
    failure: str | None = None
    rejected: bool = False

    @property
    def scored(self) -> bool:
        """Whether its score is one of all rows, to be compared with the others'."""
        return self.log_loss is not None and not self.rejected


@dataclass(frozen=True)
class Pair:
    """A candidate that was trained from scratch too.

    Args:
        model: name in the leaderboard.
        score: log loss with supernet weights.
        loss: of the training from scratch, over seeds.
        score_rank: 1 for the best score of all pairs.
        loss_rank: 1 for the lowest mean loss of all pairs.
    """

    model: str
    score: float
    loss: Figure
    score_rank: int
    loss_rank: int


@dataclass(frozen=True)
class Agreement:
    """Supernet scores beside trained losses, best score first.

    Args:
        split: of the losses.
        pairs: one per retrained candidate with a score.
        tau: Kendall's τ-b of the two orders; None for fewer than `ENOUGH` pairs, or if all are equal in one of them.
    """

    split: str
    pairs: tuple[Pair, ...]
    tau: float | None


def agreement(candidates: Sequence[Candidate], table: Sequence[Standing]) -> Agreement | None:
    """None if no retrained model has a supernet score."""
    from scipy.stats import kendalltau

    scores = {one.id: one.log_loss for one in candidates if one.scored}
    both = [(s, score) for s in table if s.architecture and (score := scores.get(s.architecture)) is not None]
    if not both:
        return None
    opened = all(standing.test_log_loss for standing, _ in both)
    rows = [(s.model, score, (s.test_log_loss if opened else None) or s.val_log_loss) for s, score in both]
    rows.sort(key=lambda row: row[1])
    by_loss = sorted(loss.mean for _, _, loss in rows)
    by_score = [score for _, score, _ in rows]
    pairs = tuple(
        Pair(model, score, loss, by_score.index(score) + 1, by_loss.index(loss.mean) + 1) for model, score, loss in rows
    )
    tau = None
    if len(pairs) >= ENOUGH:
        found = float(kendalltau(by_score, [pair.loss.mean for pair in pairs]).statistic)
        tau = found if found == found else None
    return Agreement("test" if opened else "validation", pairs, tau)
