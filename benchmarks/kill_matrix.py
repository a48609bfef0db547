"""Whoever is killed, whenever: every candidate counts once, the sequence is that of door 1, nothing stays behind.

    python benchmarks/kill_matrix.py                          # {command, manager, worker} x {TERM, KILL} x 3 moments
    python benchmarks/kill_matrix.py --case manager:KILL:middle --case command:TERM:begin
    python benchmarks/kill_matrix.py --case worker:KILL:begin,command:KILL:middle      # one search, killed twice

Each case starts `nasrec search --workers 2` with 24 candidates in batches of 6 on a small run, kills one process at
one moment (the first worker starts, 6 candidates are recorded, 18 are), looks for leftovers, runs the same command to
its end and compares with the search in one process.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import yaml

NASREC = str(Path(sys.executable).with_name("nasrec"))
WHO, SIGNALS, MOMENTS = ("command", "manager", "worker"), ("TERM", "KILL"), ("begin", "middle", "end")
RECORDED = {"begin": 0, "middle": 6, "end": 18}
CONFIG: dict[str, Any] = {
    "threads": 1,
    "device": "cpu",
    "data": {"prepared": "set"},
    "space": {"blocks": 2, "dense_widths": [8, 16], "sparse_rows": [4, 8], "embedding": 4, "heads": 2},
    "supernet": {"recipe": {"preset": "bars", "batch": 128, "epochs": 1}, "validation_rows": 50},
    "search": {"candidates": 24, "in_flight": 12, "options": {"population": 8, "sample": 4}, "head_rows": 512},
    "retrain": {"top_k": 1, "seeds": [0], "baselines": ["lr"], "recipe": {"preset": "bars", "batch": 256, "epochs": 1}},
    "workers": {"batch": 6},
}
WAIT = 240.0  # seconds, for a loaded machine
Rows = list[tuple[int, str, float | None, str | None]]


@dataclass(frozen=True)
class Case:
    """Who is killed, how, when."""

    who: str
    how: str
    when: str

    def __str__(self) -> str:
        return f"{self.who}:{self.how}:{self.when}"


class Failed(Exception):
    """A case has shown a fault."""


def make_place(place: Path) -> None:
    """Data, config, a run with a trained supernet, and what door 1 makes of it."""
    from nasrec_nni.data.prepare import prepare

    place.mkdir(parents=True, exist_ok=True)
    prepare("synthetic", [], place / "set", {"rows": 3000}, progress=False)
    config = CONFIG | {"data": {"prepared": str(place / "set")}}
    (place / "c.yaml").write_text(yaml.safe_dump(config))
    nasrec(place, "supernet", "base")
    shutil.copytree(place / "base", place / "door1")
    nasrec(place, "search", "door1")


def nasrec(place: Path, verb: str, run: str, *more: str) -> Any:
    """A command that must do well; what it tells."""
    words = [NASREC, verb, str(place / "c.yaml"), "--out", str(place / run), "--json", *more]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=WAIT)
    if done.returncode != 0:
        raise Failed(f"{verb} ended with {done.returncode}: {done.stdout[-600:]} {done.stderr[-600:]}")
    return json.loads(done.stdout)


def rows(run: Path) -> Rows:
    """All candidates by number; a number that stands twice stands twice here."""
    lines = (run / "search" / "candidates.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    return sorted((one["number"], one["id"], one["value"], one["failure"]) for one in found)


def recorded(run: Path) -> int:
    path = run / "search" / "candidates.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def processes(run: Path) -> list[psutil.Process]:
    """Everything that works on a run, by its command line; the tuner's names the run in base 64."""
    found = []
    for process in psutil.process_iter():
        try:
            words, cwd = process.cmdline(), process.cwd()
        except psutil.Error:
            continue
        if process.status() != psutil.STATUS_ZOMBIE and (str(run) in " ".join(words) or cwd.startswith(str(run))):
            found.append(process)
    return found


def node(run: Path) -> psutil.Process | None:
    """The manager."""
    for process in processes(run):
        words = process.cmdline()
        if words and Path(words[0]).name == "node":
            return process
    return None


def workers(run: Path) -> list[psutil.Process]:
    """Trial processes, without their children and the shells that start them."""
    found = []
    for process in processes(run):
        words = process.cmdline()
        if len(words) == 3 and words[1].endswith("nasrec-trial"):
            found.append(process)
    return found


