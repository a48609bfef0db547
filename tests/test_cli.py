"""The command line is a contract: exit status, one JSON object, words on stderr, help for every verb."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nasrec_nni.cli import main
from nasrec_nni.cli.verbs import VERBS, load
from nasrec_nni.plugins import GROUPS

PUBLISHED = Path(__file__).with_name("published")
COMMAND = Path(sys.executable).with_name("nasrec")
Run = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def nasrec(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command; status, what `--json` prints, stderr."""

    def run(*words: object) -> tuple[int, Any, str]:
        status = main([*map(str, words), "--json"])
        out, err = capsys.readouterr()
        assert out.count("\n") == 1
        return status, json.loads(out), err

    return run


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["--help"], ["help"]):
        assert main(words) == 0
        out = capsys.readouterr().out
        assert all(f"  {verb} " in out for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_and_json(verb: str, nasrec: Run) -> None:
    status, found, _ = nasrec(verb, "--help")
    assert status == 0
    assert "--json" in found["help"]
    assert f"nasrec {verb}" in found["help"]
    assert all(hasattr(load(verb), name) for name in ("arguments", "run", "words"))


def test_inspect_tells_people_the_same_as_json(nasrec: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, out = tmp_path / "clicks.csv", tmp_path / "set"
    log.write_text("click,age,city\n" + "".join(f"{row % 2},{20 + row % 9},{'abcd'[row % 4]}\n" for row in range(60)))
    assert nasrec("prepare", log, "--source", "table", "--label", "click", "--out", out)[0] == 0
    _, found, _ = nasrec("inspect", out)
    assert main(["inspect", str(out)]) == 0
    shown = capsys.readouterr().out
    told = [
        found["fingerprint"],
        *found["warnings"],
        *(column[key] for column in found["columns"] for key in ("column", "role", "reason")),
    ]
    assert [text for text in told if text not in shown] == []
    assert found["notes"]
    own = [note for note in found["notes"] if not note.startswith(("age: ", "city: "))]  # those are in the lines
    assert [note for note in own if note not in shown] == []
    assert own


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == "0.1.0"


def test_profile_of_a_published_network(nasrec: Run) -> None:
    status, found, _ = nasrec("profile", PUBLISHED / "criteo_autoctr.json", "--dense", 13, "--sparse", 26)
    assert status == 0
    figures = {key: found[key] for key in ("live_macs", "all_macs", "live_parameters", "all_parameters")}
    assert all(isinstance(value, int) and value > 0 for value in figures.values())
    assert figures["live_macs"] <= figures["all_macs"]
    assert main(["profile", str(PUBLISHED / "criteo_autoctr.json"), "--dense", "13", "--sparse", "26"]) == 0


def test_layer_norm_and_embedding_reach_the_profile(nasrec: Run) -> None:
    words = ("profile", PUBLISHED / "avazu_xlarge.json", "--dense", 1, "--sparse", 23)
    plain = nasrec(*words)[1]["all_parameters"]
    assert nasrec(*words, "--layer-norm")[1]["all_parameters"] != plain
    assert nasrec(*words, "--embedding", 32)[1]["all_parameters"] != plain


@pytest.mark.parametrize("group", GROUPS)
def test_ls_tells_package_and_problem(group: str, nasrec: Run) -> None:
    status, found, _ = nasrec("ls", group)
    assert status == 0
    assert found["items"]
    for item in found["items"]:
        assert item["package"] == "nasrec-nni"
        assert item["problem"] is None


def test_ls_and_cp_of_examples(nasrec: Run, tmp_path: Path) -> None:
    names = [item["name"] for item in nasrec("ls", "examples")[1]["items"]]
    assert "quickstart" in names
    out = tmp_path / "mine.yaml"
    assert nasrec("cp", "quickstart", "--out", out)[0] == 0
    assert nasrec("validate", out)[1]["valid"]


def test_inspect_an_architecture(nasrec: Run) -> None:
    status, found, _ = nasrec("inspect", PUBLISHED / "criteo_xlarge.json")
    assert status == 0
    assert found["space"] == "nasrec-full"
    assert len(found["blocks"]) == 7


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_draw(suffix: str, nasrec: Run, tmp_path: Path) -> None:
    out = tmp_path / f"picture.{suffix}"
    assert nasrec("draw", PUBLISHED / "criteo_xlarge.json", "--out", out)[0] == 0
    start = {"svg": b"<?xml", "png": b"\x89PNG"}[suffix]
    assert out.read_bytes().startswith(start)


def test_overrides_may_stand_anywhere(nasrec: Run, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("seed: 1\n")
    for words in ((config, "seed=7"), ("seed=7", config)):
        status, found, _ = nasrec("validate", *words)
        if words[0] == config:
            assert status == 0
            assert found["config"]["seed"] == 7
        else:
            assert status == 2


def test_plan_does_no_work(nasrec: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert nasrec("cp", "quickstart")[0] == 0
    status, found, _ = nasrec("run", "quickstart.yaml", "--plan")
    assert status == 0
    assert [stage["stage"] for stage in found["stages"]] == ["data", "supernet", "search", "retrain", "all"]
    assert all(stage[key] >= 0 for stage in found["stages"] for key in ("seconds", "memory_mib", "disk_mib"))
    assert found["assumptions"]
    assert [path.name for path in tmp_path.iterdir()] == ["quickstart.yaml"]
    assert main(["run", "quickstart.yaml", "--plan"]) == 0


def test_a_fault_of_ours_is_told_apart(
    nasrec: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(options: object) -> None:
        print("noise of a library")
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(load("ls"), "run", broken)
    status, found, _ = nasrec("ls", "operators")
    assert status == 1
    saved = Path(found["error"]["traceback"])
    assert "in broken" in saved.read_text()
    saved.unlink()
    assert main(["ls", "operators", "--traceback"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" in err
    Path(err.split("The traceback is in ")[1].split(";")[0]).unlink()


@pytest.mark.parametrize(
    ("raised", "status"), [(KeyboardInterrupt(), 130), (SystemExit(143), 143)], ids=["SIGINT", "SIGTERM"]
)
def test_a_training_that_was_interrupted_keeps_its_status(
    raised: BaseException, status: int, nasrec: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(options: object) -> None:
        raise raised

    monkeypatch.setattr(load("ls"), "run", interrupted)
    found = nasrec("ls", "operators")
    assert found[0] == status
    assert "interrupted" in found[1]["error"]["message"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_with_their_status(number: signal.Signals, tmp_path: Path) -> None:
    code = (
        "import sys, time; from nasrec_nni.cli import main; from nasrec_nni.cli.verbs import load\n"
        "def run(options):\n    print('works', file=sys.stderr, flush=True); time.sleep(60)\n"
        "load('ls').run = run\nsys.exit(main(['ls', 'operators', '--json']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    process.stderr.readline()
    time.sleep(0.1)
    os.kill(process.pid, number)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert json.loads(out)["error"]["signal"] == number.name


def test_a_reader_that_leaves_is_no_fault() -> None:
    done = subprocess.run(
        f"{COMMAND} --help | head -1", shell=True, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0
    assert done.stderr == ""
