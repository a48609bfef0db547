"""A run with a time budget: what is decided, written down, repeated on resume and told. The clock stands still."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from nasrec_nni.cli import main
from nasrec_nni.config import Config
from nasrec_nni.config_file import load_config, parse_config
from nasrec_nni.data.prepare import prepare
from nasrec_nni.data.prepared import PreparedSet
from nasrec_nni.errors import UserError, UserErrors
from nasrec_nni.experiment.doors import choose
from nasrec_nni.files import read_json, read_lines
from nasrec_nni.pipeline import plan, run, staleness
from nasrec_nni.pipeline.budget import pace
from nasrec_nni.pipeline.budget.fewer import fewer_candidates, least_candidates
from nasrec_nni.pipeline.budget.pace import Pace, of_steps
from nasrec_nni.pipeline.budget.rounds import Rounds, by_seed
from nasrec_nni.pipeline.budget.time_budget import TimeBudget
from nasrec_nni.pipeline.models import Model
from nasrec_nni.pipeline.run import run_stages
from nasrec_nni.pipeline.speed import Speed
from nasrec_nni.run_folder import RunFolder
from nasrec_nni.strategies.one_shot.train import train_supernet

FAR = time.monotonic() + 1e7  # no deadline made from it is ever reached
CONFIG: dict[str, Any] = {
    "threads": 1,
    "device": "cpu",
    "budget": "200s",
    "data": {"prepared": "set"},
    "space": {"blocks": 2, "dense_widths": [8, 16], "sparse_rows": [4, 8], "embedding": 4, "heads": 2},
    "supernet": {"recipe": {"preset": "bars", "batch": 64, "epochs": 12}, "validation_rows": 50},
    "search": {"candidates": 200, "head_rows": 128, "score_rows": 100},
    "retrain": {
        "top_k": 2,
        "random": 1,
        "seeds": [0, 1],
        "baselines": ["lr"],
        "recipe": {"preset": "bars", "batch": 256, "epochs": 8, "schedule": "cosine"},
    },
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    prepare("synthetic", [], folder / "set", {"rows": 1000}, progress=False)
    (folder / "c.yaml").write_text(yaml.safe_dump(CONFIG))
    return folder


@pytest.fixture(autouse=True)
def still(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock stands, and every speed is given."""
    monkeypatch.chdir(place)
    monkeypatch.setattr(plan, "measure", lambda *_: Speed(1e-3, 1e-4))
    monkeypatch.setattr(plan, "fit_pass", lambda *_: 1e-3)
    monkeypatch.setattr(plan.Planner, "_searched_speed", lambda *_: Speed(1e-7, 1e-8))
    monkeypatch.setattr(pace, "supernet", lambda *_: Pace(2.0, 1.0))
    monkeypatch.setattr(pace, "candidates", lambda *_: Pace(1.0, 2.0))
    monkeypatch.setattr(pace, "training", lambda *_: (Pace(0.1, 4.0), True))
    monkeypatch.setattr(run, "TimeBudget", lambda config, folder, began: TimeBudget(config, folder, FAR, lambda: FAR))


@pytest.fixture(scope="module")
def whole(place: Path) -> dict[str, Any]:
    return {}


def finished(whole: dict[str, Any]) -> dict[str, Any]:
    """One whole run, made once."""
    if not whole:
        whole.update(run_stages(parse_config(CONFIG), Path("run"), "report", command="run", progress=False))
    return whole


def test_what_is_cut_is_written_down_recorded_and_told(whole: dict[str, Any]) -> None:
    told, folder = finished(whole), RunFolder(Path("run"))
    found = read_json(folder.budget)
    assert sum(found["split"].values()) == pytest.approx(200, abs=1)
    steps = found["decisions"]["supernet"]["changes"]["max_steps"]
    assert 50 <= steps < 12 * 12
    assert read_json(folder.supernet / "supernet.json")["training"]["steps"] == steps
    candidates = found["decisions"]["search"]["changes"]["candidates"]
    assert 8 <= candidates < 200
    assert len(read_lines(folder.candidates)) == candidates
    retrained = found["decisions"]["retrain"]["changes"]
    assert retrained["random"] == 0
    assert retrained["epochs"] < 8
    results = [read_json(path) for path in folder.retrain.glob("*/seed-*/result.json")]
    assert {one["epochs"] for one in results} == {retrained["epochs"]}
    manifest = folder.read_manifest()["budget"]
    assert manifest["seconds"] == 200
    assert set(manifest["stages"]) == set(staleness.STAGES)
    assert told["budget"] == manifest
    page = folder.page.read_text()
    assert "The run had a time budget of 3m20s" in page
    assert f"{steps} steps of 144" in page


