"""What each stage depends on, what is done, and what a changed config has made stale."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nasrec_nni.config import WATCHING, Config
from nasrec_nni.errors import UserError
from nasrec_nni.files import fingerprint, read_json, sha256, write_json
from nasrec_nni.pipeline.sweep.space import given_or_default
from nasrec_nni.run_folder import RunFolder, now

STAGES = ("data", "supernet", "search", "retrain")  # the report is written anew every time
ALL = ("data", "supernet", "search", "sweep", "retrain")  # with the one that only some configs have
State = Literal["absent", "started", "done", "stale"]


@dataclass(frozen=True)
class Stage:
    """One stage of a run.

    Args:
        name: of `ALL`.
        key: all config values its outcome depends on.
        before: the stage whose outcome it starts from; None for the first.
    """

    name: str
    key: dict[str, Any]
    before: Stage | None = None


def stages(config: Config, prepared: str | None = None) -> list[Stage]:
    """All stages of this config with their keys, in the order of the work; `sweep` only where the config has one.

    Args:
        config: of the run.
        prepared: fingerprint of the prepared set that the config names, if it names one.
    """
    content = config.model_dump(mode="json")
    keys: dict[str, dict[str, Any]] = {
        "data": {"prepared": prepared} if prepared is not None else {"data": _raw(config)},
        "supernet": _unwatched({"seed": config.seed, "space": content["space"], "supernet": content["supernet"]}),
        "search": {"search": _with_hash(content["search"])},
        "retrain": {"retrain": content["retrain"]},
    }
    if config.precision != "32-true":  # records older than the key are of 32-true
        keys["supernet"]["precision"] = keys["retrain"]["precision"] = config.precision
    names = STAGES if config.retrain.sweep is None else ALL
    if config.retrain.sweep is not None:
        space = given_or_default(config.retrain.sweep.space, config.retrain.recipe)
        keys["retrain"]["retrain"] |= {"sweep": content["retrain"]["sweep"] | {"space": space}}
        keys["sweep"] = {"retrain": {k: v for k, v in keys["retrain"]["retrain"].items() if k != "seeds"}}
        keys["sweep"] |= {k: v for k, v in keys["retrain"].items() if k == "precision"}
    found: list[Stage] = []
    for name in names:
        found.append(Stage(name, keys[name], found[-1] if found else None))
    return found


def _with_hash(search: dict[str, Any]) -> dict[str, Any]:
    """What `warm_start` names by its content: a moved file is the same, a changed one makes the search stale."""
    named = search.get("warm_start")
    return search if named is None else search | {"warm_start": f"sha256 {sha256(Path(named))[:16]}"}


def _unwatched(key: dict[str, Any]) -> dict[str, Any]:
    """A key without the values that change no outcome; older records have them."""
    if "supernet" not in key:
        return key
    return key | {"supernet": {name: value for name, value in key["supernet"].items() if name not in WATCHING}}


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
    if fingerprint(_own(record)) != fingerprint(stage.key) or _behind_another(folder, stage, record):
        return "stale"
    return "done" if record["state"] == "done" else "started"


def _own(record: dict[str, Any]) -> dict[str, Any]:
    """The values a stage was made with, apart from those of the stages before it."""
    return _unwatched({name: value for name, value in record["key"].items() if name != "after"})


def _behind_another(folder: RunFolder, stage: Stage, record: dict[str, Any]) -> bool:
    """Whether an earlier stage is stale, or the one before is not the one that this record was made behind."""
    before = stage.before
    if before is None:
        return False
    if record["key"].get("after") != _made(folder, before):
        return True
    while before is not None and state(folder, before) == "absent":
        before = before.before
    return before is not None and state(folder, before) == "stale"


def _made(folder: RunFolder, stage: Stage) -> str:
    """Fingerprint of what a stage was made with, the stages before it included.

    A stage that was left out (no supernet is trained for baselines alone) has that of its config.
    """
    record = read_record(folder, stage.name)
    if record is not None:
        return fingerprint(record["key"])
    return fingerprint(_whole_key(folder, stage))


def _whole_key(folder: RunFolder, stage: Stage) -> dict[str, Any]:
    return stage.key | ({} if stage.before is None else {"after": _made(folder, stage.before)})


def changes(folder: RunFolder, stage: Stage) -> list[str]:
    """The config keys that differ from those the stage was made with, as `key: old -> new`."""
    record = read_record(folder, stage.name)
    assert record is not None
    old, new = dict(_flat(_own(record))), dict(_flat(stage.key))
    names = [name for name in (old | new) if old.get(name) != new.get(name)]
    return [f"{name}: {old.get(name)} -> {new.get(name)}" for name in names] or ["an earlier stage"]


def start(folder: RunFolder, stage: Stage) -> None:
    """Note that work on a stage begins or goes on."""
    record = read_record(folder, stage.name) or {
        "stage": stage.name,
        "key": _whole_key(folder, stage),
        "started": now(),
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
    _add(folder, stage, clock, {"state": "done", "finished": now(), "result": result})


def pause(folder: RunFolder, stage: Stage, clock: Clock) -> None:
    """Note the time of a session that was stopped."""
    _add(folder, stage, clock, {})


def _add(folder: RunFolder, stage: Stage, clock: Clock, more: dict[str, Any]) -> None:
    """Seconds add up over the sessions of a stage; only what a kill cut off is not counted."""
    record = read_record(folder, stage.name)
    assert record is not None
    seconds = {name: round(record.get(name, 0.0) + value, 2) for name, value in clock.read().items()}
    write_json(record_path(folder, stage.name), record | seconds | {"sessions": record.get("sessions", 0) + 1} | more)


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
        "supernet": (folder.supernet, folder.tensorboard / "supernet"),
        "search": (folder.search, folder.tensorboard / "search"),
        "sweep": (folder.sweep, folder.tensorboard / "sweep"),
        "retrain": (folder.retrain, folder.tensorboard / "retrain", folder.leaderboard, folder.results, folder.report),
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
