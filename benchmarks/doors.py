"""What a door costs beyond the evaluation itself: door 1 in process, door 2 by NNI's workers.

    python benchmarks/doors.py                                # 500 candidates through each, 16 a trial
    python benchmarks/doors.py --candidates 64 --workers 2

A small run is made for the occasion, so that an evaluation takes hundredths of a second and the rest is seen.

- Door 1: seconds of the whole stage beyond those inside the evaluator, a candidate, imports and files included. And
  what of it is the search itself in a space of 7 blocks: asking, telling and a durable line, with nothing evaluated.
- A trial: both of its processes from start to end, with a stand-in for NNI's manager, beyond 16 evaluations as they
  are when all is loaded.
- Door 2: the command from start to end, with everything that it starts.

CPU seconds hold on a loaded machine too; wall seconds only on an idle one, so the load is told.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import Any

import yaml
from kill_matrix import CONFIG, NASREC, nasrec

BATCH, TRIALS = 16, 5
SECONDS = (0.1, 1.0, 5.0)  # of an evaluation, for the shares that are worked out


@dataclass(frozen=True)
class Spent:
    """Seconds by the clock, and of CPU."""

    wall: float
    cpu: float


class Clock:
    """What passes within a block: in this process, or in those that it starts and waits for."""

    def __init__(self, who: int = resource.RUSAGE_SELF) -> None:
        self._who = who
        self.spent = Spent(0.0, 0.0)

    def _now(self) -> tuple[float, float]:
        used = resource.getrusage(self._who)
        return time.perf_counter(), used.ru_utime + used.ru_stime

    def __enter__(self) -> Clock:
        self._began = self._now()
        return self

    def __exit__(self, *given: object) -> None:
        wall, cpu = self._now()
        self.spent = Spent(self.spent.wall + wall - self._began[0], self.spent.cpu + cpu - self._began[1])


def make(place: Path, candidates: int) -> None:
    """Data, config, and the same trained supernet for each door."""
    from nasrec_nni.data.prepare import prepare

    prepare("synthetic", [], place / "set", {"rows": 3000}, progress=False)
    search = {"candidates": candidates, "in_flight": 32, "options": {"population": 32, "sample": 8}, "head_rows": 512}
    space = {"blocks": 3, "dense_widths": [8, 16, 32], "sparse_rows": [4, 8], "embedding": 4, "heads": 2}
    config = CONFIG | {
        "data": {"prepared": str(place / "set")},
        "space": space,
        "search": search,
        "workers": {"batch": BATCH},
    }
    (place / "c.yaml").write_text(yaml.safe_dump(config))
    nasrec(place, "supernet", "one")
    for run in ("two", "trial"):
        shutil.copytree(place / "one", place / run)


def evaluations(path: Path) -> list[float]:
    """CPU seconds that each record says of itself."""
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return [record["facts"]["cpu_seconds"] for record in found if record["failure"] is None]


def door_one(place: Path) -> tuple[int, Spent, Spent]:
    """Candidates, the whole stage, and what of it was evaluation; the evaluator is loaded before the clock starts."""
    from nasrec_nni.config_file import load_config
    from nasrec_nni.pipeline.context import Context
    from nasrec_nni.pipeline.search import scorer, search
    from nasrec_nni.run_folder import RunFolder

    folder = RunFolder(place / "one")
    context = Context(load_config(folder.config), folder, progress=False)
    context.set_threads()
    loaded = scorer(context, [])
    inside, whole = Clock(), Clock()
    count = 0

    def timed(architecture: Any) -> Any:
        nonlocal count
        count += 1
        with inside:
            return loaded(architecture)

    with whole:
        search(context, lambda context, done: timed)
    return count, whole.spent, inside.spent


def search_alone(place: Path, candidates: int) -> Spent:
    """The search in NASRec-Full with nothing to evaluate, a candidate."""
    from nasrec_nni.config import SpaceConfig
    from nasrec_nni.files import append_line
    from nasrec_nni.pipeline.space import describe
    from nasrec_nni.strategies.search import Evaluation, run_search, start_search

    space = describe(SpaceConfig.model_validate({"name": "nasrec-full"}))
    search = start_search("regularized-evolution", space, 0, {}, candidates)

    def evaluate(architecture: Any) -> Evaluation:
        return Evaluation(float(int(architecture.id, 16)), 0)

    with Clock() as clock:
        run_search(
            search,
            evaluate,
            budget=candidates,
            in_flight=32,
            on_result=lambda record: append_line(place / "alone.jsonl", record.as_json()),
        )
    return Spent(clock.spent.wall / candidates, clock.spent.cpu / candidates)


class Manager(ThreadingHTTPServer):
    """As much of NNI's manager as a trial sees: hands out one batch, listens to the results."""

    def __init__(self, parameter: Any) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = json.dumps({"parameter": json.dumps({"parameter_id": 0, "parameters": parameter})}).encode()


class Handler(BaseHTTPRequestHandler):
    server: Manager

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(b"")

    def do_GET(self) -> None:
        self._answer(self.server.answer)

    def _answer(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *given: Any) -> None:
        """Nothing."""