def test_the_runs_own_config_says_what_was_done_and_the_run_is_done(
    whole: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    finished(whole)
    folder = RunFolder(Path("run"))
    resolved, found = load_config(folder.config), read_json(folder.budget)["decisions"]
    assert resolved.search.candidates == found["search"]["changes"]["candidates"]
    assert resolved.budget == 200
    for config in (parse_config(CONFIG), resolved):
        told = run_stages(config, Path("run"), "retrain", command="run", progress=False)
        assert [stage["state"] for stage in told["stages"]] == ["done before"] * 4
    assert main(["retrain", "c.yaml", "--out", "run", "budget=10m", "--json"]) == 0  # more time: what is done stands


def test_another_config_makes_stages_stale_and_redo_decides_anew(whole: dict[str, Any]) -> None:
    finished(whole)
    other = CONFIG | {"search": CONFIG["search"] | {"candidates": 150}}
    with pytest.raises(UserError, match="stale"):
        run_stages(parse_config(other), Path("run"), "search", command="run", progress=False)
    without = {key: value for key, value in CONFIG.items() if key != "budget"}
    with pytest.raises(UserError, match=r"max_steps: \d+ -> None"):
        run_stages(parse_config(without), Path("run"), "search", command="run", progress=False)


def test_a_stopped_run_repeats_its_decisions(monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run, "_supernet", stopped)
        with pytest.raises(KeyboardInterrupt):
            run_stages(parse_config(CONFIG), Path("stopped"), "supernet", command="run", progress=False)
    before = read_json(Path("stopped/budget.json"))["decisions"]["supernet"]
    monkeypatch.setattr(pace, "supernet", lambda *_: Pace(0.0, 0.01))  # all steps would fit now
    run_stages(parse_config(CONFIG), Path("stopped"), "supernet", command="run", progress=False)
    assert read_json(Path("stopped/budget.json"))["decisions"]["supernet"] == before
    steps = read_json(Path("stopped/supernet/supernet.json"))["training"]["steps"]
    assert steps == before["changes"]["max_steps"]


def test_time_used_before_counts(monkeypatch: pytest.MonkeyPatch, whole: dict[str, Any]) -> None:
    finished(whole)
    clock = [FAR]
    budget = TimeBudget(parse_config(CONFIG), RunFolder(Path("run")), FAR, lambda: clock[0])
    context = run.Context(parse_config(CONFIG), RunFolder(Path("run")), budget=budget)
    budget.begin(context, staleness.STAGES)
    before = budget.used
    assert before == pytest.approx(sum(budget.ledger.staged().values()), abs=0.1)
    assert before > 0
    clock[0] += 30
    assert budget.used == pytest.approx(before + 30)
    assert budget.left == pytest.approx(200 - before - 30)


def test_too_short_is_one_error_with_the_least_and_leaves_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    status = main(["run", "c.yaml", "--out", "short", "budget=2s"])
    told = capsys.readouterr().err
    assert status == 2
    assert "the time budget is too short for anything useful" in told
    assert "the least that works is about" in told
    assert not Path("short").exists()


def test_the_plan_tells_split_cuts_and_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "c.yaml", "--plan", "budget=20s"]) == 0
    told = capsys.readouterr().out
    assert "time budget 20s: data 0s, supernet" in told
    assert "cut of retrain: epochs" in told
    assert main(["run", "c.yaml", "--plan"]) == 0
    assert "time budget 3m20s" in capsys.readouterr().out


def test_the_clock_ends_a_training_behind_an_epoch_and_a_supernet_behind_a_step(tmp_path: Path) -> None:
    from nasrec_nni.baselines.lr import build
    from nasrec_nni.baselines.settings import BaselineSettings
    from nasrec_nni.training.fit import fit

    config, prepared = parse_config(CONFIG), PreparedSet.load("set")
    network = build(prepared.dense_width, prepared.rows_per_field, BaselineSettings())
    rows = {"train_rows": prepared.rows("train"), "val_rows": prepared.rows("val")}
    for _ in range(2):  # the second time it is read
        done = fit(network, prepared, config.retrain.recipe, seed=0, folder=tmp_path, progress=False, until=0.0, **rows)
        assert done.epochs == 1
    assert read_json(tmp_path / "result.json")["ended_early"] is True
    facts = train_supernet(config, prepared, tmp_path / "supernet", progress=False, until=0.0)
    assert (facts.training["steps"], facts.training["planned"]) == (1, 144)