def until(what: Callable[[], Any], told: str, seconds: float = WAIT) -> Any:
    """The first true answer."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if found := what():
                return found
        except psutil.Error:
            pass
        time.sleep(0.05)
    raise Failed(f"waited {seconds:g} s in vain for {told}")


def play(kills: Sequence[Case], place: Path) -> str:
    """One search in which these kills happen one after another; what a kill ends is started again.

    Returns:
        Seconds until each kill and from it to its end, and of the resumed search.

    Raises:
        Failed: and why.
    """
    clock, told = Laps(), []
    run = place / "+".join(map(str, kills)).replace(":", "-")
    shutil.copytree(place / "base", run)
    command: subprocess.Popen[str] | None = None
    try:
        for kill in kills:
            command = command or start(place, run)
            victim, ports = strike(kill, command, run)
            killed = clock.lap()
            if kill.who == "worker" and kill is not kills[-1]:
                until(partial(_gone, victim), "the end of the worker")
            else:
                out, err = command.communicate(timeout=WAIT)
                check_end(kill, command.returncode, out, err)
                command = None
                until(lambda: not processes(run), f"the end of {[p.cmdline()[:4] for p in processes(run)]}", 60)
                if open_ports := [port for port in ports if listens(port)]:
                    raise Failed(f"port {open_ports} is still open")
            told.append(f"killed after {killed:5.1f} s, at its end after {clock.lap():5.1f} s more")
        nasrec(place, "search", run.name, "--workers", "2")
        until(lambda: not processes(run), "the end of all processes", 60)
        if rows(run) != rows(place / "door1"):
            raise Failed(f"other candidates than door 1: {rows(run)}")
    finally:
        if command is not None:
            command.kill()
            command.communicate()
        for process in processes(run):
            process.kill()
    shutil.rmtree(run)
    return f"{'; '.join(told)}; resumed in {clock.lap():5.1f} s"


def strike(kill: Case, command: subprocess.Popen[str], run: Path) -> tuple[psutil.Process, list[int]]:
    """Who was killed, and the manager's ports."""
    manager = until(lambda: node(run), "the manager")
    ports = [one.laddr.port for one in until(lambda: listening(manager), "its port")]
    until(lambda: recorded(run) >= RECORDED[kill.when] and workers(run), f"{kill.when} with a worker")
    victim = {"command": lambda: psutil.Process(command.pid), "manager": lambda: manager}.get(
        kill.who, lambda: until(lambda: workers(run), "a worker")[0]
    )()
    victim.send_signal(getattr(signal, f"SIG{kill.how}"))
    return victim, ports


def _gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


class Laps:
    """Seconds since the last look."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def lap(self) -> float:
        before, self._last = self._last, time.monotonic()
        return self._last - before


def start(place: Path, run: Path) -> subprocess.Popen[str]:
    words = [NASREC, "search", str(place / "c.yaml"), "--out", str(run), "--workers", "2", "--json"]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def check_end(case: Case, status: int, out: str, err: str) -> None:
    """How the command must end."""
    expected = {"command": {"TERM": 143, "KILL": -9}[case.how], "manager": 2, "worker": 0}[case.who]
    if status != expected:
        raise Failed(f"the command ended with {status}, not {expected}: {out[-600:]} {err[-600:]}")
    if case.who == "manager" and "the same command again" not in out:
        raise Failed(f"it does not say how to go on: {out}")


def listening(process: psutil.Process) -> list[Any]:
    connections = getattr(process, "net_connections", None) or process.connections
    return [one for one in connections(kind="tcp") if one.status == psutil.CONN_LISTEN]


def listens(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--case",
        action="append",
        metavar="WHO:SIGNAL:MOMENT",
        help="this one only; may be repeated, or several with commas",
    )
    parser.add_argument("--place", type=Path, help="folder to work in, kept; a temporary one if unset")
    return parser.parse_args()


def main() -> int:
    options = parse()
    named = [[Case(*one.split(":")) for one in text.split(",")] for text in options.case or []]
    cases = named or [[Case(who, how, when)] for who in WHO for how in SIGNALS for when in MOMENTS]
    with tempfile.TemporaryDirectory() as temporary:
        place = (options.place or Path(temporary)).resolve()
        if not (place / "door1").exists():
            make_place(place)
        faults = 0
        for case in cases:
            name = ",".join(map(str, case))
            try:
                print(f"{name:24} well     {play(case, place)}", flush=True)
            except Failed as fault:
                faults += 1
                print(f"{name:24} FAULT    {fault}", flush=True)
    print(f"{len(cases) - faults} of {len(cases)} cases well")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
