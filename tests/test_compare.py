"""`nasrec compare`: figures agree with a recomputation from the saved predictions; what does not compare is refused."""

from __future__ import annotations

import csv
import json
import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from scipy.stats import norm, ttest_rel
from sklearn.metrics import log_loss as sklearn_loss

from nasrec_nni.analysis.comparison import Rows as NoRows
from nasrec_nni.analysis.comparison import RunFacts, compare, differing, dominated
from nasrec_nni.analysis.leaderboard import Result, standings
from nasrec_nni.cli import main
from nasrec_nni.data.prepared import PreparedSet
from nasrec_nni.files import write_json
from nasrec_nni.metrics import auc, calibration, log_loss
from nasrec_nni.run_folder import RunFolder

RESULT = Result("dlrm", None, 0, 0.31, 0.89, 0.313, 0.897, 1.01, 1000, 50, 5000, 63.0)
ARCHITECTURE = "0f3a5b7c9d1e2f30"
# Model: id of a searched architecture, how much noise it adds to the logit, live MACs.
MODELS: dict[str, tuple[str | None, float, int]] = {
    "dcnv2": (None, 1.0, 900),
    "mlp": (None, 1.6, 500),
    "nasrec-small-1": (ARCHITECTURE, 0.4, 700),
}
LOSSES = {"dcnv2": 0.312, "mlp": 0.32, "nasrec-small-1": 0.305}
Run = Callable[..., tuple[int, Any]]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("data")
    log, out = place / "clicks.csv", place / "set"
    rows = np.random.default_rng(0).integers(0, 4, (900, 2))
    log.write_text("click,a,b\n" + "".join(f"{int(a + b > 3)},{a},{'wxyz'[b]}\n" for a, b in rows))
    assert main(["prepare", str(log), "--source", "table", "--label", "click", "--out", str(out), "--json"]) == 0
    return out


def make_run(
    path: Path, prepared: Path, models: list[str], seeds: tuple[int, ...] = (0, 1, 2), **config: Any
) -> RunFolder:
    """A finished run, without the trainings: made-up predictions, true figures of them."""
    data = PreparedSet.load(prepared)
    labels = data.label[np.load(prepared / "split-test.npy")]
    folder = RunFolder(path)
    folder.update_manifest(data_fingerprint=data.fingerprint, test_reads=len(models) * len(seeds))
    content = {"data": {"prepared": str(prepared)}, "retrain": {"seeds": list(seeds)}} | config
    folder.config.write_text(yaml.safe_dump(content))
    record = {"stage": "retrain", "key": {}, "state": "done", "seconds": 2.0, "cpu_seconds": 3.0, "result": {}}
    write_json(folder.path / "stages" / "retrain.json", record)
    for model in models:
        name = model.partition("@")[0]
        architecture, noise, macs = MODELS[name]
        for seed in seeds:
            made = np.random.default_rng([len(model), *model.encode(), seed])
            logits = 2.0 * labels - 1.0 + made.normal(0, noise, len(labels))
            predictions = 1 / (1 + np.exp(-logits))
            target = folder.training(architecture or name, seed)
            result = replace(
                RESULT, model=name, architecture=architecture, seed=seed, live_macs=macs,
                val_log_loss=LOSSES[name] + seed / 1e4, test_log_loss=None, test_auc=None, calibration=None,
            )  # fmt: skip
            write_json(target / "trained.json", asdict(result))
            figures = {"test_log_loss": log_loss, "test_auc": auc, "calibration": calibration}
            write_json(target / "test.json", {key: figure(labels, predictions) for key, figure in figures.items()})
            np.save(target / "test.npy", predictions)
    write_json(folder.winner, {"model": models[0]})
    return folder


@pytest.fixture
def nasrec(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: object) -> tuple[int, Any]:
        status = main([*map(str, words), "--json"])
        return status, json.loads(capsys.readouterr().out)

    return run


