"""The measuring instruments: logs are what they claim, figures are of the work alone, every benchmark runs small."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv

FOLDER = Path(__file__).parents[1] / "benchmarks"
COLUMNS = 40


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("log") / "growing.tsv"
    bench("logs.py", "growing", "--rows", 4000, "--distinct", 3_000_000, "--out", out)
    return out


def bench(script: str, *words: object) -> str:
    command = [sys.executable, str(FOLDER / script), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def read(log: Path) -> Any:
    names = [str(number) for number in range(COLUMNS)]
    options = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True)
    return csv.read_csv(log, csv.ReadOptions(column_names=names), csv.ParseOptions(delimiter="\t"), options)


def test_growing_log_is_what_its_facts_say(log: Path) -> None:
    table = read(log)
    facts = json.loads(log.with_name(f"{log.name}.json").read_text())
    categories = [table[str(number)] for number in range(14, COLUMNS)]
    distinct = sum(len(column.drop_null().unique()) for column in categories)
    assert facts == {"rows": 4000, "bytes": log.stat().st_size, "distinct": distinct}
    assert table.num_rows == 4000
    label = table["0"].cast(pa.int64()).to_numpy()
    assert 0.22 < label.mean() < 0.28
    integers = [table[str(number)].cast(pa.int64()) for number in range(1, 14)]
    assert sum(column.null_count for column in integers) > 0
    assert min(column.drop_null().to_numpy().min() for column in integers) < 0
    assert {len(value) for column in categories for value in column.unique().to_pylist() if value} == {8}
    assert any(column.null_count for column in categories)


def test_vocabulary_grows_and_a_shorter_log_is_the_beginning_of_a_longer_one(log: Path, tmp_path: Path) -> None:
    out = tmp_path / "short.tsv"
    short = json.loads(bench("logs.py", "growing", "--rows", 500, "--distinct", 3_000_000, "--out", out))
    assert log.read_bytes().startswith(out.read_bytes())
    facts = json.loads(log.with_name(f"{log.name}.json").read_text())
    assert 2 * short["distinct"] < facts["distinct"] < 8 * short["distinct"]


def test_replicated_log(log: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.tsv"
    cut.write_bytes(log.read_bytes().rstrip(b"\n"))
    out = tmp_path / "three.tsv"
    facts = json.loads(bench("logs.py", "replicated", "--file", cut, "--times", 3, "--out", out))
    assert out.read_bytes() == log.read_bytes() * 3
    assert facts["rows"] == 12_000


WORKS = """
import subprocess, sys, time
from pathlib import Path
from measure import child, in_child

def hold(mib, **_):
    return lambda: len(b"x" * (mib << 20))

def burn(**_):
    end = time.process_time() + 0.3
    while time.process_time() < end: pass
    return lambda: subprocess.run([sys.executable, "-c", "sum(range(10_000_000))"], check=True) and 1

def sleep(**_):
    return lambda: time.sleep(0.2) or 1

if __name__ == "__main__":
    if sys.argv[1] == "--child":
        child({"hold": hold, "burn": burn, "sleep": sleep}, sys.argv[2:])
    else:
        parent = b"x" * (300 << 20)  # must not be counted in the children
        me = Path(__file__)
        for name, given in (("hold", {"mib": 1}), ("hold", {"mib": 150}), ("burn", {}), ("sleep", {})):
            f = in_child(me, name, given)
            print(f.peak_mib, f.before_peak_mib, f.cpu_seconds, f.before_cpu_seconds, f.wall_seconds)
"""


def test_figures_are_of_the_child_and_its_work_alone(tmp_path: Path) -> None:
    script = tmp_path / "works.py"
    script.write_text(WORKS)
    environment = {"PYTHONPATH": str(FOLDER), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, str(script), "parent"], capture_output=True, text=True, env=environment, check=True
    )
    small, large, burn, sleep = (list(map(float, line.split())) for line in done.stdout.splitlines())
    assert small[0] < 100
    assert 150 < large[0] < small[0] + 160
    assert large[1] < 100
    assert burn[3] >= 0.3
    assert burn[2] > 0.05  # the child's child
    assert sleep[2] < 0.1 < 0.2 <= sleep[4]


def test_prepare_beside_peers(log: Path, tmp_path: Path) -> None:
    found = json.loads(bench("prepare.py", "--log", log, "--rounds", 1, "--work", tmp_path / "work", "--json"))
    assert len(found["medians"]) >= 5
    assert {figures["rows"] for figures in found["medians"].values()} == {4000}
    assert all(len(rounds) == 1 and rounds[0]["peak_mib"] > 20 for rounds in found["rounds"].values())
    facts = json.loads(log.with_name(f"{log.name}.json").read_text())
    assert found["medians"]["nasrec prepare"]["extra"]["distinct"] == facts["distinct"]
    assert list((tmp_path / "work").iterdir()) == []
    table = bench("prepare.py", "--log", log, "--rounds", 1, "--only", "to strings")
    assert "× ours" in table
    assert [line.split("  ")[0] for line in table.splitlines()[-2:]] == [
        "nasrec prepare",
        "limit: pyarrow.csv to strings",
    ]


def test_prepare_scaling(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = json.loads(bench("prepare_scaling.py", "--logs", tmp_path, "--rows", 3000, 1000, "--json"))
    assert [entry["figures"]["rows"] for entry in found["logs"]] == [1000, 3000]
    assert found["growth"]["bytes_per_row"] is not None
    monkeypatch.syspath_prepend(FOLDER)
    script = runpy.run_path(str(FOLDER / "prepare_scaling.py"))
    entries = [(script["LogFacts"](**e["log"]), script["Figures"](**e["figures"])) for e in found["logs"]]
    lines = script["words"](entries).splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["1,000", "3,000"]
    path, facts = script["log_of"](tmp_path, 4001, 0, log)
    assert path.stat().st_size == facts.bytes == 2 * log.stat().st_size
    assert facts.rows == 8000


def test_loader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("--rows", 2000, "--batch", 64, "--step-batch", 32, "--rounds", 1, "--steps", 1, "--work", tmp_path)
    found = json.loads(bench("loader.py", *words, "--json"))
    assert found["train_rows"] == 1600
    assert all(np.isfinite(rate) and rate > 0 for every in found["rates"].values() for rate in every["64"])
    assert len(found["rates"]) == 4
    assert [share["model"].split(",")[0] for share in found["shares"]] == ["DLRM", "NASRec-Small"]
    assert all(0 < share["share"] < 1 for share in found["shares"])
    assert list(tmp_path.iterdir()) == []
    monkeypatch.syspath_prepend(FOLDER)
    table = runpy.run_path(str(FOLDER / "loader.py"))["words"](found, 1)
    assert "Batches, global shuffle" in table
    assert "NASRec-Small" in table


@pytest.mark.long
def test_predict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("--rows", 1500, "--rounds", 1, "--blocks", 2, "--work", tmp_path)
    found = json.loads(bench("predict.py", *words, "--json"))
    assert [line["figures"]["rows"] for line in found["lines"]] == [1500] * 6
    (torch_auc, onnx_auc) = (
        [line["figures"]["extra"]["auc"] for line in found["lines"] if line["work"] == f"predict, {engine}"]
        for engine in ("torch", "onnx")
    )
    assert np.allclose(torch_auc, onnx_auc, atol=1e-5)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.syspath_prepend(FOLDER)
    table = runpy.run_path(str(FOLDER / "predict.py"))["words"](found)
    assert "predict, onnx NASRec-Small" in table
