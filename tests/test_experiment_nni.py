"""NNI for real: doors 2 and 3 with two workers, 24 candidates in batches of 4, and candidates that misbehave.

Few starts, since each takes seconds; whatever was started is killed at the end, also of a test that failed.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from nasrec_nni.cli import main
from nasrec_nni.data.prepare import prepare
from nasrec_nni.experiment import door, rest
from nasrec_nni.experiment.batch import SHOWN
from nasrec_nni.experiment.launch import Plan, Running, running

BIN = Path(sys.executable).parent
MATRIX = Path(__file__).parents[1] / "benchmarks" / "kill_matrix.py"  # eighteen cases of one kill each
KILLS = "worker:KILL:begin,command:KILL:begin,manager:KILL:middle,command:TERM:middle"
WAIT = 300.0  # seconds, for a loaded machine
CONFIG: dict[str, Any] = {
    "threads": 1,
    "device": "cpu",
    "space": {"blocks": 2, "dense_widths": [8, 16], "sparse_rows": [4, 8], "embedding": 4, "heads": 2},
    "supernet": {"recipe": {"preset": "bars", "batch": 128, "epochs": 1}, "validation_rows": 50},
    "search": {"candidates": 24, "in_flight": 8, "options": {"population": 8, "sample": 4}, "head_rows": 512},
    "retrain": {"top_k": 1, "seeds": [0], "baselines": ["lr"], "recipe": {"preset": "bars", "batch": 256, "epochs": 1}},
    "workers": {"batch": 4, "candidate_seconds": 10, "candidate_memory_mib": 512},
}
# An objective plug-in that misbehaves for four candidates, told by their MACs.
FAULTY = """
import json, os, time
from dataclasses import dataclass
from nasrec_nni.analysis.objectives import Objective

@dataclass(frozen=True)
class Faulty(Objective):
    def value(self, figures):
        with open(os.environ["FAULTS"]) as stream:
            what = json.load(stream).get(str(figures.live_macs))
        if what == "raise":
            raise RuntimeError("broken operator")
        if what == "hang":
            time.sleep(3600)
        if what == "memory":
            import numpy as np
            np.ones(2**31, np.uint8)
        return float("nan") if what == "nan" else super().value(figures)

FAULTY = Faulty("faulty", True, "log_loss")
"""
REASONS = {
    "raise": "RuntimeError: broken operator",
    "hang": "it took longer than 10 seconds",
    "memory": "ArrayMemoryError|MemoryError",
    "nan": "the objective is nan",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A config, a run with a trained supernet, and `door1`: the search in this process."""
    folder = tmp_path_factory.mktemp("place").resolve()
    prepare("synthetic", [], folder / "set", {"rows": 3000}, progress=False)
    config = CONFIG | {"data": {"prepared": str(folder / "set")}}
    (folder / "c.yaml").write_text(yaml.safe_dump(config))
    nasrec("supernet", folder, "base")
    shutil.copytree(folder / "base", folder / "door1")
    nasrec("search", folder, "door1")
    yield folder
    for process in processes(folder):
        process.kill()


@pytest.fixture(scope="module")
def faulty(place: Path) -> dict[str, str]:
    """Environment in which the plug-in is installed; four of the first candidates fall ill."""
    plugin = place / "plugin"
    info = plugin / "faulty-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty\nVersion: 1.0\n")
    points = "[nasrec_nni.interface]\n1=faulty\n[nasrec_nni.objectives]\nfaulty=faulty:FAULTY\n"
    (info / "entry_points.txt").write_text(points)
    (plugin / "faulty.py").write_text(FAULTY)
    first = records(place / "door1")
    macs = [first[number]["live_macs"] for number in (0, 2, 5, 7)]  # two of each of the first two batches
    assert len(set(macs)) == 4
    (place / "faults.json").write_text(json.dumps(dict(zip(map(str, macs), REASONS, strict=True))))
    environment = os.environ | {"PYTHONPATH": str(plugin), "FAULTS": str(place / "faults.json")}
    shutil.copytree(place / "base", place / "ill1")
    nasrec("search", place, "ill1", "search.objective=faulty", "workers.isolate=true", environment=environment)
    return environment


