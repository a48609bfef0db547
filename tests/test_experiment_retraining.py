"""`nasrec retrain --workers`: NNI for real, and what it trains is what one process trains, to the last bit."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from nasrec_nni.cli import main
from nasrec_nni.data.prepare import prepare
from nasrec_nni.experiment import rest, retraining
from nasrec_nni.experiment.launch import Plan, Running, running

CONFIG: dict[str, Any] = {
    "threads": 1,
    "device": "cpu",
    "space": {"blocks": 2, "dense_widths": [8], "sparse_rows": [4], "embedding": 4, "heads": 2},
    "supernet": {"recipe": {"preset": "bars", "batch": 256, "epochs": 1}, "validation_rows": 50},
    "search": {"candidates": 3, "options": {"population": 2, "sample": 2}, "head_rows": 256},
    "retrain": {
        "top_k": 1,
        "seeds": [0, 1],
        "baselines": [],
        "recipe": {"preset": "bars", "batch": 256, "epochs": 1},
    },
}
BY_THE_CLOCK = ("train_cpu_seconds", "time")


def nasrec(verb: str, run: str, *more: str) -> None:
    assert main([verb, "c.yaml", "--out", run, "--json", *more]) == 0


def results(run: Path) -> dict[str, dict[str, Any]]:
    """All that training left behind, but for what a clock gives."""
    found = [path for path in run.rglob("*.json") if path.name in ("trained.json", "test.json", "winner.json")]
    return {
        str(path.relative_to(run)): {
            key: value for key, value in json.loads(path.read_text()).items() if key not in BY_THE_CLOCK
        }
        for path in sorted(found)
    }


def works_below(place: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and str(place) in " ".join(process.cmdline()):
                found.append(process)
    return found


def test_workers_train_what_one_process_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[tuple[int, list[dict[str, Any]]]] = []

    @contextlib.contextmanager
    def watched(plan: Plan) -> Iterator[Running]:
        with running(plan) as experiment:
            yield experiment
            seen.append((experiment.port, rest.trials(experiment.port)))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(retraining, "running", watched)
    prepare("synthetic", [], tmp_path / "set", {"rows": 1500}, progress=False)
    Path("c.yaml").write_text(yaml.safe_dump(CONFIG | {"data": {"prepared": "set"}}))
    nasrec("search", "one")
    shutil.copytree("one", "many")
    nasrec("retrain", "one")
    capsys.readouterr()
    nasrec("retrain", "many", "--workers", "2")
    told = json.loads(capsys.readouterr().out)
    assert told["stages"][-1]["trained"] == 2
    ((port, trials),) = seen
    assert [trial["status"] for trial in trials] == ["SUCCEEDED"] * 2
    asked = [json.loads(trial["hyperParameters"][0])["parameters"] for trial in trials]
    expected = results(tmp_path / "one")
    trained = {name: one for name, one in expected.items() if name.endswith("trained.json")}
    assert len(trained) == 2
    assert {(one["model"], one["seed"]) for one in asked} == {(one["model"], one["seed"]) for one in trained.values()}
    for trial, parameter in zip(trials, asked, strict=True):  # the page says of each what it reached
        figures = json.loads(json.loads(trial["finalMetricData"][0]["data"]))
        (result,) = (o for o in trained.values() if (o["model"], o["seed"]) == (parameter["model"], parameter["seed"]))
        assert figures["default"] == result["val_log_loss"]
    assert results(tmp_path / "many") == expected
    assert not works_below(tmp_path)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
