"""Examples for other machines: NNI's own schema takes them, and what is wrong in a user's file is told at once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from nni.experiment.config import ExperimentConfig

from nasrec_nni.errors import UserError
from nasrec_nni.experiment.config_files import start_command
from nasrec_nni.experiment.machines import placed, read

EXAMPLES = sorted((Path(__file__).parents[1] / "examples" / "nni").glob("*.yml"))
RUN = Path("/somewhere/a run")


def experiment(folder: Path) -> dict[str, Any]:
    """As `Plan.as_json` gives it."""
    (folder / "code").mkdir(exist_ok=True)
    return {
        "experimentName": "search run",
        "experimentWorkingDirectory": str(folder),
        "searchSpace": {"block1/dense_operator": {"_type": "choice", "_value": ["fc", "dp"]}},
        "trialCommand": "exec /here/nasrec-trial RUN",
        "trialCodeDirectory": str(folder / "code"),
        "trialConcurrency": 2,
        "tuner": {"className": "nasrec_nni.experiment.tuner.SearchTuner", "codeDirectory": str(folder / "code")},
        "trainingService": {"platform": "local"},
    }


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """NNI looks for the key file."""
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / ".ssh" / "id_ed25519"
    path.parent.mkdir()
    path.write_text("a key")
    return path


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_nni_takes_the_examples(example: Path, tmp_path: Path, key: Path) -> None:
    found = placed(experiment(tmp_path), read(example), RUN, str(example))
    canonical = ExperimentConfig(**found).canonical_copy().json()
    service = canonical["trainingService"]
    services = service if isinstance(service, list) else [service]
    assert {one["nniManagerIp"] for one in services if one["platform"] != "local"} == {found["nniManagerIp"]}
    commands = [one["trialCommand"] for one in services] + [r["command"] for one in services for r in roles(one)]
    assert any("nasrec-trial '/somewhere/a run'" in command for command in commands)
    assert "{run}" not in str(canonical)
    assert list((tmp_path / "code").iterdir())  # NNI cannot send an empty folder


def roles(service: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = service.get("taskRoles", [])
    return found


def test_the_examples_are_these_three() -> None:
    assert [path.stem for path in EXAMPLES] == ["hybrid", "kubernetes", "remote"]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_says_how_to_use_it_and_whether_it_was_run(example: Path) -> None:
    text = example.read_text()
    assert re.search(rf"^#   nasrec nni-config CONFIG .*--machines {example.name}$", text, re.MULTILINE)
    assert ("NOT RUN" in text) != ("Run for real by the tests" in text)


WRONG = [
    ("nniManagerIp: 10.0.0.1", "names no trainingService"),
    ("trainingService: {platform: remote}\ntunerr: 3", "unknown key, got 'tunerr'"),
    ("trainingService: {platform: remote, machineList: []}", "nniManagerIp"),
    ("trainingService: {platform: remote, machineList: []}\nnniManagerIp: 127.0.0.1", "nniManagerIp"),
    ("trainingService: {platform: remote, machineList: []}\nnniManagerIp: 10.0.0.1", "at least one machine"),
    ("trainingService: {platform: remoted}\nnniManagerIp: 10.0.0.1", "NNI refuses it"),
    ("trainingService: {platform: remote, machinelists: []}\nnniManagerIp: 10.0.0.1", "machinelists"),
    ("trainingService: {platform: remote, machineList: [{host: a, user: b}]}\nnniManagerIp: 10.0.0.1", "SSH key file"),
    (
        "trainingService: {platform: remote, machineList: [{host: a, user: b, password: c, port: 0}]}\nnniManagerIp: a",
        "does not say which",
    ),
    ("[", "cannot be read"),
]


@pytest.mark.parametrize(("text", "told"), WRONG)
def test_one_clear_error(text: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "machines.yml"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        placed(experiment(tmp_path), read(path), RUN, str(path))
    assert told in error.value.message
    assert str(path) in error.value.message


def test_no_such_file() -> None:
    with pytest.raises(UserError, match="No such file"):
        read(Path("absent.yml"))


def test_other_keys_of_the_experiment_stay(tmp_path: Path, key: Path) -> None:
    machines = yaml.safe_load(EXAMPLES[-1].read_text())
    found = placed(experiment(tmp_path), machines, RUN, "remote.yml")
    assert found.keys() == experiment(tmp_path).keys() | {"nniManagerIp"}
    assert found["tuner"] == experiment(tmp_path)["tuner"]


def test_the_start_command_opens_one_more_address_only_for_other_machines() -> None:
    assert "NASREC_HOSTS" not in start_command("e.yml")
    assert "remote.js" not in start_command("e.yml")
    started = start_command("e.yml", "10.0.0.1")
    assert "NASREC_LISTEN=127.0.0.1 NASREC_HOSTS=10.0.0.1 nnictl create" in started
    assert started.index("manager.js") < started.index("remote.js")
