"""Search in process: candidates one by one in the trained supernet, each a durable line."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from nasrec_nni.architecture.value import Architecture
from nasrec_nni.files import append_line, read_lines
from nasrec_nni.pipeline.context import Context
from nasrec_nni.plugins import registry
from nasrec_nni.profiling import profile
from nasrec_nni.run_folder import RunFolder, now
from nasrec_nni.strategies.search import CandidateFailed, Evaluation, Record, best, record_from_json, run_search

if TYPE_CHECKING:
    from nasrec_nni.evaluation.evaluator import Evaluator


def read_records(folder: RunFolder) -> list[Record]:
    """All candidates so far."""
    lines = read_lines(folder.candidates)
    return [record_from_json(line, f"{folder.candidates}:{number}") for number, line in enumerate(lines, 1)]


def search(context: Context) -> dict[str, Any]:
    """Score candidates until the budget is spent; those of an earlier, stopped attempt are replayed."""
    from torch.utils.tensorboard import SummaryWriter

    from nasrec_nni.evaluation.evaluator import Evaluator

    config, folder = context.config.search, context.folder
    start = registry("search").load(config.algorithm)
    evaluator = Evaluator(folder.supernet, context.prepared, config, context.config.seed, context.device)
    before = read_records(folder)
    bar = tqdm(
        total=config.candidates,
        initial=len(before),
        desc="search",
        unit="candidate",
        file=sys.stderr,
        disable=not context.progress,
        leave=False,
    )

    def keep(record: Record) -> None:
        append_line(folder.candidates, record.as_json())
        if record.value is not None:
            scalars.add_scalar("search/log_loss", record.facts["log_loss"], record.number)
        bar.update(1)

    with bar, SummaryWriter(str(folder.tensorboard / "search"), purge_step=len(before)) as scalars:
        records = run_search(
            start(context.space, context.config.seed, config.options, config.candidates),
            _Scorer(context, evaluator),
            budget=config.candidates,
            in_flight=config.in_flight,
            records=before,
            on_result=keep,
            where=str(folder.candidates),
        )
    exhausted = len(records) < config.candidates
    if exhausted:
        context.say(f"search: ended after {len(records)} candidates, no further architecture was found in this space")
    (first,) = best(records, 1) or (None,)
    return {
        "candidates": len(records),
        "exhausted": exhausted,
        "failed": sum(record.failure is not None for record in records),
        "best": first and first.id,
        "best_value": first and first.value,
    }


class _Scorer:
    """One architecture to its objective, lower is better."""

    def __init__(self, context: Context, evaluator: Evaluator) -> None:
        self._evaluator = evaluator
        self._objective = registry("objectives").load(context.config.search.objective)
        self._sizes = context.sizes(context.config.supernet.layer_norm)

    def __call__(self, architecture: Architecture) -> Evaluation:
        score = self._evaluator.evaluate(architecture)
        if not math.isfinite(score.log_loss):
            raise CandidateFailed(f"its log loss is {score.log_loss}")
        costs = profile(architecture, self._sizes)
        facts = {
            "log_loss": score.log_loss,
            "auc": score.auc,
            "live_parameters": costs.live_parameters,
            "converged": score.converged,
            "cpu_seconds": round(score.cpu_seconds, 4),
            "time": now(),
        }
        return Evaluation(self._objective.value(score), costs.live_macs, facts)
