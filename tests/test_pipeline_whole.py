"""The whole way on a small log, by the installed command: figures, files, reruns, interrupts."""

from __future__ import annotations

import csv
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
import yaml
from sklearn.metrics import log_loss, roc_auc_score

from nasrec_nni.data.prepared import PreparedSet
from nasrec_nni.files import read_json, read_lines
from nasrec_nni.run_folder import RunFolder

COMMAND = str(Path(sys.executable).with_name("nasrec"))
BASELINES = ["lr", "dcnv2"]
SEEDS = [0, 3]
CONFIG: dict[str, Any] = {
    "seed": 1,
    "threads": 1,
    "device": "cpu",
    "data": {"source": "synthetic", "options": {"rows": 4000}},
    "space": {"blocks": 2, "dense_widths": [8, 16], "sparse_rows": [4, 8], "embedding": 8, "heads": 2},
    "supernet": {
        "recipe": {"preset": "bars", "batch": 128, "epochs": 1},
        "warmup": 0.1,
        "validate_every": 20,
        "validation_rows": 300,
        "checkpoint_every": 5,
    },
    "search": {"candidates": 12, "options": {"population": 5, "sample": 3}, "head_rows": 512, "in_flight": 2},
    "retrain": {
        "top_k": 2,
        "seeds": SEEDS,
        "baselines": BASELINES,
        "recipe": {"preset": "bars", "batch": 256, "epochs": 2},
    },
}


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1"}