@pytest.fixture(scope="module")
def runs(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Hand-made models alone, and a search with fewer seeds."""
    place = tmp_path_factory.mktemp("runs")
    make_run(place / "baselines", prepared, ["dcnv2", "mlp"])
    make_run(place / "small", prepared, ["nasrec-small-1", "mlp@other"], (1, 2), space={"blocks": 3})
    return place / "baselines", place / "small"


def losses(run: Path, name: str, seeds: tuple[int, ...], prepared: Path) -> NDArray[np.float64]:
    """`[seeds, rows]` log losses of the saved predictions."""
    labels = PreparedSet.load(prepared).label[np.load(prepared / "split-test.npy")]
    found = [np.load(run / "retrain" / name / f"seed-{seed}" / "test.npy") for seed in seeds]
    return np.array([-np.log(np.where(labels > 0.5, p, 1 - p)) for p in found])


def test_differences_agree_with_a_recomputation(runs: tuple[Path, Path], prepared: Path, nasrec: Run) -> None:
    status, found = nasrec("compare", *runs)
    assert status == 0
    assert found["reference"] == {"run": "baselines", "model": "dcnv2"}
    by_name = {(one["run"], one["model"]): one for one in found["models"]}
    assert list(by_name)[:2] == [("small", "nasrec-small-1"), ("baselines", "dcnv2")]
    winner = by_name["small", "nasrec-small-1"]
    seeds = (1, 2)  # those that both have
    ours = losses(runs[1], ARCHITECTURE, seeds, prepared)
    theirs = losses(runs[0], "dcnv2", seeds, prepared)
    expected = ttest_rel(ours.mean(1), theirs.mean(1)).confidence_interval(0.95)
    assert winner["difference"] == pytest.approx(float((ours - theirs).mean()))
    assert winner["over_seeds"] == pytest.approx([expected.low, expected.high])
    by_row = (ours - theirs).mean(0)
    interval = norm.interval(0.95, by_row.mean(), by_row.std(ddof=1) / len(by_row) ** 0.5)
    assert winner["over_rows"] == pytest.approx(list(interval))
    assert winner["within_noise"] is bool(expected.low <= 0 <= expected.high or interval[0] <= 0 <= interval[1])
    assert by_name["baselines", "dcnv2"]["difference"] is None
    labels = PreparedSet.load(prepared).label[np.load(prepared / "split-test.npy")]
    saved = [np.load(runs[0] / "retrain" / "dcnv2" / f"seed-{seed}" / "test.npy") for seed in range(3)]
    mean = np.mean([sklearn_loss(labels, predictions) for predictions in saved])
    assert by_name["baselines", "dcnv2"]["test_log_loss"] == pytest.approx(mean)
    (pair,) = found["pairs"]
    assert (pair["model"], pair["against"]) == ("dcnv2", "nasrec-small-1")
    assert pair["difference"] == pytest.approx(-winner["difference"])
    assert any("different seeds (baselines: 0, 1, 2; small: 1, 2)" in note for note in found["notes"])
    assert found["differs"]["space.blocks"] == {"baselines": None, "small": 3}
    assert not [key for key in found["differs"] if key.startswith("data.")]
    # mlp was trained in both runs, to other figures: two lines, told apart
    assert [one["model"] for one in found["models"]].count("mlp") == 2


def test_what_two_runs_trained_alike_is_one_line(prepared: Path, tmp_path: Path, nasrec: Run) -> None:
    for name in "ab":
        make_run(tmp_path / name, prepared, ["dcnv2", "mlp"])
    _, found = nasrec("compare", tmp_path / "a", tmp_path / "b")
    assert [(one["run"], one["model"]) for one in found["models"]] == [("a, b", "dcnv2"), ("a, b", "mlp")]
    assert found["pairs"] == []


def test_files(runs: tuple[Path, Path], tmp_path: Path, nasrec: Run, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for run in runs for path in run.rglob("*")}
    _, found = nasrec("compare", *runs, "--out", tmp_path / "both")
    assert before == {path: path.stat().st_mtime_ns for run in runs for path in run.rglob("*")}
    with Path(found["files"]["csv"]).open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["test_log_loss"]) for row in rows] == [one["test_log_loss"] for one in found["models"]]
    assert [row["over_rows_low"] for row in rows] == [
        str(one["over_rows"][0]) if one["over_rows"] else "" for one in found["models"]
    ]
    markdown = Path(found["files"]["markdown"]).read_text()
    assert markdown == found["table_markdown"]
    table = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(found["models"])
    assert {line.count("|") for line in table} == {11}
    assert main(["compare", *map(str, runs), "--markdown"]) == 0
    assert capsys.readouterr().out.strip() == markdown.strip()
    assert main(["compare", *map(str, runs)]) == 0
    assert found["verdict"] in capsys.readouterr().out


def test_the_page_of_the_docs(
    runs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commands of docs/compare.md, and the files that it names."""
    for run in runs:
        shutil.copytree(run, tmp_path / "runs" / run.name)
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[1] / "docs" / "compare.md").read_text(encoding="utf-8")
    commands = [shlex.split(line, comments=True)[1:] for line in page.splitlines() if line.startswith("nasrec ")]
    told = []
    for words in commands:
        assert main(words) == 0
        told.append(capsys.readouterr().out)
    in_terminal, with_files, markdown = told
    assert "best of each run, pair by pair" in in_terminal and "what differs in the configs" in in_terminal
    assert "comparison.csv" in with_files
    names = sorted(path.name for path in Path("comparison").iterdir())
    assert names == ["comparison.csv", "comparison.md", "index.html"]
    assert all(f"`{name}`" in page for name in names)
    assert Path("comparison/comparison.md").read_text().strip() == markdown.strip()


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_page_with_a_hostile_run(
    prepared: Path, tmp_path: Path, nasrec: Run, widths: Callable[[str, int], tuple[int, int]]
) -> None:
    hostile = "<img src=x onerror=y>|$x$ {{ 7*7 }}"
    make_run(tmp_path / "a", prepared, ["dcnv2", "mlp"])
    make_run(tmp_path / hostile, prepared, ["nasrec-small-1", "mlp@other"])
    status, found = nasrec("compare", tmp_path / "a", tmp_path / hostile, "--out", tmp_path / "out")
    assert status == 0
    html = Path(found["files"]["page"]).read_text()
    page = Tags(html)
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert all(value.startswith("#") for name, value in page.attributes if name in ("src", "href", "xlink:href"))
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {value[1:] for name, value in page.attributes if name == "href"} <= set(ids)
    assert not re.search(r"@import|url\((?!['\"]?#)", html)
    assert hostile in page.words
    assert found["verdict"] in " ".join(page.words.split())
    cells = [line.count("|") - line.count("\\|") for line in found["table_markdown"].splitlines() if "nasrec" in line]
    assert cells[0] == 11
    needed, given = widths(html, 390)
    assert (given, needed <= given) == (390, True)