def nasrec(verb: str, place: Path, run: str, *more: str, environment: dict[str, str] | None = None) -> Any:
    words = [str(BIN / "nasrec"), verb, str(place / "c.yaml"), "--out", str(place / run), "--json", *more]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=WAIT, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout) | {"stderr": done.stderr}


def records(run: Path) -> list[dict[str, Any]]:
    lines = (run / "search" / "candidates.jsonl").read_text().splitlines()
    return sorted(map(json.loads, lines), key=lambda record: record["number"])


def rows(run: Path) -> list[tuple[Any, ...]]:
    keys = ("number", "id", "value", "failure", "live_macs", "architecture")
    return [tuple(record[key] for key in keys) for record in records(run)]


def curves(run: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard shows of the search."""
    found = EventAccumulator(str(run / "tensorboard" / "search")).Reload()
    return {tag: [(one.step, one.value) for one in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def processes(place: Path) -> list[psutil.Process]:
    """Everything that works below a folder, by its command line or where it was started."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if str(place) in " ".join(process.cmdline()) or process.cwd().startswith(str(place)):
                found.append(process)
    return found


def until(what: Callable[[], Any], told: str, seconds: float = WAIT) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError, psutil.Error):
            if found := what():
                return found
        time.sleep(0.1)
    pytest.fail(f"waited {seconds:g} s in vain for {told}")


def listens(port: int, address: str = "127.0.0.1") -> bool:
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex((address, port)) == 0


def refuse_leftovers(place: Path, port: int) -> None:
    until(lambda: not processes(place), f"the end of {processes(place)}", 60)
    assert not listens(port)


def check_illnesses(place: Path, run: str) -> None:
    """Each kind of failure with its reason, and otherwise what door 1 found with the same illnesses."""
    found = records(place / run)
    for macs, kind in json.loads((place / "faults.json").read_text()).items():
        ill = [record for record in found if record["failure"] and re.search(REASONS[kind], record["failure"])]
        assert ill, (macs, kind, [record["failure"] for record in found])
    assert [record["failure"] is None for record in found].count(True) >= 12
    assert rows(place / run) == rows(place / "ill1")


def test_door_two_is_door_one_and_leaves_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[tuple[int, list[dict[str, Any]], list[Any]]] = []

    @contextlib.contextmanager
    def watched(plan: Plan) -> Iterator[Running]:
        with running(plan) as experiment:
            yield experiment
            connections = psutil.Process(experiment.process.pid).net_connections(kind="tcp")
            addresses = [one.laddr for one in connections if one.status == psutil.CONN_LISTEN]
            seen.append((experiment.port, rest.trials(experiment.port), addresses))

    monkeypatch.setattr(door, "running", watched)
    shutil.copytree(place / "base", place / "door2")
    status = main(["search", str(place / "c.yaml"), "--out", str(place / "door2"), "--workers", "2", "--json"])
    shown = capsys.readouterr()
    assert status == 0, shown.out + shown.err
    ((port, trials, addresses),) = seen
    assert {trial["status"] for trial in trials} == {"SUCCEEDED"}
    parameters = [json.loads(trial["hyperParameters"][0])["parameters"] for trial in trials]
    batches = [[candidate["number"] for candidate in parameter["candidates"]] for parameter in parameters]
    assert sorted(number for batch in batches for number in batch) == list(range(24))
    assert {len(batch) for batch in batches} <= {1, 2, 3, 4} and 4 in map(len, batches)  # a free worker does not wait
    shown_names = [[int(number) for number in re.split("[-,]", p[SHOWN]["batch"])] for p in parameters]
    assert [name[0] for name in shown_names] == [batch[0] for batch in batches]
    for trial, parameter in zip(trials, parameters, strict=True):  # the page shows of each what it did
        (metric,) = trial["finalMetricData"]
        figures = json.loads(json.loads(metric["data"]))
        assert figures["candidate"] in [candidate["number"] for candidate in parameter["candidates"]]
    assert [(address.ip, address.port) for address in addresses] == [("127.0.0.1", port)]
    assert f"http://127.0.0.1:{port}" in shown.err
    assert "NNI has no login" in shown.err
    assert rows(place / "door2") == rows(place / "door1")
    assert curves(place / "door2") == curves(place / "door1") != {}
    assert not list((place / "door2" / "search" / "scored").glob("*"))
    refuse_leftovers(place / "door2", port)


