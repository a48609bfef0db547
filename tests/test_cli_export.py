"""export, predict, inspect and profile of a model by the command; the commands of docs/production.md run."""

from __future__ import annotations

import json
import random
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from nasrec_nni.cli import main
from nasrec_nni.cli.parser import verb_parser
from nasrec_nni.evaluation import latency

TEXT = (Path(__file__).parents[1] / "docs" / "production.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
COMMANDS = [
    line.partition("  #")[0].strip() for _, block in BLOCKS for line in block.splitlines() if line.startswith("nasrec ")
]
CONFIG = """
seed: 1
threads: 1
device: cpu
data: {source: table, inputs: [clicks.csv], options: {label: click, ignore: [row], numeric: [age]}}
space: {blocks: 2, dense_widths: [8, 16], sparse_rows: [4, 8], embedding: 8, heads: 2}
retrain: {top_k: 0, random: 1, seeds: [0, 1], baselines: [lr], recipe: {preset: bars, batch: 128, epochs: 1}}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a log, and a finished run of two models."""
    folder = tmp_path_factory.mktemp("production")
    generator = random.Random(0)
    lines = ["row,click,age,user,city\n"]
    for row in range(600):
        user = generator.randint(1, 50)
        cells = [f"r{row}", int(generator.random() < 0.2 + 0.5 * (user % 3 == 0)), generator.choice(["", "33", "51"])]
        lines.append(",".join(map(str, [*cells, f"u{user}", generator.choice(["Rome", "Oslo", ""])])) + "\n")
    (folder / "clicks.csv").write_text("".join(lines))
    (folder / "config.yaml").write_text(CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["run", "config.yaml", "--out", "runs/first", "--json"]) == 0
    return folder


def told(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    found = main([*words, "--json"])
    out, err = capsys.readouterr()
    assert found == status, out + err
    content: dict[str, Any] = json.loads(out)
    return content


def test_the_page_runs(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setattr(latency, "SECONDS", 0.0)
    monkeypatch.setattr(latency, "LEAST", 3)
    found = {command: told(capsys, *shlex.split(command)[1:]) for command in COMMANDS}
    assert len(found) == 6
    exported, lr, inspected, scored, onnx, profiled = found.values()
    assert exported["winner"] is True and exported["left_out"] == {}
    assert set(exported["checked"]) == {"onnx", "program"}
    assert (lr["name"], lr["seed"], lr["left_out"]) == ("lr", 0, {"program": "as asked for"})
    assert inspected["kind"] == "exported model" and inspected["winner_of_run"] is True
    assert scored["rows"] == scored["labelled_rows"] == 600
    assert (onnx["rows"], onnx["labelled_rows"], onnx["engine"]) == (600, 0, "onnx")
    cells = [(one["engine"], one["batch"]) for one in profiled["latency"]]
    assert cells == [(engine, batch) for batch in (1, 128, 4096) for engine in ("torch", "onnx")]
    assert all(0 < one["p50_ms"] <= one["p99_ms"] for one in profiled["latency"])
    scores = pq.read_table("scores.parquet").to_pandas()
    assert (scores["row"] == pd.read_csv("clicks.csv")["row"]).all()
    assert np.abs(pd.read_csv("scores.csv")["score"] - scores["score"]).max() < 1e-5
    frame = pd.read_csv("clicks.csv", dtype=str, keep_default_na=False)
    for code in (block for language, block in BLOCKS if language == "python"):
        names: dict[str, Any] = {"frame": frame}
        exec(code, names)  # the code under test
        assert np.abs(names["scores"] - scores["score"]).max() < 1e-5


def test_every_option_named_exists() -> None:
    known = {
        option
        for verb in ("export", "predict", "inspect", "profile")
        for action in verb_parser(verb)._actions
        for option in action.option_strings
    }
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", TEXT)) - known == set()


def test_a_searched_network_has_its_architecture_beside_it_and_scores_as_in_its_run(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    skip = ("--skip", "onnx", "--skip", "program")
    found = told(capsys, "export", "runs/first", "--out", "models/random", "--model", "random-1", *skip)
    assert found["winner"] is False and found["seed"] in (0, 1)
    losses = [
        json.loads((place / f"runs/first/retrain/{found['id']}/seed-{seed}/trained.json").read_text())["val_log_loss"]
        for seed in (0, 1)
    ]
    assert found["seed"] == int(np.argmin(losses))
    again = told(capsys, "export", "runs/first", "--out", "models/again", "--model", found["id"][:6], *skip)
    assert again["id"] == found["id"]
    drawn = told(capsys, "profile", "models/random/architecture.json", "--dense", "1", "--sparse", "2", "--heads", "2")
    assert drawn["id"] == found["id"]
    assert told(capsys, "inspect", "models/random")["live_macs"] is not None
    from nasrec_nni import PreparedSet, load_model

    prepared = PreparedSet.load("runs/first/data")
    val = np.load(f"runs/first/retrain/{found['id']}/seed-{found['seed']}/val.npy")
    rows = prepared.rows("val")
    scores = load_model("models/random").predict("clicks.csv")
    assert np.abs(scores[rows] - val).max() < 1e-6


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["export", "runs/first", "--out", "config.yaml"], "config.yaml: exists already"),
        (["export", "nothing", "--out", "m"], "nothing: no such run folder"),
        (["export", "runs/first", "--out", "m", "--model", "lrr"], "no such model in this run, got 'lrr'"),
        (["export", "runs/first", "--out", "m", "--seed", "7"], "was not trained with this seed, got 7"),
        (["export", "runs/first", "--out", "m", "--skip", "pickle"], "invalid choice"),
        (["predict", "runs/first", "clicks.csv", "--out", "s.csv"], "runs/first: not an exported model"),
        (["predict", "nothing", "clicks.csv", "--out", "s.csv"], "nothing: no such folder"),
        (["predict", "nothing", "clicks.csv", "--out", "s.xlsx"], "not a kind of file that is written"),
        (["profile", "runs/first", "--latency"], "runs/first: not an exported model"),
    ],
)
def test_a_mistake_is_one_error_and_leaves_nothing(
    words: list[str], message: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    before = sorted(path.name for path in place.iterdir())
    assert message in told(capsys, *words, status=2)["error"]["message"]
    assert sorted(path.name for path in place.iterdir()) == before


def test_changed_weights_of_a_run_are_not_exported(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    weights = place / "runs/first/retrain/lr/seed-1/model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    error = told(capsys, "export", "runs/first", "--out", "m", "--model", "lr", "--seed", "1", status=2)["error"]
    weights.write_bytes(whole)
    assert "the weights do not match their hash" in error["message"]


def test_without_the_extra_the_way_to_get_it_is_said(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    monkeypatch.chdir(place)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    error = told(capsys, "export", "runs/first", "--out", "m", status=2)["error"]
    assert "pip install 'nasrec-nni[export]'" in error["message"] and "--skip onnx" in error["message"]
    assert not (place / "m").exists()