def test_a_lost_prepared_set_leaves_the_rest(prepared: Path, tmp_path: Path, nasrec: Run) -> None:
    for name, models in (("a", ["dcnv2", "mlp"]), ("b", ["nasrec-small-1"])):
        folder = make_run(tmp_path / name, prepared, models)
        folder.config.write_text(folder.config.read_text().replace(str(prepared), str(tmp_path / "gone")))
    status, found = nasrec("compare", tmp_path / "a", tmp_path / "b")
    assert status == 0
    assert any("prepared set is not at hand" in note for note in found["notes"])
    assert all(one["over_rows"] is None for one in found["models"])
    assert found["models"][0]["over_seeds"] is not None


def test_what_does_not_compare_is_refused(runs: tuple[Path, Path], prepared: Path, tmp_path: Path, nasrec: Run) -> None:
    def refused(*words: object) -> dict[str, Any]:
        status, found = nasrec("compare", *words)
        assert status == 2
        error: dict[str, Any] = found["error"]
        return error

    first, second = runs
    other = make_run(tmp_path / "other", prepared, ["mlp"])
    other.update_manifest(data_fingerprint="feed")
    error = refused(first, other.path)
    assert "other" in error["message"] or "different rows or splits" in error["message"]
    assert "feed" in str(error)
    assert "two or more" in refused(first)["message"]
    assert "given twice" in refused(first, second, second.parent / "." / second.name)["message"]
    (tmp_path / "link").symlink_to(first)
    assert "given twice" in refused(first, tmp_path / "link")["message"]
    assert "not a run" in refused(first, prepared)["message"]
    assert "no such run" in refused(first, tmp_path / "nothing")["message"]
    untrained = make_run(tmp_path / "untrained", prepared, ["mlp"])
    (untrained.path / "stages" / "retrain.json").unlink()
    assert "not trained yet" in refused(first, untrained.path)["message"]
    assert "is a run" in refused(first, second, "--out", first)["message"]
    (tmp_path / "file").write_text("x")
    assert "is a file" in refused(first, second, "--out", tmp_path / "file")["message"]
    assert (tmp_path / "file").read_text() == "x"


def test_keys_that_differ() -> None:
    assert differing([{"a": 1, "b": [1]}, {"a": 1, "b": [2], "c": None}, {"a": 1, "b": [1], "c": 3}]) == {
        "b": ([1], [2], [1]),
        "c": (None, None, 3),
    }


def run_of(name: str, figures: list[tuple[int, float]]) -> RunFacts:
    results = [
        replace(RESULT, model=f"{name}-{at}", live_macs=macs, val_log_loss=loss, test_log_loss=loss)
        for at, (macs, loss) in enumerate(figures)
    ]
    return RunFacts(name, {}, tuple(standings(results)), (), 0, 0, {})


def test_the_share_that_a_run_dominates() -> None:
    """A box of one decade by one unit of loss: corners at (10, 1.0) and (100, 0.0)."""
    corners = run_of("a", [(10, 1.0), (100, 0.0)])
    middle = run_of("b", [(round(10**1.5), 0.5)])
    best = run_of("c", [(10, 0.0)])
    shares = dominated([run.table for run in (corners, middle)])
    assert shares == pytest.approx((0.0, 0.25), abs=0.01)
    assert dominated([run.table for run in (corners, middle, best)])[2] == pytest.approx(1.0)
    assert dominated([best.table, best.table]) == (0.0, 0.0)  # no box


def test_runs_without_a_hand_made_model_are_measured_against_the_winner() -> None:
    def searched(name: str, loss: float) -> RunFacts:
        result = replace(RESULT, model="net", architecture=name * 16, val_log_loss=loss, test_log_loss=loss)
        return RunFacts(name, {}, tuple(standings([result])), (), 0, 0, {})

    found = compare([searched("a", 0.4), searched("b", 0.3)], {"fingerprint": "f"}, [], NoRows())
    assert found.base.standing.model == "net (b)"
    assert found.verdict.winner is found.base.standing
    assert [entry.runs for entry in found.entries] == [("b",), ("a",)]
