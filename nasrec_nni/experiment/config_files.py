"""Files for `nnictl create`: door 3. NNI runs the search without a command of ours; the run folder is the same."""

from __future__ import annotations

import shlex
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from nasrec_nni.config import Config
from nasrec_nni.errors import UserError
from nasrec_nni.experiment import machines as other_machines
from nasrec_nni.experiment.door import plan
from nasrec_nni.experiment.launch import LOOPBACK
from nasrec_nni.files import write_json, write_text
from nasrec_nni.pipeline import staleness
from nasrec_nni.pipeline.check import check
from nasrec_nni.pipeline.context import Context
from nasrec_nni.pipeline.goals import check_limits
from nasrec_nni.pipeline.run import with_whole_paths, write_config
from nasrec_nni.run_folder import RunFolder

NAME, SPACE = "experiment.yml", "search_space.json"
ABOUT = """\
# nnictl create --config {name}
#
# Scores {candidates} architectures into {run}
# with {workers} workers. `nnictl stop`, `view`, `resume` and `experiment export` work on it; after a stop or a kill
# every candidate counts once. When it is done: nasrec retrain CONFIG --out {run}
#
# NNI's web server listens on all interfaces and has no login: whoever reaches its port can read, change and stop the
# experiment. To keep it to this machine, and to see of each trial what it really did, start it like this:
#
#   {start}
"""


def write(config: Config, run: Path, out: Path, workers: int, machines: Path | None = None) -> dict[str, Any]:
    """Write the experiment's files; `config` becomes the run's.

    Args:
        config: with `in_flight` settled and its GPUs looked at, as `doors.choose` does.
        run: the run folder; its supernet is trained.
        out: where the files go.
        workers: trials at a time.
        machines: file with NNI's training service, if trials do not run here.

    Raises:
        UserError: the run has no supernet of this config.
    """
    check(config, retrains=False)
    config = with_whole_paths(config)
    others = None if machines is None else other_machines.read(machines)
    folder = RunFolder(run)
    context = Context(config, folder, progress=False)
    _refuse_unready(context)
    check_limits(context)
    with folder.locked("nni-config"):
        write_config(context)
    out.mkdir(parents=True, exist_ok=True)
    found = replace(plan(context, workers), folder=(folder.search / "nni").resolve())
    (found.folder / "code").mkdir(parents=True, exist_ok=True)
    content = found.as_json()
    content["tuner"]["classArgs"]["owned"] = False
    if others is not None:
        content = other_machines.placed(content, others, folder.path.resolve(), str(machines))
    space = content.pop("searchSpace")
    write_json(out / SPACE, space)
    content = {"searchSpaceFile": SPACE, **content}
    name = str(out / NAME)
    start = start_command(name, content.get("nniManagerIp"))
    about = ABOUT.format(
        name=name, candidates=config.search.candidates, run=folder.path.resolve(), workers=workers, start=start
    )
    write_text(out / NAME, about + yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    return {"config": name, "search_space": str(out / SPACE), "run": str(run), "start": start}


def start_command(name: str, hosts: str | None = None) -> str:
    """`nnictl create` with the manager's faults mended.

    Args:
        name: the config file.
        hosts: this machine's address for other machines, None if all trials run here.
    """
    scripts = ["manager.js"] if hosts is None else ["manager.js", "remote.js"]
    options = " ".join(f'--require "{files("nasrec_nni.experiment") / script}"' for script in scripts)
    listen = f"NASREC_LISTEN={LOOPBACK}" + ("" if hosts is None else f" NASREC_HOSTS={shlex.quote(hosts)}")
    return f"NODE_OPTIONS={shlex.quote(options)} {listen} nnictl create --config {shlex.quote(name)}"


def _refuse_unready(context: Context) -> None:
    folder, config = context.folder, context.config
    hint = "First `nasrec supernet CONFIG --out RUN` with the same config"
    if not folder.exists:
        raise UserError("no such run folder", where=str(folder.path), hint=hint)
    named = context.prepared.fingerprint if config.data.prepared is not None else None
    for stage in staleness.stages(config, named):
        found = staleness.state(folder, stage)
        if stage.name in ("data", "supernet") and found != "done":
            raise UserError(f"the stage {stage.name} of this run is {found}", where=str(folder.path), hint=hint)
        if stage.name == "search" and found in ("stale", "done"):
            said = "was done with another config" if found == "stale" else "is done"
            raise UserError(f"the search of this run {said}", where=str(folder.path), hint="Name another run folder")
