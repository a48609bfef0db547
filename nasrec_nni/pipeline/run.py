"""The stages of a run in order: what is done is skipped, what was stopped goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from nasrec_nni import durations
from nasrec_nni.config import Config
from nasrec_nni.errors import UserError
from nasrec_nni.files import write_text
from nasrec_nni.pipeline import staleness
from nasrec_nni.pipeline.budget.time_budget import TimeBudget
from nasrec_nni.pipeline.check import check
from nasrec_nni.pipeline.context import Context
from nasrec_nni.pipeline.data import prepare_data
from nasrec_nni.pipeline.goals import check_limits
from nasrec_nni.pipeline.report import report
from nasrec_nni.pipeline.retrain import retrain
from nasrec_nni.pipeline.search import search
from nasrec_nni.pipeline.sweep.stage import sweep
from nasrec_nni.run_folder import RunFolder

Action = Callable[[Context], dict[str, Any]]


def run_stages(
    config: Config,
    out: Path,
    last: str,
    *,
    command: str,
    redo: bool = False,
    actions: Mapping[str, Action] | None = None,
    progress: bool = True,
    began: float | None = None,
) -> dict[str, Any]:
    """Work up to the stage `last`: data, supernet, search, retrain or report.

    Args:
        config: of the run.
        out: the run folder; made if absent.
        last: last stage to do.
        command: who locks the run.
        redo: do stale stages anew instead of refusing.
        actions: how stages are done, if not in this process, by their names.
        progress: bars and words on stderr.
        began: moment of `time.monotonic` from which a time budget counts, this one if not given.

    Raises:
        UserError: the config or the data are wrong, stages are stale, or another command works on the run.
    """
    began = time.monotonic() if began is None else began
    check(config, retrains=last in ("retrain", "report"))
    config = with_whole_paths(config)
    folder = RunFolder(out)
    folder.check_free()
    existed = out.exists()
    budget = None if config.budget is None else TimeBudget(config, folder, began)
    config = config if budget is None else budget.config()
    context = Context(config, folder, progress, budget)
    named = context.prepared.fingerprint if config.data.prepared is not None else None
    stages = staleness.stages(config, named)
    with folder.locked(command):
        fresh = not folder.has_content()
        try:
            if budget is not None and redo:
                budget.forget([stage.name for stage in stages if staleness.state(folder, stage) == "stale"])
            for moved in staleness.refuse_or_retire(folder, stages, redo):
                context.say(moved)
            write_config(context)
            return _work(context, named, last, actions or {})
        except UserError:
            if fresh and not any(staleness.state(folder, stage) == "done" for stage in stages):
                folder.clear()  # a mistake in the data leaves nothing half-made behind
                if not existed:
                    out.rmdir()
            raise


def _work(context: Context, named: str | None, last: str, others: Mapping[str, Action]) -> dict[str, Any]:
    budget = context.budget
    if budget is None:
        return _stages(context, named, last, others)
    try:
        budget.begin(context, [name for name in staleness.STAGES if _belongs(context, name, last)])
        found = _stages(context, named, last, others)
        context.folder.update_manifest(budget=budget.summary())
        context.say(f"time budget {durations.shown(budget.seconds)}: {durations.shown(budget.used)} used")
        return found | {"budget": budget.summary()}
    finally:
        budget.save()


def _belongs(context: Context, stage: str, last: str) -> bool:
    """Whether a run has this stage: no supernet is trained for hand-made models alone."""
    return stage not in ("supernet", "search") or stage == last or context.config.retrain.top_k > 0


def _stages(context: Context, named: str | None, last: str, others: Mapping[str, Action]) -> dict[str, Any]:
    actions: dict[str, Action] = {
        "data": prepare_data,
        "supernet": _supernet,
        "search": search,
        "sweep": sweep,
        "retrain": retrain,
        **others,
    }
    told: list[dict[str, Any]] = []
    for number, name in enumerate(stage.name for stage in staleness.stages(context.config, named)):
        if not _belongs(context, name, last):
            continue
        if context.budget is not None:
            context.budget.before(context, name)
            write_config(context)
        told.append(_one(context, staleness.stages(context.config, named)[number], actions[name]))
        if name == "data":
            context.folder.update_manifest(data_fingerprint=context.prepared.fingerprint)
            context.check_data()
            if context.config.retrain.top_k or last == "search":
                check_limits(context)
        if name == last:
            return {"run": str(context.folder.path), "stages": told}
    clock = staleness.Clock()
    found = report(context)
    told.append({"stage": "report", "state": "ran"} | clock.read())
    return {"run": str(context.folder.path), "stages": told} | found


def _one(context: Context, stage: staleness.Stage, action: Action) -> dict[str, Any]:
    folder = context.folder
    if staleness.state(folder, stage) == "done":
        context.say(f"{stage.name}: done before")
        result = (staleness.read_record(folder, stage.name) or {})["result"]
        return {"stage": stage.name, "state": "done before", "seconds": 0.0, "cpu_seconds": 0.0, **result}
    context.say(f"{stage.name} …")
    clock = staleness.Clock()
    context.set_threads()
    staleness.start(folder, stage)
    try:
        result = action(context)
    except BaseException:
        staleness.pause(folder, stage, clock)
        raise
    staleness.finish(folder, stage, clock, result)
    return {"stage": stage.name, "state": "ran"} | clock.read() | result


def _supernet(context: Context) -> dict[str, Any]:
    from nasrec_nni.strategies.one_shot.train import train_supernet

    folder, budget = context.folder, context.budget
    facts = train_supernet(
        context.config,
        context.prepared,
        folder.supernet,
        progress=context.progress,
        tensorboard=folder.tensorboard / "supernet",
        until=None if budget is None else budget.until(context, "supernet"),
    )
    if budget is not None and "planned" in facts.training:
        budget.ledger.note("The supernet was ended after {steps} of {planned} steps.".format_map(facts.training))
    return {"steps": facts.training["steps"], "row_macs": facts.training["row_macs"]}


def with_whole_paths(config: Config) -> Config:
    """The same config, so that its copy in the run holds from any folder."""
    data = config.data
    prepared = None if data.prepared is None else str(Path(data.prepared).absolute())
    inputs = tuple(str(Path(path).absolute()) for path in data.inputs)
    search, named = config.search, config.search.warm_start
    search = search if named is None else search.model_copy(update={"warm_start": str(Path(named).absolute())})
    data = data.model_copy(update={"prepared": prepared, "inputs": inputs})
    return config.model_copy(update={"data": data, "search": search})


def write_config(context: Context) -> None:
    """The manifest first: it makes the folder a run."""
    config, folder = context.config, context.folder
    swept = {} if config.retrain.sweep is None else {"sweep": config.retrain.sweep.seed}
    folder.update_manifest(seeds={"run": config.seed, "retrain": list(config.retrain.seeds)} | swept)
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    write_text(folder.config, "# The resolved config of this run.\n" + text)
