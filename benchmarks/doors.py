"""What a door costs beyond the evaluation itself: door 1 in process, door 2 by NNI's workers.

    python benchmarks/doors.py                       # door 1, and door 2 with 16 candidates a trial
    python benchmarks/doors.py --candidates 64 --workers 2

A small run is made for the occasion, so that an evaluation takes hundredths of a second. Evaluation is the CPU time
that each record says of itself. Door 1: wall seconds of the stage beyond it, a candidate (loading the supernet apart).
Door 2: CPU and wall seconds that a whole trial takes beyond the evaluations in it, a candidate. CPU seconds hold on a
loaded machine too; wall seconds only on an idle one, so the load is told.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from kill_matrix import CONFIG, NASREC, nasrec


def make(place: Path, candidates: int) -> None:
    from nasrec_nni.data.prepare import prepare

    prepare("synthetic", [], place / "set", {"rows": 3000}, progress=False)
    search = {"candidates": candidates, "in_flight": 32, "options": {"population": 16, "sample": 8}, "head_rows": 512}
    config = CONFIG | {"data": {"prepared": str(place / "set")}, "search": search, "workers": {"batch": 16}}
    (place / "c.yaml").write_text(yaml.safe_dump(config))
    for run in ("one", "two"):
        nasrec(place, "supernet", run)


def evaluations(run: Path) -> list[float]:
    lines = (run / "search" / "candidates.jsonl").read_text().splitlines()
    return [json.loads(line)["facts"]["cpu_seconds"] for line in lines]


def door_one(place: Path) -> dict[str, Any]:
    """Measured in this process: the loop of the stage, with the evaluator loaded before the clock starts."""
    from nasrec_nni.config_file import load_config
    from nasrec_nni.pipeline.context import Context
    from nasrec_nni.pipeline.search import scorer, search
    from nasrec_nni.run_folder import RunFolder

    folder = RunFolder(place / "one")
    context = Context(load_config(folder.config), folder, progress=False)
    context.set_threads()
    done: list[Any] = []
    loaded = scorer(context, done)
    inside: list[float] = []

    def timed(architecture: Any) -> Any:
        began = time.perf_counter()
        try:
            return loaded(architecture)
        finally:
            inside.append(time.perf_counter() - began)

    began = time.perf_counter()
    search(context, lambda context, done: timed)
    wall = time.perf_counter() - began
    return {
        "candidates": len(inside),
        "evaluation": sum(inside) / len(inside),
        "beyond": (wall - sum(inside)) / len(inside),
    }


def door_two(place: Path, workers: int) -> dict[str, Any]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    words = [NASREC, "search", str(place / "c.yaml"), "--out", str(place / "two"), "--workers", str(workers), "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stdout + done.stderr)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = evaluations(place / "two")
    return {
        "candidates": len(spent),
        "wall": wall,
        "cpu_of_all": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "evaluation": sum(spent) / len(spent),
        "trials": trials(place / "two"),
    }


def trials(run: Path) -> list[float]:
    """Wall seconds of each trial, from NNI's database: begin of its process to its end."""
    import sqlite3

    base = next(path for path in (run / "search" / "nni").glob("*/db/nni.sqlite") if path.parts[-3] != "_latest")
    with sqlite3.connect(base) as database:
        rows = database.execute("select trialJobId, data from TrialJobEvent where event = 'SUCCEEDED'").fetchall()
    found = []
    for _, text in rows:
        detail = json.loads(text) if text else {}
        if "startTime" in detail and "endTime" in detail:
            found.append((detail["endTime"] - detail["startTime"]) / 1000)
    return found


def trial_cpu(place: Path) -> float:
    """CPU seconds of starting a worker: both of its processes up to the first candidate, which fails at once."""
    code = """
import sys
from pathlib import Path
from nasrec_nni.config import WorkersConfig
from nasrec_nni.experiment.supervisor import Supervisor
import nasrec_nni.experiment.trial
with Supervisor(Path(sys.argv[1]), WorkersConfig()) as supervisor:
    supervisor._wait_until_ready()
"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code, str(place / "two")], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=64)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary).resolve()
        make(place, options.candidates)
        one = door_one(place)
        cpu = min(trial_cpu(place) for _ in range(3))
        load = os.getloadavg()[0]
        two = door_two(place, options.workers)
    each = two["evaluation"]
    print(f"{os.cpu_count()} cores, load {load:.1f} before door 2")
    print(f"door 1: {1000 * one['beyond']:.2f} ms a candidate beyond {1000 * one['evaluation']:.1f} ms of evaluation")
    print(f"door 2: starting a worker takes {cpu:.2f} CPU seconds, {cpu / 16:.3f} a candidate at 16 a trial")
    beyond = [(seconds - 16 * each) / 16 for seconds in two["trials"]]
    print(
        f"door 2: trials took {', '.join(f'{seconds:.1f}' for seconds in two['trials'])} s by the clock, "
        f"{sorted(beyond)[len(beyond) // 2]:.3f} s a candidate beyond the evaluation (median)"
    )
    print(
        f"door 2, {options.workers} workers: {two['wall']:.1f} s in all for {two['candidates']} candidates, "
        f"{two['wall'] / two['candidates'] - each / options.workers:.3f} s a candidate beyond the evaluation, "
        "start and end of NNI included"
    )
    for seconds in (0.1, 1.0, 5.0):
        total = 500 * seconds / options.workers
        share = 500 * cpu / 16 / options.workers
        print(
            f"at 500 candidates of {seconds:g} s each (extrapolated): "
            f"door 1 {one['beyond'] / (one['beyond'] + seconds):.2%}, door 2 {share / (share + total):.1%} "
            "of the wall time is not evaluation, if a worker has a core"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
