"""Is a time budget kept? Wall seconds of whole runs through both doors, beside the budgets they were given.

    python benchmarks/time_budget.py                        # 3 minutes each: `nasrec run budget=3m`, NASRecClassifier
    python benchmarks/time_budget.py --budgets 60 180 600
    python benchmarks/time_budget.py --door run --json

Each run is a process of its own, and its seconds are from before its start to behind its end, as a person with a watch
sees them: Python, imports and exit are within. The work asked for takes far longer than the budget, so all that can be
cut is cut. On a machine that does other work too, read `load` beside the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from measure import machine

from nasrec_nni.cli.tables import table
from nasrec_nni.durations import written

DOORS = ("run", "classifier")
CONFIG: dict[str, Any] = {
    "seed": 0,
    "data": {"source": "synthetic"},
    "space": {"name": "nasrec-small", "blocks": 4, "dense_widths": [16, 32, 64, 128], "sparse_rows": [8, 16, 24]},
    "supernet": {"warmup": 0.05, "recipe": {"preset": "bars", "batch": 512, "epochs": 30, "learning_rate": 0.003}},
    "search": {"candidates": 2000, "options": {"population": 32, "sample": 8}, "head_rows": 16384},
    "retrain": {
        "top_k": 3,
        "seeds": [0, 1, 2, 3],
        "recipe": {"preset": "bars", "batch": 1024, "epochs": 30, "learning_rate": 0.003, "schedule": "cosine"},
    },
}
CLASSIFIER = """
import json, sys
import numpy, pandas
from nasrec_nni import NASRecClassifier

seconds, rows, threads = float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
random = numpy.random.default_rng(0)
frame = pandas.DataFrame({f"number {at}": random.normal(size=rows) for at in range(6)})
for at, size in enumerate((5, 20, 200, 2000)):
    frame[f"category {at}"] = random.integers(0, size, rows).astype(str)
odds = frame["number 0"] + (frame["category 0"].astype(int) - 2) * frame["number 1"]
label = random.random(rows) < 1 / (1 + numpy.exp(-odds))
model = NASRecClassifier(
    time_budget=seconds, candidates=2000, top_k=4, baselines=("dcnv2", "dlrm"), threads=threads, random_state=0,
    config={"supernet": {"recipe": {"epochs": 40}}, "retrain": {"recipe": {"epochs": 40}}},
)
model.fit(frame, label)
print(json.dumps(model.budget_))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--budgets", type=float, nargs="+", default=[180.0], help="seconds")
    parser.add_argument("--door", choices=DOORS, action="append", help="both if not given")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = [
        measured(door, seconds, options.rows, options.threads)
        for seconds in options.budgets
        for door in options.door or DOORS
    ]
    if options.json:
        print(json.dumps({"machine": machine(), "runs": found}))
        return
    print(machine())
    print(table([{key: value for key, value in one.items() if key != "budget_told"} for one in found]))


def measured(door: str, seconds: float, rows: int, threads: int) -> dict[str, Any]:
    """One run in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = _run(Path(folder), seconds, rows, threads) if door == "run" else _classifier(seconds, rows, threads)
        begin = time.monotonic()
        # Not in a checkout: `python -c` sees its source there, without the packages that setup.py puts into it.
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
        wall = time.monotonic() - begin
    if done.returncode:  # below 0 a signal, which leaves no words
        told = f"{done.stderr[-2000:]}\n{done.stdout[-2000:]}".strip()
        raise SystemExit(f"door {door} ended with {done.returncode} after {wall:.0f} s\n{told}")
    told = json.loads(done.stdout.strip().splitlines()[-1])
    budget = told.get("budget", told)
    return {
        "door": door,
        "budget_s": seconds,
        "wall_s": round(wall, 1),
        "of_budget": f"{wall / seconds:.1%}",
        **{f"{name}_s": value for name, value in budget["stages"].items()},
        "load": round(os.getloadavg()[1], 1),
        "budget_told": budget,
    }


def _run(folder: Path, seconds: float, rows: int, threads: int) -> list[str]:
    config = CONFIG | {"threads": threads, "data": {"source": "synthetic", "options": {"rows": rows}}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    nasrec = str(Path(sys.executable).with_name("nasrec"))
    words = [str(folder / "config.yaml"), "--out", str(folder / "run"), f"budget={written(seconds)}", "--json"]
    return [nasrec, "run", *words]


def _classifier(seconds: float, rows: int, threads: int) -> list[str]:
    return [sys.executable, "-W", "ignore", "-c", CLASSIFIER, str(seconds), str(rows), str(threads)]


if __name__ == "__main__":
    main()
