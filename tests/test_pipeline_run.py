"""One small run on a prepared set: names of paths, random architectures, the winner, the test rows, an early end."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

from nasrec_nni.analysis.leaderboard import Result, standings
from nasrec_nni.architecture.json import to_json
from nasrec_nni.cli import main
from nasrec_nni.config_file import parse_config
from nasrec_nni.data.prepare import prepare
from nasrec_nni.data.prepared import PreparedSet
from nasrec_nni.errors import UserError
from nasrec_nni.files import read_json, write_json
from nasrec_nni.metrics import CLIP
from nasrec_nni.pipeline import page, run, staleness
from nasrec_nni.pipeline.context import Context
from nasrec_nni.pipeline.final import open_test
from nasrec_nni.pipeline.models import models
from nasrec_nni.pipeline.plan import plan
from nasrec_nni.pipeline.retrain import fix_winner
from nasrec_nni.pipeline.run import run_stages
from nasrec_nni.pipeline.space import describe, random_architectures
from nasrec_nni.run_folder import RunFolder

SEEDS = [0, 1]
CONFIG: dict[str, Any] = {
    "threads": 1,
    "device": "cpu",
    "data": {"prepared": "set"},
    "space": {
        "blocks": 1,
        "dense_widths": [8, 16],
        "sparse_rows": [4],
        "embedding": 4,
        "heads": 2,
        "dense_operators": ["fc"],
        "sparse_operators": ["efc"],
    },
    "supernet": {"recipe": {"preset": "bars", "batch": 128, "epochs": 1}, "validation_rows": 50},
    "search": {"candidates": 100, "options": {"population": 2, "sample": 2}, "head_rows": 128},
    "retrain": {
        "top_k": 1,
        "random": 2,
        "seeds": SEEDS,
        "baselines": ["lr"],
        "recipe": {"preset": "bars", "batch": 128, "epochs": 1},
    },
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a prepared set and a config that names it relatively."""
    folder = tmp_path_factory.mktemp("place")
    prepare("synthetic", [], folder / "set", {"rows": 1500}, progress=False)
    (folder / "c.yaml").write_text(yaml.safe_dump(CONFIG))
    return folder


