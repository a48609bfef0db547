"""Processes of our runs whose command has gone. What is not ours, or still works for somebody, is never touched.

                 door 2: nasrec search            door 3: nnictl create (stays by design, until `nnictl stop`)
                      └─────────► NNI's manager (node) ◄──────┘
                                   ├── tuner ── trial ── child (in the manager's process group, or on another machine
                                                                 below a trial keeper, a node process too)

A manager is left over when the command that owned it has gone, or its run folder; a tuner or trial when whatever
started it has gone, so that it is a child of the system's first process now.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

OURS = "nasrec_nni.experiment."
OWNER, OPTIONS = "NASREC_OWNER", "NODE_OPTIONS"
FIRST = ("systemd", "init", "tini", "dumb-init", "docker-init")  # who takes in a process whose parent has gone
SHELLS = ("sh", "bash", "dash")
END = 25.0  # seconds: a manager takes up to 20 to end its trials


@dataclass(frozen=True)
class Found:
    """A process of one of our runs.

    Args:
        process: itself; knows when its number has gone to another one.
        role: manager, trial keeper, tuner, trial or command.
        run: the run folder, None where only the process knows it.
        why: it is left over, in words; None if it is in use.
        listens: addresses of a manager's web page.
    """

    process: psutil.Process
    role: str
    run: str | None
    why: str | None = None
    listens: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        told = {"process": self.process.pid, "role": self.role, "run": self.run, "why": self.why}
        return told | {"listens": list(self.listens)}


def look() -> list[Found]:
    """Every process of this user that belongs to a run of ours."""
    found = {one.process.pid: one for one in _recognised()}
    return [_judged(one, found) for one in sorted(found.values(), key=lambda one: one.process.pid)]


def end(leftovers: list[Found]) -> list[Found]:
    """End them, managers first since they end their own; what does not end is killed. Returns those that have gone."""
    for role in ("manager", "trial keeper", None):
        processes = [one.process for one in leftovers if role is None or one.role == role]
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):  # psutil: also if the number was given anew
                process.terminate()
        for process in psutil.wait_procs(processes, timeout=END)[1]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
    psutil.wait_procs([one.process for one in leftovers], timeout=END)
    return [one for one in leftovers if not _alive(one.process)]


def _recognised() -> Iterator[Found]:
    for process in psutil.process_iter():
        try:
            if process.uids().real != os.getuid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            words = process.cmdline()
            role, run = _role(process, words)
        except psutil.Error:
            continue
        if role is not None:
            yield Found(process, role, run)


def _role(process: psutil.Process, words: list[str]) -> tuple[str | None, str | None]:
    """What it is and for which run; (None, None) if it is none of ours."""
    programs = [Path(word).name for word in words[:2]]  # a script stands behind its interpreter
    if programs[:1] == ["node"]:
        return _node(process, words)
    if words[1:3] == ["-m", "nni"] and "--exp_params" in words:
        run = _tuned(words[words.index("--exp_params") + 1 :])
        return ("tuner", run) if run is not None else (None, None)
    if "nasrec-trial" in programs:
        rest = [word for word in words[programs.index("nasrec-trial") + 1 :] if not word.startswith("--")]
        return "trial", rest[0] if rest else None
    if "nasrec" in programs:
        return "command", None
    return None, None


def _node(process: psutil.Process, words: list[str]) -> tuple[str | None, str | None]:
    """NNI's node process, if our `manager.js` is loaded into it or its folder is a run's; NNI has many users."""
    if any(word.endswith("trial_keeper/main.js") for word in words):
        mended = "nasrec_nni/experiment/manager.js" in process.environ().get(OPTIONS, "")
        return ("trial keeper", None) if mended else (None, None)
    if "--experiments-directory" not in words:
        return None, None
    folder = Path(words[words.index("--experiments-directory") + 1])
    if folder.name == "nni" and folder.parent.name in ("search", "retrain"):
        return "manager", str(folder.parent.parent)
    return None, None


def _tuned(words: list[str]) -> str | None:
    """The run of one of our tuners; NNI hands its config on in base 64."""
    try:
        tuner = json.loads(base64.b64decode(words[0]))["tuner"]
        return str(tuner["classArgs"]["run"]) if tuner["className"].startswith(OURS) else None
    except (LookupError, ValueError, TypeError, AttributeError):
        return None


def _judged(one: Found, found: dict[int, Found]) -> Found:
    if one.role in ("command", "trial keeper"):  # a keeper ends by itself when its manager is out of reach
        return one
    if one.role == "manager":
        return Found(one.process, one.role, one.run, _why_left_over(one), _listens(one.process))
    orphaned = _orphaned(one.process, found)
    return Found(one.process, one.role, one.run, "what started it has gone") if orphaned else one


def _orphaned(process: psutil.Process, found: dict[int, Found]) -> bool:
    """Whether the first one above that is neither ours nor a shell takes in orphans."""
    try:
        for parent in process.parents():
            if parent.pid == 1 or parent.name() in FIRST:
                return True
            role = found[parent.pid].role if parent.pid in found else None
            if role not in ("tuner", "trial") and (role is not None or parent.name() not in SHELLS):
                return False
    except psutil.Error:
        return False
    return True


def _why_left_over(manager: Found) -> str | None:
    try:
        owner, begun = manager.process.environ().get(OWNER), manager.process.create_time()
    except psutil.Error:
        return None
    if owner is not None and not (owner.isdigit() and _older(int(owner), begun)):
        return f"the command that started it (process {owner}) has gone"
    if manager.run is not None and not Path(manager.run).exists():
        return "its run folder has gone"
    return None


def _listens(process: psutil.Process) -> tuple[str, ...]:
    with contextlib.suppress(psutil.Error):
        found = [one.laddr for one in process.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
        return tuple(sorted(f"{at.ip}:{at.port}" for at in found))
    return ()


def _older(pid: int, begun: float) -> bool:
    """Whether a process lives that was there at a moment: a number may have been given anew."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and float(process.create_time()) <= begun
    except psutil.Error:
        return False


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
