"""What a search is after: its objectives and limits, and the figures they are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec_nni.architecture.value import Architecture
from nasrec_nni.errors import UserError
from nasrec_nni.pipeline.context import Context
from nasrec_nni.plugins import registry
from nasrec_nni.profiling import profile
from nasrec_nni.strategies.search import (
    OVER_LIMIT,
    CandidateFailed,
    CostLimits,
    Evaluation,
    Record,
    read_earlier,
)

if TYPE_CHECKING:
    from nasrec_nni.analysis.objectives import Objective
    from nasrec_nni.evaluation.evaluator import Evaluator, Score


@dataclass(frozen=True)
class Figures:
    """Everything that an objective can be of; None is not known."""

    log_loss: float | None
    auc: float | None
    live_macs: int
    live_parameters: int
    embedding_bytes: int
    latency_ms: float | None = None


class Goals:
    """Objectives and limits of one run.

    Args:
        context: its data are prepared.
    """

    def __init__(self, context: Context) -> None:
        config = context.config.search
        self._config, self._context = config, context
        self._sizes = context.sizes(context.config.supernet.layer_norm)
        self._objectives: list[Objective] = [registry("objectives").load(name) for name in config.all_objectives]
        self._embedding_bytes = context.embedding_bytes
        costs = {"max_macs": config.limits.max_macs, "max_parameters": config.limits.max_parameters}
        self.limits = CostLimits(costs, self._sizes)
        self._clock: Callable[[Architecture], float] | None = None

    @property
    def timed(self) -> bool:
        """Whether an objective or a limit is of the measured latency."""
        return self._config.limits.max_latency_ms is not None or any(one.measured for one in self._objectives)

    def earlier(self) -> list[Record]:
        """The results that `search.warm_start` names, within the limits and with the objectives of this search."""
        if self._config.warm_start is None:
            return []
        found = read_earlier(Path(self._config.warm_start), self._context.space, self._point)
        return [record for record in found if not self.limits or self.limits(record.architecture) <= 0]

    def figures(self, architecture: Architecture, evaluator: Evaluator) -> Figures:
        """What is known before a candidate is scored.

        Raises:
            CandidateFailed: it breaks a limit.
        """
        if self.limits and self.limits(architecture) > 0:
            key = "max_macs, max_parameters"
            raise CandidateFailed(f"proposed although it breaks search.limits ({key})", {OVER_LIMIT: key})
        found = self._costs(architecture, self._latency(architecture, evaluator) if self.timed else None)
        most = self._config.limits.max_latency_ms
        if most is not None and found.latency_ms is not None and found.latency_ms > most:
            facts = {OVER_LIMIT: "max_latency_ms", "latency_ms": round(found.latency_ms, 4)}
            raise CandidateFailed(f"takes {found.latency_ms:.3f} ms, and search.limits.max_latency_ms is {most}", facts)
        return found

    def evaluation(self, figures: Figures, score: Score, facts: dict[str, Any]) -> Evaluation:
        """All objectives of a scored candidate; measured figures join its facts."""
        whole = Figures(**(vars(figures) | {"log_loss": score.log_loss, "auc": score.auc}))
        values = tuple(one.value(whole) for one in self._objectives)
        if whole.latency_ms is not None:
            facts = facts | {"latency_ms": round(whole.latency_ms, 4)}
        return Evaluation(values[0], whole.live_macs, facts, values if len(values) > 1 else None)

    def _costs(self, architecture: Architecture, latency: float | None) -> Figures:
        costs = profile(architecture, self._sizes)
        return Figures(None, None, costs.live_macs, costs.live_parameters, self._embedding_bytes, latency)

    def _latency(self, architecture: Architecture, evaluator: Evaluator) -> float:
        if self._clock is None:
            self._clock = self._timer(evaluator)
        return self._clock(architecture)

    def _timer(self, evaluator: Evaluator) -> Callable[[Architecture], float]:
        import numpy as np

        from nasrec_nni.data.loader import Batches
        from nasrec_nni.evaluation.latency import latency_ms

        prepared, size = self._context.prepared, self._config.latency_batch
        rows = np.resize(prepared.rows("val"), size)
        batch = Batches(prepared, rows, size, None).batch(0, 0).to(evaluator.device)
        return lambda architecture: latency_ms(evaluator.supernet.network(architecture), batch)

    def _point(self, record: Record) -> tuple[float, ...]:
        """Objectives of an earlier result: its score from its facts, its costs on this run's data."""
        facts = record.facts
        costs = self._costs(record.architecture, facts.get("latency_ms"))
        whole = Figures(**(vars(costs) | {"log_loss": facts.get("log_loss"), "auc": facts.get("auc")}))
        for one in self._objectives:
            if getattr(whole, one.figure) is None:
                raise UserError(
                    f"an earlier result has no {one.figure}, which this search is after",
                    value=record.id,
                    where=f"search.warm_start: {self._config.warm_start}",
                    hint="Warm-start from a search that measured it, or remove search.warm_start",
                )
        return tuple(one.value(whole) for one in self._objectives)


def check_limits(context: Context) -> None:
    """Refuse, before any training, limits that nothing keeps.

    Raises:
        UserError: no architecture of the space keeps them, or the one table is larger.
    """
    most, size = context.config.search.limits.max_embedding_bytes, context.embedding_bytes
    if most is not None and size > most:
        raise UserError(
            "the embedding table is larger, and all candidates share it",
            value=int(most),
            where="search.limits.max_embedding_bytes",
            allowed=f"{size:,} or more",
            hint="Raise it, or make the table shorter: supernet.max_rows_per_field, space.embedding",
        )
    if limits := Goals(context).limits:
        limits.check(context.space, context.config.seed)