@pytest.fixture(scope="module")
def finished(place: Path) -> tuple[RunFolder, Any]:
    """One whole run, and what it told."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        told = run_stages(parse_config(CONFIG), Path("run"), "report", command="run")
    return RunFolder(place / "run"), told


def nasrec(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    capsys.readouterr()
    status = main([*map(str, words), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert status == (2 if "error" in told else 0), told
    return told


def test_a_search_that_ends_early_says_so(finished: tuple[RunFolder, Any]) -> None:
    folder, told = finished
    search = next(stage for stage in told["stages"] if stage["stage"] == "search")
    assert search["exhausted"] is True
    assert 1 < search["candidates"] < 100
    assert "The search ended early" in folder.page.read_text()


def test_random_architectures_are_distinct_from_each_other_and_the_winners(finished: tuple[RunFolder, Any]) -> None:
    _, told = finished
    rows = [row for row in told["leaderboard"] if row["architecture"]]
    assert sorted(row["model"] for row in rows) == ["nasrec-small-1", "random-1", "random-2"]
    assert len({row["architecture"] for row in rows}) == 3
    assert not told["winner"].startswith("random")


def test_a_random_draw_that_is_a_winner_is_drawn_again(finished: tuple[RunFolder, Any]) -> None:
    folder, _ = finished
    context = Context(parse_config(CONFIG), folder)
    first = random_architectures(context.space, 0, 1)[0]
    (winner,) = (model for model in models(context) if model.name == "nasrec-small-1")
    again = random_architectures(context.space, 0, 2, {first.id, winner.folder})
    assert len({first.id, winner.folder} | {a.id for a in again}) == len({first.id, winner.folder}) + 2


def test_too_many_random_architectures_are_refused_before_any_work(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    for command in ("validate c.yaml", "run c.yaml --out many"):
        told = nasrec(capsys, *command.split(), "retrain.random=90")
        assert "retrain.random" in told["error"]["message"]
    assert not (place / "many").exists()


def test_the_verdict_counts_the_chance_of_test_rows(finished: tuple[RunFolder, Any]) -> None:
    folder, told = finished
    prepared = PreparedSet.load(folder.path.parent / "set")
    labels = prepared.label[prepared.test_rows()]
    by_name = {row["model"]: row for row in told["leaderboard"]}
    rival = "lr" if told["winner"] != "lr" else "nasrec-small-1"
    means = []
    for name in (told["winner"], rival):
        place = folder.retrain / (by_name[name]["architecture"] or name)
        found = [np.clip(np.load(place / f"seed-{seed}" / "test.npy"), CLIP, 1 - CLIP) for seed in SEEDS]
        means.append(np.mean([-(labels * np.log(p) + (1 - labels) * np.log(1 - p)) for p in found], axis=0))
    difference = means[0] - means[1]
    half = 1.959964 * difference.std(ddof=1) / len(difference) ** 0.5
    ends = (f"{difference.mean() + sign * half:+.4f}".replace("-", "−") for sign in (-1, 1))
    words = folder.page.read_text()
    assert f"{next(ends)} to {next(ends)} over {len(difference)} test rows" in words
    assert told["verdict"] in words


def test_the_prepared_set_may_be_named_otherwise_or_moved(
    finished: tuple[RunFolder, Any],
    place: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, told = finished
    assert yaml.safe_load(folder.config.read_text())["data"]["prepared"] == str(place / "set")
    monkeypatch.chdir(tmp_path)
    assert nasrec(capsys, "report", folder.path)["leaderboard"] == told["leaderboard"]
    shutil.copytree(place / "set", tmp_path / "moved")
    for name in (place / "set", "moved", place / "set"):
        again = nasrec(capsys, "run", place / "c.yaml", "--out", folder.path, f"data.prepared={name}")
        assert [stage["state"] for stage in again["stages"]] == ["done before"] * 4 + ["ran"]


def test_watching_another_way_makes_nothing_stale(
    finished: tuple[RunFolder, Any], place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    again = nasrec(capsys, "supernet", "c.yaml", "--out", "run", "supernet.validate_every=3")
    assert [stage["state"] for stage in again["stages"]] == ["done before"] * 2


def test_changed_weights_are_not_tested(finished: tuple[RunFolder, Any], place: Path, tmp_path: Path) -> None:
    shutil.copytree(finished[0].path, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    config = parse_config(CONFIG | {"data": {"prepared": str(place / "set")}})
    context = Context(config, folder, progress=False)
    wanted = [(model, 0) for model in models(context) if model.name == "lr"]
    target = folder.training("lr", 0)
    (target / "test.json").unlink()
    with (target / "model.safetensors").open("r+b") as stream:
        stream.seek(-1, 2)
        stream.write(b"\x55")
    before = folder.read_manifest()["test_reads"]
    with pytest.raises(UserError, match="do not match their hash"):
        open_test(context, wanted)
    assert folder.read_manifest()["test_reads"] == before
    assert not (target / "test.json").exists()


def test_a_random_architecture_never_wins_and_is_never_drawn_as_the_winner(tmp_path: Path) -> None:
    space = describe(parse_config(CONFIG).space)
    found, drawn = random_architectures(space, 0, 2)
    folder = RunFolder(tmp_path)
    results = [
        Result("random-1", drawn.id, 0, 0.1, None, None, None, None, 1, 1, 1, 1.0, random=True),
        Result("nasrec-small-1", found.id, 0, 0.2, None, None, None, None, 1, 1, 1, 1.0),
        Result("lr", None, 0, 0.3, None, None, None, None, 1, 1, 1, 1.0),
    ]
    for result, architecture in zip(results, (drawn, found, None), strict=True):
        name = result.architecture or result.model
        write_json(folder.training(name, 0) / "trained.json", asdict(result))
        if architecture is not None:
            write_json(folder.retrain / name / "architecture.json", to_json(architecture))
    assert fix_winner(folder)["model"] == read_json(folder.winner)["model"] == "nasrec-small-1"
    shown = page._best_searched(SimpleNamespace(folder=folder), standings(results))  # type: ignore[arg-type]
    assert shown is not None
    assert shown.id == found.id


def test_the_plan_counts_random_architectures_and_leaves_out_what_is_not_done(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    retrain = CONFIG["retrain"] | {"baselines": ["lr"]}
    whole = plan(parse_config(CONFIG))["stages"]
    assert [stage["stage"] for stage in whole] == ["data", "supernet", "search", "retrain", "all"]
    disks = []
    for changes in ({"random": 0}, {"random": 8}):
        config = parse_config(CONFIG | {"space": {}, "retrain": retrain | {"top_k": 0} | changes})
        stages = {stage["stage"]: stage for stage in plan(config)["stages"]}
        assert list(stages) == ["data", "retrain", "all"]
        disks.append(stages["retrain"]["disk_mib"])
    assert disks[1] == pytest.approx(9 * disks[0], rel=0.5)


def test_the_time_of_a_stopped_session_is_kept(place: Path) -> None:
    config = parse_config(CONFIG | {"data": {"prepared": str(place / "set")}})
    context = Context(config, RunFolder(place / "stopped"), progress=False)
    stage = staleness.stages(config, context.prepared.fingerprint)[0]

    def stopped(context: Context) -> dict[str, Any]:
        time.sleep(0.05)
        raise KeyboardInterrupt

    for number in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            run._one(context, stage, stopped)
        record = staleness.read_record(context.folder, "data")
        assert record is not None
        assert (record["state"], record["sessions"]) == ("started", number)
        assert record["seconds"] >= 0.05 * number


# ---- the lock ------------------------------------------------------------------------------------------------------

HOLD = """
import sys, time
from pathlib import Path
from nasrec_nni.run_folder import RunFolder
with RunFolder(Path(sys.argv[1])).locked("search"):
    print("locked", flush=True)
    time.sleep(60)
