"""What each stage depends on, what is done, and what a changed config has made stale."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nasrec_nni.config import Config
from nasrec_nni.errors import UserError
from nasrec_nni.files import fingerprint, read_json, write_json
from nasrec_nni.run_folder import RunFolder, now

STAGES = ("data", "supernet", "search", "retrain")  # the report is written anew every time
State = Literal["absent", "started", "done", "stale"]


@dataclass(frozen=True)
class Stage:
    """One stage of a run.

    Args:
        name: of `STAGES`.
        key: all config values its outcome depends on; the fingerprint of the stage before under `after`.
    """

    name: str
    key: dict[str, Any]

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.key)


def stages(config: Config, prepared: str | None = None) -> list[Stage]:
    """All stages with their keys, in the order of the work.

    Args:
        config: of the run.
        prepared: fingerprint of the prepared set that the config names, if it names one.
    """
    content = config.model_dump(mode="json")
    keys = {
        "data": {"prepared": prepared} if prepared is not None else {"data": _raw(config)},
        "supernet": {"seed": config.seed, "space": content["space"], "supernet": content["supernet"]},
        "search": {"search": content["search"]},
        "retrain": {"retrain": content["retrain"]},
    }
    found: list[Stage] = []
    for name in STAGES:
        after = {"after": found[-1].fingerprint} if found else {}
        found.append(Stage(name, keys[name] | after))
    return found


def record_path(folder: RunFolder, name: str) -> Path:
    return folder.path / "stages" / f"{name}.json"


def read_record(folder: RunFolder, name: str) -> dict[str, Any] | None:
    """What is written of a stage; None if it was never started."""
    path = record_path(folder, name)
    return read_json(path) if path.exists() else None


def state(folder: RunFolder, stage: Stage) -> State:
    """Where a stage stands under the given config."""
    record = read_record(folder, stage.name)
    if record is None:
        return "absent"
    if fingerprint(record["key"]) != stage.fingerprint:
        return "stale"
    return "done" if record["state"] == "done" else "started"


def changes(folder: RunFolder, stage: Stage) -> list[str]:
    """The config keys that differ from those the stage was made with, as `key: old -> new`."""
    record = read_record(folder, stage.name)
    assert record is not None
    old, new = dict(_flat(record["key"])), dict(_flat(stage.key))
    names = [name for name in (old | new) if old.get(name) != new.get(name) and name != "after"]
    return [f"{name}: {old.get(name)} -> {new.get(name)}" for name in names] or ["an earlier stage"]


def start(folder: RunFolder, stage: Stage) -> None:
    """Note that work on a stage begins or goes on."""
    record = read_record(folder, stage.name) or {
        "stage": stage.name,
        "key": stage.key,
        "started": now(),
        "seconds": 0.0,
    }
    write_json(record_path(folder, stage.name), record | {"state": "started"})


class Clock:
    """Wall and CPU seconds of this process since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        return {"seconds": round(wall, 2), "cpu_seconds": round(cpu, 2)}


def finish(folder: RunFolder, stage: Stage, clock: Clock, result: dict[str, Any]) -> None:
    """Written last: the stage is done."""
    record = read_record(folder, stage.name)
    assert record is not None
    write_json(
        record_path(folder, stage.name),
        record | {"state": "done", "finished": now()} | clock.read() | {"result": result},
    )


def _raw(config: Config) -> dict[str, Any]:
    """Source, options, and of every raw file name, size and time of change, so that a changed log is seen.

    Folders do not count: a project that was moved is still the same.
    """
    files = []
    for given in map(Path, config.data.inputs):
        for path in sorted(given.rglob("*")) if given.is_dir() else [given]:
            if path.is_file():
                files.append([path.name, path.stat().st_size, path.stat().st_mtime_ns])
    return {"source": config.data.source, "options": config.data.model_dump(mode="json")["options"], "files": files}


def refuse_or_retire(folder: RunFolder, all_stages: list[Stage], redo: bool) -> list[str]:
    """See to it that no stage is stale.

    Returns:
        What was moved where, one sentence a stage.

    Raises:
        UserError: some are, and `redo` is off.
    """
    stale = [stage for stage in all_stages if state(folder, stage) == "stale"]
    if not stale:
        return []
    if not redo:
        told = "; ".join(f"{stage.name} ({', '.join(changes(folder, stage))})" for stage in stale)
        raise UserError(
            f"the config has changed and makes these stages stale: {told}",
            where=str(folder.path),
            hint="Add --redo to do them anew (the old ones are kept in RUN/old), or name another run folder",
        )
    return list(_retire(folder, stale))


def _retire(folder: RunFolder, stale: list[Stage]) -> Iterator[str]:
    places = {
        "data": (folder.data,),
        "supernet": (folder.supernet, folder.tensorboard),
        "search": (folder.search,),
        "retrain": (folder.retrain, folder.leaderboard, folder.results, folder.report),
    }
    number = 1 + max((int(path.name) for path in folder.old.glob("[0-9]*")), default=0)
    target = folder.old / str(number)
    for stage in reversed(stale):
        for place in (*places[stage.name], record_path(folder, stage.name)):
            if place.exists():
                moved = target / place.relative_to(folder.path)
                moved.parent.mkdir(parents=True, exist_ok=True)
                os.replace(place, moved)
        yield f"{stage.name} was made with another config; moved to {target}"


def _flat(content: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
