"""Search in process: candidates one by one in the trained supernet, each a durable line."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from nasrec_nni.architecture.value import Architecture
from nasrec_nni.errors import UserError
from nasrec_nni.files import append_line, read_lines
from nasrec_nni.pipeline.best_told import BestTold
from nasrec_nni.pipeline.context import Context
from nasrec_nni.pipeline.goals import Goals
from nasrec_nni.run_folder import RunFolder, now
from nasrec_nni.strategies.search import (
    REJECTED,
    CandidateFailed,
    Evaluate,
    Evaluation,
    Record,
    Search,
    best,
    front,
    record_from_json,
    run_search,
    start_search,
)

if TYPE_CHECKING:
    from nasrec_nni.evaluation.evaluator import Evaluator


class OutOfTime(Exception):
    """The time budget leaves no more for candidates; what was scored is kept."""


def read_records(folder: RunFolder) -> list[Record]:
    """All candidates so far."""
    lines = read_lines(folder.candidates)
    return [record_from_json(line, f"{folder.candidates}:{number}") for number, line in enumerate(lines, 1)]


def begun(context: Context) -> Search:
    """The run's algorithm, freshly started; every door of the search asks and tells this one."""
    config, goals = context.config.search, Goals(context)
    if earlier := goals.earlier():
        context.say(f"search: starts from {len(earlier)} earlier results, which are no candidates of this run")
    if goals.timed:
        context.say("search: latency is by the clock, so the same command may propose others when it is run anew")
    return start_search(
        config.algorithm,
        context.space,
        context.config.seed,
        config.options,
        config.candidates,
        objectives=len(config.all_objectives),
        excess=goals.limits or None,
        earlier=earlier,
    )


def scorer(context: Context, done: list[Record]) -> Scorer:
    """Loads supernet and data once, then scores one architecture after another."""
    from nasrec_nni.evaluation.evaluator import Evaluator

    config, folder = context.config, context.folder
    evaluator = Evaluator(folder.supernet, context.prepared, config.search, config.seed, context.device)
    return Scorer(context, evaluator, done)


def search(context: Context, scored_by: Callable[[Context, list[Record]], Evaluate] = scorer) -> dict[str, Any]:
    """Score candidates until the budget is spent; those of an earlier, stopped attempt are replayed.

    In this process: a candidate that raises or has no finite score is recorded as failed and the search goes on; one
    that hangs or eats the memory takes the search with it (`workers.isolate` keeps it in a process of its own).

    Args:
        context: of the run.
        scored_by: makes what scores a candidate.
    """
    from nasrec_nni.pipeline.scalars import Scalars

    config, folder = context.config.search, context.folder
    before = read_records(folder)
    done = list(before)
    bar = tqdm(
        total=config.candidates,
        initial=len(before),
        desc="search",
        unit="candidate",
        file=sys.stderr,
        disable=not context.progress,
        leave=False,
    )

    budget = context.budget
    until = math.inf if budget is None else budget.until(context, "search")
    enough = max(1, context.config.retrain.top_k)

    def keep(record: Record) -> None:
        append_line(folder.candidates, record.as_json())
        done.append(record)
        scalars.take(record)
        bar.update(1)
        if budget is not None and budget.now > until and len(best(done, enough)) == enough:
            raise OutOfTime

    with bar, Scalars(folder, before) as scalars, suppress(OutOfTime):
        run_search(
            begun(context),
            scored_by(context, done),
            budget=config.candidates,
            in_flight=config.in_flight,
            records=before,
            on_result=keep,
            where=str(folder.candidates),
        )
        return told(context, done)
    if budget is not None:
        budget.ledger.note(f"The search was ended after {len(done)} of {config.candidates} candidates.")
    return told(context, done) | {"exhausted": False}


def told(context: Context, records: list[Record]) -> dict[str, Any]:
    """What is said of a search that is over."""
    config = context.config.search
    exhausted = len(records) < config.candidates
    if exhausted:
        context.say(f"search: ended after {len(records)} candidates, no further architecture was found in this space")
    (first,) = best(records, 1) or (None,)
    return {
        "candidates": len(records),
        "exhausted": exhausted,
        "failed": sum(record.failure is not None for record in records),
        "rejected": sum(REJECTED in record.facts for record in records),
        "best": first and first.id,
        "best_value": first and first.value,
    } | ({"front": [{"id": one.id, "values": one.values} for one in front(records)]} if config.objectives else {})


class Scorer:
    """One architecture to its objective, lower is better.

    Attributes:
        number: of the candidate; None where they come one by one, so that it is the first without a record.
    """

    def __init__(self, context: Context, evaluator: Evaluator, done: list[Record]) -> None:
        config = context.config.search
        self.number: int | None = None
        self._evaluator = evaluator
        self._told = BestTold(evaluator, done, config.in_flight) if config.early_rejection is not None else None
        self._goals = Goals(context)

    def __call__(self, architecture: Architecture) -> Evaluation:
        try:
            return self._scored(architecture)
        except (UserError, CandidateFailed):
            raise
        except Exception as error:
            raise CandidateFailed(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}") from error

    def _scored(self, architecture: Architecture) -> Evaluation:
        told, figures = self._told, self._goals.figures(architecture, self._evaluator)
        number = None if told is None else told.next_number() if self.number is None else self.number
        score = self._evaluator.evaluate(architecture, None if told is None or number is None else told.score(number))
        if told and not score.rejected:
            told.keep(architecture.id, score)
        if not math.isfinite(score.log_loss):
            raise CandidateFailed(f"its log loss is {score.log_loss}")
        facts = {
            "log_loss": score.log_loss,
            "auc": score.auc,
            "live_parameters": figures.live_parameters,
            "converged": score.converged,
            "cpu_seconds": round(score.cpu_seconds, 4),
            "time": now(),
        }
        if score.rejected:
            facts[REJECTED] = score.score_rows
        return self._goals.evaluation(figures, score, facts)