"""


def test_a_command_that_finds_the_run_locked_removes_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both find no folder; the other one has made and locked it when this one looks again."""
    monkeypatch.chdir(place)
    other: list[subprocess.Popen[str]] = []
    check_free = RunFolder.check_free

    def the_other_is_quicker(folder: RunFolder) -> None:
        check_free(folder)
        words = [sys.executable, "-I", "-c", HOLD, str(folder.path)]
        other.append(subprocess.Popen(words, stdout=subprocess.PIPE, text=True))
        assert other[0].stdout is not None
        assert other[0].stdout.readline() == "locked\n"
        (folder.path / "work.txt").write_text("of the other")

    monkeypatch.setattr(RunFolder, "check_free", the_other_is_quicker)
    try:
        assert "another command" in nasrec(capsys, "run", "c.yaml", "--out", "shared")["error"]["message"]
        assert (place / "shared" / "work.txt").read_text() == "of the other"
    finally:
        other[0].kill()
        other[0].wait()


@pytest.mark.parametrize("existed", [False, True])
def test_a_mistake_in_the_rows_leaves_nothing(
    existed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("log.csv").write_text("click,city\n" + "1,a\n0,b\n" * 30 + "2,a\n")
    Path("bad.yaml").write_text("data: {source: table, inputs: [log.csv], options: {label: click}}\n")
    if existed:
        Path("run").mkdir()
    assert "log.csv:62" in nasrec(capsys, "run", "bad.yaml", "--out", "run")["error"]["message"]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["bad.yaml", "log.csv", *(["run"] if existed else [])]