def test_whoever_is_killed_every_candidate_counts_once(place: Path) -> None:
    """Four kills of one search, one after another."""
    words = [sys.executable, str(MATRIX), "--place", str(place), "--case", KILLS]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=5 * WAIT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 of 1 cases well" in done.stdout


@pytest.mark.long
def test_door_two_survives_candidates_that_raise_hang_eat_memory_or_have_no_number(
    place: Path, faulty: dict[str, str]
) -> None:
    shutil.copytree(place / "base", place / "ill2")
    nasrec("search", place, "ill2", "search.objective=faulty", "--workers", "2", environment=faulty)
    check_illnesses(place, "ill2")
    until(lambda: not processes(place / "ill2"), "the end of all processes", 60)


@pytest.mark.long
def test_door_three_stopped_and_resumed_in_the_middle(place: Path, faulty: dict[str, str]) -> None:
    shutil.copytree(place / "base", place / "ill3")
    files = place / "files"
    words = ["--run", str(place / "ill3"), "--workers", "2", "search.objective=faulty"]
    told = subprocess.run(
        [str(BIN / "nasrec"), "nni-config", str(place / "c.yaml"), "--out", str(files), *words, "--json"],
        capture_output=True,
        text=True,
        check=False,
        env=faulty,
    )
    assert told.returncode == 0, told.stdout
    start = json.loads(told.stdout)["start"]
    environment = faulty | {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(place / "home")}

    def nnictl(command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command], capture_output=True, text=True, check=False, env=environment, timeout=WAIT
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    (place / "home").mkdir()
    port = free_port()
    try:
        identity = re.search(r"nnictl stop (\w+)", nnictl(f"{start} --port {port}"))
        assert identity is not None
        candidates = place / "ill3" / "search" / "candidates.jsonl"
        until(lambda: candidates.exists() and candidates.read_bytes().count(b"\n") >= 6, "six candidates")
        nnictl(f"nnictl stop {identity[1]}")
        refuse_leftovers(place / "ill3", port)
        half = candidates.read_bytes().count(b"\n")
        assert half < 24
        port = free_port()
        prefix = start.split(" nnictl ")[0]
        nnictl(f"{prefix} nnictl resume {identity[1]} --port {port}")
        until(lambda: rest.status(port) == "DONE", "the end of the search")
        for trial in rest.trials(port):  # a batch of which nothing came is told as failed
            if trial["status"] != "SUCCEEDED":
                (log,) = (place / "ill3").glob(
                    f"search/nni/{identity[1]}/*/*/trials/{trial['trialJobId']}/trial.stderr"
                )
                assert "every candidate of this batch failed" in log.read_text(), trial
        nnictl(f"nnictl stop {identity[1]}")
        refuse_leftovers(place / "ill3", port)
    finally:
        for process in processes(place / "ill3"):
            process.kill()
    check_illnesses(place, "ill3")
    # the stage is done: training from scratch goes on from it
    told_again = nasrec("search", place, "ill3", "search.objective=faulty", environment=faulty)
    assert told_again["stages"][-1]["state"] == "done before"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
