"""The stages of a run in order: what is done is skipped, what was stopped goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from nasrec_nni.config import Config
from nasrec_nni.errors import UserError
from nasrec_nni.files import write_text
from nasrec_nni.pipeline import staleness
from nasrec_nni.pipeline.check import check
from nasrec_nni.pipeline.context import Context
from nasrec_nni.pipeline.data import prepare_data
from nasrec_nni.pipeline.goals import check_limits
from nasrec_nni.pipeline.report import report
from nasrec_nni.pipeline.retrain import retrain
from nasrec_nni.pipeline.search import search
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
) -> dict[str, Any]:
    """Work up to the stage `last`: data, supernet, search, retrain or report.

    Args:
        config: of the run.
        out: the run folder; made if absent.
        last: last stage to do.
        command: who locks the run.
        redo: do stale stages anew instead of refusing.
        actions: how stages are done, if not in this process, by their names.

    Raises:
        UserError: the config or the data are wrong, stages are stale, or another command works on the run.
    """
    check(config, retrains=last in ("retrain", "report"))
    config = with_whole_paths(config)
    folder = RunFolder(out)
    folder.check_free()
    existed = out.exists()
    context = Context(config, folder)
    named = context.prepared.fingerprint if config.data.prepared is not None else None
    stages = staleness.stages(config, named)
    with folder.locked(command):
        fresh = not folder.has_content()
        try:
            for moved in staleness.refuse_or_retire(folder, stages, redo):
                context.say(moved)
            write_config(context)
            return _work(context, stages, last, actions or {})
        except UserError:
            if fresh and not any(staleness.state(folder, stage) == "done" for stage in stages):
                folder.clear()  # a mistake in the data leaves nothing half-made behind
                if not existed:
                    out.rmdir()
            raise


def _work(context: Context, stages: list[staleness.Stage], last: str, others: Mapping[str, Action]) -> dict[str, Any]:
    actions: dict[str, Action] = {
        "data": prepare_data,
        "supernet": _supernet,
        "search": search,
        "retrain": retrain,
        **others,
    }
    told: list[dict[str, Any]] = []
    for stage in stages:
        if stage.name in ("supernet", "search") and stage.name != last and not context.config.retrain.top_k:
            continue
        told.append(_one(context, stage, actions[stage.name]))
        if stage.name == "data":
            context.folder.update_manifest(data_fingerprint=context.prepared.fingerprint)
            context.check_data()
            if context.config.retrain.top_k or last == "search":
                check_limits(context)
        if stage.name == last:
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

    folder = context.folder
    facts = train_supernet(
        context.config,
        context.prepared,
        folder.supernet,
        progress=context.progress,
        tensorboard=folder.tensorboard / "supernet",
    )
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
    folder.update_manifest(seeds={"run": config.seed, "retrain": list(config.retrain.seeds)})
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    write_text(folder.config, "# The resolved config of this run.\n" + text)
