"""A recipe for each model: what may vary, the sequence of trials, stops, what is chosen, what becomes stale."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from math import log
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from nasrec_nni.cli import main
from nasrec_nni.config import Recipe
from nasrec_nni.config_file import parse_config
from nasrec_nni.data.prepare import prepare
from nasrec_nni.data.prepared import PreparedSet
from nasrec_nni.errors import UserError, UserErrors
from nasrec_nni.files import append_line, fingerprint, read_json
from nasrec_nni.pipeline import staleness
from nasrec_nni.pipeline.check import check
from nasrec_nni.pipeline.plan import plan
from nasrec_nni.pipeline.run import run_stages
from nasrec_nni.pipeline.sweep import trials
from nasrec_nni.pipeline.sweep.proposals import STARTUP, proposal
from nasrec_nni.pipeline.sweep.space import DEFAULTS, changed, dimensions
from nasrec_nni.pipeline.sweep.trials import Trial
from nasrec_nni.run_folder import RunFolder
from nasrec_nni.training.keeper import Diverged

fitting = import_module("nasrec_nni.training.fit")  # not the function of that name
BARS = Recipe.model_validate("bars")
SPACE = {"learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}, "batch": [64, 128]}
CONFIG: dict[str, Any] = {
    "threads": 1,
    "device": "cpu",
    "data": {"prepared": "set"},
    "space": {
        "blocks": 1,
        "dense_widths": [8],
        "sparse_rows": [4],
        "embedding": 4,
        "heads": 2,
        "dense_operators": ["fc"],
        "sparse_operators": ["efc"],
    },
    "supernet": {"recipe": {"preset": "bars", "batch": 128, "epochs": 1}, "validation_rows": 50},
    "search": {"candidates": 3, "options": {"population": 2, "sample": 2}, "head_rows": 128},
    "retrain": {
        "top_k": 1,
        "seeds": [0, 1],
        "baselines": ["lr", "fm"],
        "recipe": {"preset": "bars", "batch": 128, "epochs": 1},
        "sweep": {"trials": 3, "space": SPACE},
    },
}


# ---- what may vary -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", ["bars", "published"])
def test_every_default_can_be_drawn(preset: str) -> None:
    recipe = Recipe.model_validate(preset)
    found = dimensions({}, recipe)
    assert [one.key for one in found] == list(DEFAULTS[recipe.optimizer])
    for one in found:
        for end in one.ends():
            assert getattr(changed(recipe, {one.key: end}), one.key) == end
    assert next(one for one in found if one.key == "learning_rate").holds(recipe.learning_rate)


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({"learning_rat": [0.1, 0.2]}, "Did you mean 'learning_rate'?"),
        ({"preset": ["bars", "published"]}, "cannot be swept"),
        ({"monitor": ["auc", "log_loss"]}, "cannot be swept"),
        ({"dropout": 0.1}, "neither a list nor a range"),
        ({"dropout": {"low": 0.1}}, "neither a list nor a range"),
        ({"dropout": {"low": 0.1, "high": 0.2, "step": 0.1}}, "neither a list nor a range"),
        ({"dropout": {"low": 0.2, "high": 0.1}}, "low below high"),
        ({"dropout": {"low": 0, "high": 0.1, "log": True}}, "a number above 0"),
        ({"dropout": {"low": 0, "high": 0.1, "log": "yes"}}, "true, false"),
        ({"dropout": {"low": 0, "high": 1}}, "retrain.sweep.space.dropout.high"),
        ({"dropout": [0.1]}, "two values or more"),
        ({"dropout": [0.1, 0.1]}, "two values or more"),
        ({"dropout": [0.1, -1]}, "got -1"),
        ({"optimizer": {"low": "adam", "high": "adagrad"}}, "a list of values"),
        ({"optimizer": ["adam", "sgd"]}, "got 'sgd'"),
        ({"batch": [64, 1.5]}, "got 1.5"),
    ],
)
def test_a_space_that_cannot_be_is_a_users_mistake(space: dict[str, Any], words: str) -> None:
    with pytest.raises(UserErrors) as caught:
        dimensions(space, BARS)
    assert words in caught.value.message
    assert caught.value.message.startswith("retrain.sweep.space.")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sweep": {"space": {"a": 1, "b": 2}}}, "space.b: no key of a recipe"),
        ({"sweep": {"seed": 1}}, "not in retrain.seeds"),
    ],
)
def test_validate_tells_every_mistake(changes: dict[str, Any], words: str) -> None:
    config = parse_config({"retrain": {"recipe": "bars", "baselines": []} | changes})
    with pytest.raises(UserErrors) as caught:
        check(config)
    assert words in caught.value.message


def test_a_budget_and_a_sweep_do_not_go_together() -> None:
    with pytest.raises(UserError, match=r"exclude each other.*leave one of them away"):
        parse_config({"budget": "10m", "retrain": {"sweep": {}}})


@pytest.mark.parametrize("count", [1, 0, True])
def test_one_trial_is_no_sweep(count: Any) -> None:
    with pytest.raises(UserError, match="trials"):
        parse_config({"retrain": {"sweep": {"trials": count}}})


# ---- the sequence ------------------------------------------------------------------------------------------------


def sequence(count: int, seed: int, loss: Callable[[dict[str, Any]], float | None], recipe: Recipe = BARS) -> list[Any]:
    space, done = dimensions(SPACE, recipe), list[Trial]()
    for number in range(1, count + 1):
        values = proposal(space, recipe, done, seed)
        done.append(Trial(number, values, loss(values)))
    return done


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cut=st.integers(1, 7))
def test_a_sweep_goes_on_as_it_would_have(seed: int, cut: int) -> None:
    """A proposal is a function of seed and stored trials alone: JSON there and back changes nothing."""
    whole = sequence(8, seed, lambda values: abs(values["learning_rate"] - 0.01))
    stored = [Trial(**json.loads(json.dumps(vars(trial)))) for trial in whole[:cut]]
    assert proposal(dimensions(SPACE, BARS), BARS, stored, seed) == whole[cut].recipe
    for trial in whole[1:]:
        assert 1e-4 <= trial.recipe["learning_rate"] <= 1e-1
        assert trial.recipe["batch"] in (64, 128)
        changed(BARS, trial.recipe)


def test_the_first_trial_is_the_recipe_as_it_stands() -> None:
    assert sequence(1, 3, lambda _: 1.0)[0].recipe == {"learning_rate": BARS.learning_rate, "batch": BARS.batch}


def test_models_begin_alike_and_then_follow_their_own_results() -> None:
    near = sequence(14, 5, lambda values: abs(values["learning_rate"] - 0.05))
    far = sequence(14, 5, lambda values: abs(values["learning_rate"] - 0.0002))
    assert [trial.recipe for trial in near[:STARTUP]] == [trial.recipe for trial in far[:STARTUP]]
    assert [trial.recipe for trial in near] != [trial.recipe for trial in far]
    later = [fmean(log(trial.recipe["learning_rate"]) for trial in run[STARTUP:]) for run in (near, far)]
    assert later[0] > later[1] + 1


def test_failed_trials_and_an_outlandish_recipe_teach_nothing() -> None:
    outside = changed(BARS, {"learning_rate": 0.5, "batch": 77})
    found = sequence(9, 1, lambda values: None if values["learning_rate"] > 0.05 else values["learning_rate"], outside)
    assert found[0].recipe == {"learning_rate": 0.5, "batch": 77}
    assert len(found) == 9


@given(losses=st.lists(st.one_of(st.none(), st.sampled_from([0.1, 0.2, 0.3])), max_size=8))
def test_the_best_is_the_first_of_the_lowest(losses: list[float | None]) -> None:
    done = [Trial(number, {}, loss) for number, loss in enumerate(losses, 1)]
    found, known = trials.best(done), [loss for loss in losses if loss is not None]
    assert (found is None) == (not known)
    if found is not None:
        assert (found.val_log_loss, found.number) == (min(known), losses.index(min(known)) + 1)


# ---- a run -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    prepare("synthetic", [], folder / "set", {"rows": 1500}, progress=False)
    (folder / "c.yaml").write_text(yaml.safe_dump(CONFIG))
    return folder


@pytest.fixture(scope="module")
def finished(place: Path) -> tuple[RunFolder, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        told = run_stages(parse_config(CONFIG), Path("run"), "report", command="run", progress=False)
    return RunFolder(place / "run"), told


def names(folder: RunFolder) -> list[str]:
    return sorted(path.name for path in folder.sweep.iterdir())


def test_every_model_has_the_same_number_of_trials(finished: tuple[RunFolder, Any]) -> None:
    folder, told = finished
    searched = next(line["architecture"] for line in told["leaderboard"] if line["architecture"])
    assert names(folder) == sorted(["fm", "lr", searched])
    for name in names(folder):
        done = trials.read(folder, name)
        assert [trial.number for trial in done] == [1, 2, 3]
        assert done[0].recipe == {"learning_rate": 1e-3, "batch": 128}
        assert sorted(path.name for path in (folder.sweep / name).iterdir()) == ["trials.jsonl"]
    record = staleness.read_record(folder, "sweep")
    assert record is not None
    assert record["result"] == {"models": 3, "trials": 9, "trials_each": 3}
    assert [line["stage"] for line in told["stages"]] == ["data", "supernet", "search", "sweep", "retrain", "report"]


def test_the_final_trainings_have_the_models_own_recipes(finished: tuple[RunFolder, Any]) -> None:
    folder, told = finished
    config = parse_config(CONFIG)
    for name in names(folder):
        chosen = trials.best(trials.read(folder, name))
        assert chosen is not None
        recipe = changed(config.retrain.recipe, chosen.recipe)
        for seed in (0, 1):
            result = read_json(folder.training(name, seed) / "result.json")
            assert result["identity"]["recipe"] == fingerprint(recipe.model_dump(mode="json"))
            trained = read_json(folder.training(name, seed) / "trained.json")
            assert (trained["trials"], trained["recipe"]) == (3, trials.words(chosen.recipe))
    assert folder.read_manifest()["test_reads"] == 6
    assert folder.read_manifest()["seeds"]["sweep"] == 100
    assert all(line["trials"] == 3 and "learning_rate" in line["recipe"] for line in told["leaderboard"])
    assert "trials,recipe" in folder.leaderboard.read_text().splitlines()[0]
    assert "best of 3 trials by validation log loss" in folder.page.read_text()


def test_the_same_command_does_nothing_again(
    finished: tuple[RunFolder, Any], place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    assert main(["retrain", "c.yaml", "--out", "run", "--json"]) == 0
    stages = json.loads(capsys.readouterr().out)["stages"]
    assert {stage["state"] for stage in stages} == {"done before"}
    assert main(["inspect", "run", "--json"]) == 0
    assert [stage["stage"] for stage in json.loads(capsys.readouterr().out)["stages"]] == list(staleness.ALL)


HAND_MADE = CONFIG | {"retrain": CONFIG["retrain"] | {"top_k": 0, "baselines": ["lr"]}}


def test_a_stopped_sweep_goes_on_and_the_test_split_stays_closed(
    finished: tuple[RunFolder, Any], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped within a training, and between its end and its line; nothing is tried twice or in another order."""
    monkeypatch.chdir(place)
    config, folder = parse_config(HAND_MADE), RunFolder(place / "stopped")
    fit, keep = fitting.fit, trials.keep

    def no_test(self: PreparedSet) -> Any:
        raise AssertionError("the test split was opened")

    def stopped_fit(*values: Any, **more: Any) -> Any:
        raise KeyboardInterrupt

    def stopped_keep(*values: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(PreparedSet, "test_rows", no_test)
    lengths = []
    for patched in (("fit", stopped_fit), ("keep", stopped_keep), ("none", None), ("keep", stopped_keep)):
        with monkeypatch.context() as patch:
            name, other = patched
            if name == "fit":
                patch.setattr(fitting, "fit", other)
            elif name == "keep":
                patch.setattr(trials, "keep", other)
            else:  # one more trial is kept, then stopped

                def one(run: RunFolder, model: str, trial: Trial) -> None:
                    keep(run, model, trial)
                    raise KeyboardInterrupt

                patch.setattr(trials, "keep", one)
            with pytest.raises(KeyboardInterrupt):
                run_stages(config, folder.path, "retrain", command="retrain", progress=False)
            lengths.append(len(trials.read(folder, "lr")))
    assert lengths == [0, 0, 1, 1]
    assert fitting.fit is fit
    with pytest.raises(AssertionError, match="was opened"):  # by the final step, behind the sweep
        run_stages(config, folder.path, "retrain", command="retrain", progress=False)
    whole = trials.read(finished[0], "lr")
    figures = [(trial.recipe, trial.val_log_loss, trial.val_auc, trial.epochs) for trial in trials.read(folder, "lr")]
    assert figures == [(trial.recipe, trial.val_log_loss, trial.val_auc, trial.epochs) for trial in whole]


def test_a_training_that_diverges_is_a_failed_trial(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    fit, called = fitting.fit, list[float]()

    def sometimes(network: Any, prepared: Any, recipe: Recipe, **more: Any) -> Any:
        called.append(recipe.learning_rate)
        if len(called) == 2:
            raise Diverged("the training diverged: loss is nan")
        return fit(network, prepared, recipe, **more)

    monkeypatch.setattr(fitting, "fit", sometimes)
    run_stages(parse_config(HAND_MADE), Path("diverged"), "retrain", command="retrain", progress=False)
    done = trials.read(RunFolder(place / "diverged"), "lr")
    assert [trial.failure for trial in done] == [None, "the training diverged: loss is nan", None]
    assert [trial.recipe for trial in done[:2]] == [
        trial.recipe for trial in sequence(2, 100, lambda _: 1.0, changed(BARS, {"batch": 128}))
    ]


def test_a_model_without_any_result_stops_the_run(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)

    def never(*values: Any, **more: Any) -> Any:
        raise Diverged("the training diverged: loss is nan")

    monkeypatch.setattr(fitting, "fit", never)
    with pytest.raises(UserError, match="every trial of lr failed"):
        run_stages(parse_config(HAND_MADE), Path("never"), "retrain", command="retrain", progress=False)


def test_broken_trials_are_told_with_their_line(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    append_line(folder.trials("lr"), {"number": 2, "recipe": {}, "val_log_loss": 0.1})
    with pytest.raises(UserError, match=r"trials.jsonl:1: trials are not in order"):
        trials.read(folder, "lr")
    folder.trials("lr").write_text('{"what": 1}\n')
    with pytest.raises(UserError, match=r"trials.jsonl:1: not a trial"):
        trials.read(folder, "lr")


def test_nothing_is_trained_before_the_trials_are_done(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has 0 of 3 trials"):
        trials.recipe_of(parse_config(CONFIG), RunFolder(tmp_path), "lr")


# ---- what becomes stale, and what it will cost -------------------------------------------------------------------


def of_sweep(**retrain: Any) -> dict[str, staleness.Stage]:
    config = parse_config({"retrain": {"recipe": "bars", "sweep": {}} | retrain})
    return {one.name: one for one in staleness.stages(config)}


@pytest.mark.parametrize(
    ("changes", "stale"),
    [
        ({"seeds": [7]}, ["retrain"]),
        ({"sweep": {"trials": 9}}, ["sweep", "retrain"]),
        ({"baselines": ["lr"]}, ["sweep", "retrain"]),
        ({"sweep": {"space": DEFAULTS["adam"]}}, []),
        ({"sweep": {"seed": 8}}, ["sweep", "retrain"]),
        ({"recipe": {"preset": "bars", "epochs": 2}}, ["sweep", "retrain"]),
    ],
)
def test_what_a_change_makes_stale(tmp_path: Path, changes: dict[str, Any], stale: list[str]) -> None:
    folder = RunFolder(tmp_path / "run")
    for one in of_sweep().values():
        staleness.start(folder, one)
        staleness.finish(folder, one, staleness.Clock(), {})
    states = {name: staleness.state(folder, one) for name, one in of_sweep(**changes).items()}
    assert [name for name, state in states.items() if state == "stale"] == stale


def test_configs_without_a_sweep_are_what_they_were() -> None:
    config = parse_config({"retrain": {"recipe": "bars"}})
    assert [one.name for one in staleness.stages(config)] == list(staleness.STAGES)
    assert "sweep" not in config.model_dump()["retrain"]
    assert "sweep" not in staleness.stages(config)[-1].key["retrain"]


def test_a_plan_has_the_sweep(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    found = {stage["stage"]: stage for stage in plan(parse_config(HAND_MADE))["stages"]}
    assert list(found) == ["data", "sweep", "retrain", "all"]
    assert found["sweep"]["seconds"] == pytest.approx(found["retrain"]["seconds"] * 3 / 2, rel=0.1, abs=0.2)