def start(*words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [COMMAND, *map(str, words), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )


def nasrec(*words: object, status: int = 0) -> Any:
    """Run a command to its end; what it prints."""
    process = start(*words)
    out, err = process.communicate(timeout=300)
    assert process.returncode == status, out + err
    return json.loads(out)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "small.yaml"
    path.write_text(yaml.safe_dump(CONFIG))
    return path


@pytest.fixture(scope="module")
def finished(config: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, Any]:
    """One whole run and what it printed."""
    out = tmp_path_factory.mktemp("runs") / "run"
    return RunFolder(out), nasrec("run", config, "--out", out)


def trainings(folder: RunFolder) -> list[Path]:
    return sorted(path.parent for path in folder.retrain.glob("*/seed-*/trained.json"))


def test_all_stages_ran_and_left_their_files(finished: tuple[RunFolder, Any]) -> None:
    folder, told = finished
    assert [(stage["stage"], stage["state"]) for stage in told["stages"]] == [
        (name, "ran") for name in ("data", "supernet", "search", "retrain", "report")
    ]
    assert len(read_lines(folder.candidates)) == 12
    assert len(trainings(folder)) == (2 + len(BASELINES)) * len(SEEDS)
    assert (folder.supernet / "supernet.json").exists()
    assert list(folder.tensorboard.rglob("events.out.tfevents*"))
    assert {row["model"] for row in told["leaderboard"]} == {"nasrec-small-1", "nasrec-small-2", *BASELINES}


def test_figures_agree_with_a_recomputation_from_the_saved_predictions(finished: tuple[RunFolder, Any]) -> None:
    folder, told = finished
    prepared = PreparedSet.load(folder.data)
    labels = {
        "val": prepared.label[prepared.rows("val")],
        "test": prepared.label[np.load(folder.data / "split-test.npy")],
    }
    found: dict[str, dict[str, list[float]]] = {}
    for place in trainings(folder):
        name = read_json(place / "trained.json")["model"]
        mine = found.setdefault(name, {"val_log_loss": [], "test_log_loss": [], "test_auc": []})
        predictions = {split: np.load(place / f"{split}.npy") for split in labels}
        assert all(p.dtype == np.float64 and len(p) == len(labels[split]) for split, p in predictions.items())
        for split in labels:
            mine[f"{split}_log_loss"].append(log_loss(labels[split], predictions[split]))
        mine["test_auc"].append(roc_auc_score(labels["test"], predictions["test"]))
    with folder.leaderboard.open(newline="") as stream:
        rows = {row["model"]: row for row in csv.DictReader(stream)}
    for row in told["leaderboard"]:
        for key, values in found[row["model"]].items():
            assert row[key] == pytest.approx(fmean(values), abs=1e-12)
            assert float(rows[row["model"]][f"{key}_mean"]) == pytest.approx(fmean(values), abs=1e-12)
    order = sorted(found, key=lambda name: fmean(found[name]["val_log_loss"]))
    assert told["winner"] == order[0] == told["leaderboard"][0]["model"]
    assert read_json(folder.winner)["model"] == told["winner"]


def test_the_test_split_is_read_once_per_model_and_seed(finished: tuple[RunFolder, Any], config: Path) -> None:
    folder, _ = finished
    count = len(trainings(folder))
    assert folder.read_manifest()["test_reads"] == count
    written = {path: path.stat().st_mtime_ns for path in folder.retrain.rglob("*") if path.is_file()}
    again = nasrec("run", config, "--out", folder.path)
    assert [stage["state"] for stage in again["stages"]] == ["done before"] * 4 + ["ran"]
    assert folder.read_manifest()["test_reads"] == count
    assert written == {path: path.stat().st_mtime_ns for path in folder.retrain.rglob("*") if path.is_file()}


# What opens the test split, and the only modules that may say it.
DOORS = {
    ".test_rows(": {"pipeline/final.py"},
    "._split(": {"data/prepared.py"},
    "split-": {"data/prepared.py", "data/preparing/writing.py"},
}


@pytest.mark.parametrize("door", DOORS)
def test_only_the_final_step_can_open_the_test_split(door: str) -> None:
    names = ("nasrec_nni", "nasrec_nni.search_spaces", "nasrec_nni.strategies")  # the last two may lie elsewhere
    folders = {Path(path) for name in names for path in importlib.import_module(name).__path__}
    found = {
        path.relative_to(folder).as_posix()
        for folder in folders
        for path in folder.rglob("*.py")
        if door in path.read_text(encoding="utf-8")
    }
    assert found == DOORS[door]


def test_the_page_is_whole_and_needs_nothing_else(finished: tuple[RunFolder, Any]) -> None:
    class Reader(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.tags: list[str] = []
            self.links: list[str] = []
            self.text = ""

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.tags.append(tag)
            self.links += [value or "" for name, value in attrs if name in ("src", "href")]

        def handle_data(self, data: str) -> None:
            self.text += data

    folder, told = finished
    page = Reader()
    page.feed(folder.page.read_text(encoding="utf-8"))
    assert "table" in page.tags
    assert {"svg", "img"} & set(page.tags)
    assert all(link.startswith(("#", "data:")) for link in page.links)
    assert all(row["model"] in page.text for row in told["leaderboard"])


def test_manifest_and_inspect_say_where_it_came_from(finished: tuple[RunFolder, Any]) -> None:
    folder, _ = finished
    found = nasrec("inspect", folder.path)
    assert found["kind"] == "run"
    assert found["data_fingerprint"] == PreparedSet.load(folder.data).fingerprint
    assert [stage["state"] for stage in found["stages"]] == ["done"] * 4
    assert nasrec("inspect", folder.data)["rows"] == 4000
    assert yaml.safe_load(folder.config.read_text())["search"]["candidates"] == 12


def test_a_changed_config_is_refused_then_redone(finished: tuple[RunFolder, Any], config: Path) -> None:
    folder, _ = finished
    error = nasrec("run", config, "--out", folder.path, "retrain.seeds=[5]", status=2)["error"]
    assert "retrain.seeds" in error["message"]
    assert "--redo" in error["message"]
    assert yaml.safe_load(folder.config.read_text())["retrain"]["seeds"] == SEEDS


def test_the_copy_of_the_config_goes_on_from_any_folder(
    finished: tuple[RunFolder, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = finished
    monkeypatch.chdir(tmp_path)
    told = nasrec("run", folder.config, "--out", folder.path)
    assert [stage["state"] for stage in told["stages"]] == ["done before"] * 4 + ["ran"]


def test_report_again(finished: tuple[RunFolder, Any]) -> None:
    folder, told = finished
    before = folder.leaderboard.read_text()
    folder.leaderboard.unlink()
    assert nasrec("report", folder.path)["leaderboard"] == told["leaderboard"]
    assert folder.leaderboard.read_text() == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_so_and_goes_on(number: signal.Signals, config: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    words = ("supernet", config, "--out", folder.path, "supernet.recipe.epochs=3")
    process = start(*words)
    deadline = time.monotonic() + 120
    while not (folder.supernet / "checkpoint").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "no checkpoint after two minutes"
        time.sleep(0.01)
    assert process.poll() is None, "the work was over before the signal: make it longer"
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 128 + number, out + err
    assert json.loads(out)["error"]["signal"] == number.name
    assert "Traceback" not in err
    assert not (folder.supernet / "supernet.json").exists()
    assert nasrec(*words)["stages"][-1]["state"] == "ran"


def test_a_run_that_diverges_is_the_users_to_mend(config: Path, tmp_path: Path) -> None:
    process = start("run", config, "--out", tmp_path / "run", "supernet.recipe.learning_rate=1e30")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 2, out + err
    message = json.loads(out)["error"]["message"]
    assert "diverged" in message
    assert "learning_rate" in message
    assert "Traceback" not in err
    assert not (tmp_path / "run" / "supernet" / "supernet.json").exists()
    assert not (tmp_path / "run" / "search").exists()


def test_a_retraining_that_diverges_names_no_winner(
    finished: tuple[RunFolder, Any], config: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished[0].path, out)
    words = ("run", config, "--out", out, "--redo", "retrain.recipe.learning_rate=1e30")
    process = start(*words)
    shown, err = process.communicate(timeout=120)
    assert process.returncode == 2, shown + err
    assert "diverged" in json.loads(shown)["error"]["message"]
    assert not RunFolder(out).winner.exists()