def test_a_sweep_is_refused() -> None:
    with pytest.raises(UserErrors, match=r"budget and retrain\.sweep exclude each other"):
        parse_config(CONFIG | {"retrain": {"sweep": {"trials": 2}}})


def test_nnis_workers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="kept by a run in one process"):
        choose(parse_config(CONFIG), tmp_path, "search", 2)


def test_fewer_candidates_still_evolve() -> None:
    config = parse_config(CONFIG)  # 128 of 200 are the first, random ones
    assert fewer_candidates(config, 200) == {}
    assert fewer_candidates(config, 40) == {"candidates": 40, "options": {"population": 10}}
    small = parse_config(CONFIG | {"search": {"candidates": 90, "options": {"population": 12, "sample": 8}}})
    assert fewer_candidates(small, 60) == {"candidates": 60}
    assert fewer_candidates(small, 20) == {"candidates": 20, "options": {"population": 5, "sample": 2}}
    random = parse_config(CONFIG | {"search": {"candidates": 90, "algorithm": "random"}})
    assert fewer_candidates(random, 8) == {"candidates": 8}
    assert least_candidates(random) == 8
    assert least_candidates(parse_config(CONFIG | {"search": {"candidates": 3, "algorithm": "random"}})) == 3


@pytest.mark.parametrize("each", [0.001, 0.5])
def test_pace_is_what_a_step_takes_apart_from_the_start(each: float, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(pace.time, "monotonic", lambda: clock[0])
    ran: list[int] = []

    def train(steps: int) -> None:
        ran.append(steps)
        clock[0] += (7.0 if len(ran) == 1 else 2.0) + steps * each  # the first one loads libraries

    found = of_steps(train, 1000, 3.0)
    assert (found.start, found.each) == (pytest.approx(2.0), pytest.approx(each))
    assert max(ran) == min(pace.STEPS, max(3, int(3.0 / each)))


@dataclass
class Ledger:
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.notes.append(text)


class Budget:
    """What rounds ask of a budget."""

    def __init__(self, seconds: float) -> None:
        self.now, self.seconds, self.ledger = 0.0, seconds, Ledger()
        self.decided: dict[int, bool] = {}

    @property
    def left(self) -> float:
        return self.seconds - self.now

    def seed_decided(self, seed: int) -> bool | None:
        return self.decided.get(seed)

    def decide_seed(self, seed: int, goes_on: bool) -> None:
        self.decided[seed] = goes_on


class Quiet:
    def say(self, text: str) -> None: ...


def rounds(budget: Any, slower: float = 1.0) -> list[tuple[str, int, float]]:
    """Trainings of 10 and 30 seconds by three seeds, each `slower` than expected unless it is ended."""
    models = [Model("a", "a"), Model("b", "b")]
    wanted = by_seed([(model, seed) for model in models for seed in (5, 6, 7)])
    quiet: Any = Quiet()
    found = []
    going = Rounds(budget, quiet, wanted, {"a": 10.0, "b": 30.0}, 5.0)
    for model, seed, until in going:
        found.append((model.name, seed, until))
        seconds = {"a": 10.0, "b": 30.0}[model.folder] * slower
        budget.now = min(budget.now + seconds, max(until, budget.now))
        going.took(model, seconds)
    return found


def test_seeds_come_one_after_another_while_there_is_time() -> None:
    budget = Budget(5 + 85)
    assert [(name, seed) for name, seed, _ in rounds(budget)] == [("a", 5), ("b", 5), ("a", 6), ("b", 6)]
    assert budget.ledger.notes == ["There was time for 2 of the 3 seeds that were asked for."]
    assert budget.decided == {6: True, 7: False}


def test_a_slow_round_is_ended_in_proportion_and_no_further_one_begins() -> None:
    budget = Budget(5 + 40)
    found = rounds(budget, slower=3.0)
    assert [until for _, _, until in found] == [pytest.approx(10.0), pytest.approx(40.0)]
    assert budget.now == pytest.approx(40.0)


def test_a_round_that_was_decided_on_is_done() -> None:
    budget = Budget(5 + 40)
    budget.decided = {6: True, 7: False}
    assert [(name, seed) for name, seed, _ in rounds(budget)] == [("a", 5), ("b", 5), ("a", 6), ("b", 6)]


def test_a_config_is_needed_with_a_budget() -> None:
    with pytest.raises(AssertionError):
        TimeBudget(Config(), RunFolder(Path("run")), 0.0)