def one_trial(place: Path) -> tuple[Spent, list[float]]:
    """A whole trial of the first 16 candidates, and the CPU seconds of its evaluations."""
    from nasrec_nni.architecture.json import from_json
    from nasrec_nni.experiment.batch import to_parameter
    from nasrec_nni.strategies.search import Ticket

    lines = (place / "one" / "search" / "candidates.jsonl").read_text().splitlines()[:BATCH]
    records = [json.loads(line) for line in lines]
    tickets = [Ticket(at, from_json(record["architecture"], "record")) for at, record in enumerate(records)]
    manager = Manager(to_parameter(tickets))
    threading.Thread(target=manager.serve_forever, daemon=True).start()
    channel = {"NNI_TRIAL_COMMAND_CHANNEL": f"http://127.0.0.1:{manager.server_port}/", "NNI_TRIAL_JOB_ID": "one"}
    scored = place / "trial" / "search" / "scored" / "one.jsonl"
    scored.unlink(missing_ok=True)
    words = [str(Path(NASREC).with_name("nasrec-trial")), str(place / "trial")]
    with Clock(resource.RUSAGE_CHILDREN) as clock:
        subprocess.run(words, check=True, capture_output=True, env=os.environ | channel)
    manager.shutdown()
    manager.server_close()
    return clock.spent, evaluations(scored)


def door_two(place: Path, workers: int) -> Spent:
    """The command with all that it starts."""
    words = [NASREC, "search", str(place / "c.yaml"), "--out", str(place / "two"), "--workers", str(workers), "--json"]
    with Clock(resource.RUSAGE_CHILDREN) as clock:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stdout + done.stderr)
    return clock.spent


def trials(run: Path) -> list[tuple[float, float]]:
    """Begin and end of each trial by the clock, from NNI's database."""
    base = next(path for path in (run / "search" / "nni").glob("*/db/nni.sqlite") if path.parts[-3] != "_latest")
    with sqlite3.connect(base) as database:
        rows = database.execute("select trialJobId, event, timestamp from TrialJobEvent").fetchall()
    begun = {trial: at / 1000 for trial, event, at in rows if event == "RUNNING"}
    return sorted((begun[trial], at / 1000) for trial, event, at in rows if event == "SUCCEEDED")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=500)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary).resolve()
        make(place, options.candidates)
        print(
            f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {options.candidates} candidates a door", flush=True
        )
        in_process = tell_door_one(place, options.candidates)
        trial = tell_trial(place)
        spent = door_two(place, options.workers)
        tell_door_two(place, options, spent, in_process, trial)
    return 0


def tell_door_one(place: Path, candidates: int) -> Spent:
    """Returns what it costs beyond the evaluation, a candidate."""
    alone = search_alone(place, candidates)
    count, whole, inside = door_one(place)
    beyond = Spent((whole.wall - inside.wall) / count, (whole.cpu - inside.cpu) / count)
    print(
        f"door 1: {1000 * beyond.cpu:.2f} CPU ms a candidate beyond {1000 * inside.cpu / count:.1f} of evaluation, "
        f"{1000 * beyond.wall:.2f} ms beyond {1000 * inside.wall / count:.1f} by the clock\n"
        f"        search alone in NASRec-Full: {1000 * alone.cpu:.2f} CPU ms a candidate, "
        f"{1000 * alone.wall:.2f} ms by the clock",
        flush=True,
    )
    return beyond


def tell_trial(place: Path) -> Spent:
    """Returns what a trial costs beyond the evaluations in it."""
    found = []
    for _ in range(TRIALS):
        spent, evaluated = one_trial(place)
        warm = len(evaluated) * median(evaluated)  # the first one loads more, which the trial pays for
        found.append(Spent(spent.wall - warm, spent.cpu - warm))
    spent = Spent(median(one.wall for one in found), median(one.cpu for one in found))
    print(
        f"a trial: {', '.join(f'{one.cpu:.2f}' for one in found)} CPU s beyond its {BATCH} evaluations, median "
        f"{spent.cpu:.2f}: {spent.cpu / BATCH:.3f} CPU s a candidate; {spent.wall / BATCH:.3f} s by the clock",
        flush=True,
    )
    return spent


def tell_door_two(place: Path, options: argparse.Namespace, spent: Spent, in_process: Spent, trial: Spent) -> None:
    evaluated = evaluations(place / "two" / "search" / "candidates.jsonl")
    total, count, workers = sum(evaluated), len(evaluated), options.workers
    times = trials(place / "two")
    at_work = sum(end - begin for begin, end in times)
    around = spent.wall - (times[-1][1] - times[0][0])
    between = max(0.0, (times[-1][1] - times[0][0]) * workers - at_work) / len(times)
    print(
        f"door 2, {workers} workers: {count} candidates, {total:.1f} CPU s of evaluation, in {len(times)} trials\n"
        f"        {spent.wall:.1f} s by the clock: {at_work / len(times):.2f} s a trial, {between:.2f} s between two "
        f"of a worker, {around:.1f} s before the first and after the last\n"
        f"        {spent.cpu:.1f} CPU s in all, {(spent.cpu - total) / count:.3f} a candidate beyond the evaluation, "
        f"share that is not evaluation {1 - total / spent.cpu:.1%}"
    )
    count, batches = 500, -(-500 // (BATCH * workers))
    idle = batches * (trial.cpu + between) + around
    print(
        f"worked out for {count} candidates, {workers} workers with a core each: {batches} trials after one another x "
        f"({trial.cpu:.2f} CPU s beyond the evaluations + {between:.2f} s between two) + {around:.1f} s = {idle:.0f} s"
    )
    for seconds in SECONDS:
        work, share = count * seconds / workers, in_process.cpu / (in_process.cpu + seconds)
        print(
            f"        evaluations of {seconds:g} s: {idle:.0f} / ({idle:.0f} + {work:.0f}) = "
            f"{idle / (idle + work):.1%} of the wall time is not evaluation; door 1: {share:.2%}"
        )


if __name__ == "__main__":
    sys.exit(main())
