"""`nasrec doctor`: what it says of this machine, and that it ends what our runs have left, and nothing else."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from nasrec_nni.cli import main
from nasrec_nni.experiment import fitness
from nasrec_nni.experiment.leftovers import Found, _older, end, look

# Starts a process, says its number and ends, so that the process is an orphan.
PARENT = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:]).pid, flush=True)"
SLEEP = "import time; time.sleep(600)"


class Processes:
    """Processes that pretend to be something, ended with the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[psutil.Process] = []

    def named(self, name: str) -> Path:
        """A program of this name that takes any words and sleeps."""
        path = self.folder / name
        path.write_text(SLEEP)
        return path

    def orphan(self, *words: str | Path, **environment: str) -> int:
        with subprocess.Popen(
            [sys.executable, "-c", PARENT, *map(str, words)],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
        ) as parent:
            assert parent.stdout is not None
            number = int(parent.stdout.readline())
        return self._kept(number)

    def child(self, *words: str | Path, **environment: str) -> int:
        process = subprocess.Popen([*map(str, words)], env=os.environ | environment)
        return self._kept(process.pid)

    def _kept(self, number: int) -> int:
        process = psutil.Process(number)
        self.started.append(process)
        time.sleep(0.2)  # until it is the program
        return number

    def end(self) -> None:
        for process in self.started:
            if process.is_running():
                process.kill()
        psutil.wait_procs(self.started, timeout=10)


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    made = Processes(tmp_path)
    try:
        yield made
    finally:
        made.end()


def manager(processes: Processes, run: Path) -> list[str | Path]:
    """Words of NNI's manager; its program is called node whatever it is."""
    node = processes.folder / "node"
    if not node.exists():
        node.symlink_to(Path(sys.executable).resolve())
    return [node, processes.named("main.js"), "--port", "1", "--experiments-directory", run / "search" / "nni"]


def told(number: int) -> Found | None:
    return next((one for one in look() if one.process.pid == number), None)


def why(number: int) -> str | None:
    found = told(number)
    assert found is not None, f"process {number} is not known as one of ours"
    return found.why


def gone_number() -> str:
    """Of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return str(process.pid)


def test_a_trial_whose_manager_has_gone_is_left_over(processes: Processes) -> None:
    run = processes.folder / "run"
    number = processes.orphan(sys.executable, processes.named("nasrec-trial"), run)
    found = told(number)
    assert found is not None
    assert (found.role, found.run, found.why) == ("trial", str(run), "what started it has gone")
    child = processes.orphan(sys.executable, processes.named("nasrec-trial"), "--child", run, "5")
    found = told(child)
    assert found is not None
    assert (found.role, found.run, found.why) == ("trial", str(run), "what started it has gone")


def test_a_trial_that_somebody_has_started_is_in_use(processes: Processes) -> None:
    number = processes.child(sys.executable, processes.named("nasrec-trial"), processes.folder / "run")
    assert why(number) is None


def test_a_tuner_is_known_by_the_config_that_nni_hands_on(processes: Processes) -> None:
    nni = processes.folder / "nni"
    nni.mkdir()
    (nni / "__main__.py").write_text(SLEEP)
    (nni / "__init__.py").touch()

    def tuner(name: str) -> int:
        config = {"tuner": {"className": name, "classArgs": {"run": "/a/run"}}}
        text = base64.b64encode(json.dumps(config).encode()).decode()
        words = (sys.executable, "-m", "nni", "--exp_params", text)
        return processes.orphan(*words, PYTHONPATH=str(processes.folder))

    found = told(tuner("nasrec_nni.experiment.tuner.SearchTuner"))
    assert found is not None
    assert (found.role, found.run, found.why is None) == ("tuner", "/a/run", False)
    assert told(tuner("somebody.else.Tuner")) is None


def test_a_manager_is_left_over_when_its_command_has_gone(processes: Processes) -> None:
    run = processes.folder / "run"
    run.mkdir()
    words = manager(processes, run)
    owned = processes.orphan(*words, NASREC_OWNER=gone_number())
    assert "has gone" in str(why(owned))
    assert why(processes.orphan(*words, NASREC_OWNER=str(os.getpid()))) is None
    assert why(processes.orphan(*words)) is None  # nnictl's, which stays until `nnictl stop`


def test_a_manager_is_left_over_when_its_run_folder_has_gone(processes: Processes) -> None:
    assert why(processes.orphan(*manager(processes, processes.folder / "absent"))) == "its run folder has gone"


def test_the_owner_must_be_older_than_the_manager(processes: Processes) -> None:
    """A number that was given anew is not the owner."""
    run = processes.folder / "run"
    run.mkdir()
    number = processes.orphan(*manager(processes, run), NASREC_OWNER="1")
    assert why(number) is None
    younger = processes.child(sys.executable, "-c", SLEEP)
    begun = psutil.Process(number).create_time()
    assert _older(os.getpid(), begun)
    assert not _older(younger, begun)


def test_other_peoples_nni_is_not_ours(processes: Processes) -> None:
    words = manager(processes, processes.folder / "run")[:-1]
    assert told(processes.orphan(*words, processes.folder / "nni-experiments")) is None
    assert told(processes.orphan(words[0], processes.named("server.js"))) is None


def test_leftovers_are_ended_and_only_they(
    processes: Processes, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = processes.folder / "run"
    left = processes.orphan(sys.executable, processes.named("nasrec-trial"), run)
    kept = processes.child(sys.executable, processes.named("nasrec-trial"), run)
    (processes.folder / "stubborn").mkdir()
    deaf = processes.folder / "stubborn" / "nasrec-trial"
    deaf.write_text("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEP)
    stubborn = processes.orphan(sys.executable, deaf, run)
    # other tests, other runs: what is really left over on this machine is not this test's to end
    monkeypatch.setattr("nasrec_nni.experiment.leftovers.look", lambda: [f for f in look() if f.run == str(run)])
    monkeypatch.setattr("nasrec_nni.experiment.leftovers.END", 1.0)
    assert main(["doctor", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert {one["process"] for one in result["leftovers"]} == {left, stubborn}
    assert {one["process"] for one in result["in_use"]} == {kept}
    assert result["ended"] == []
    assert psutil.pid_exists(left)
    assert main(["doctor", "--end-leftovers", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert {one["process"] for one in result["ended"]} == {left, stubborn}
    assert result["leftovers"] == []
    assert [one.process.pid for one in look() if one.run == str(run)] == [kept]
    assert main(["doctor"]) == 0
    assert str(kept) in capsys.readouterr().out


def test_ending_what_has_ended_is_no_fault(processes: Processes) -> None:
    number = processes.orphan(sys.executable, processes.named("nasrec-trial"), processes.folder)
    found = told(number)
    assert found is not None
    found.process.kill()
    assert end([found]) == [found]


def test_this_machine_is_fit(capsys: pytest.CaptureFixture[str]) -> None:
    """It runs the tests, after all."""
    assert main(["doctor", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["fit"], result["checks"]
    names = [check["name"] for check in result["checks"]]
    assert len(names) == len(set(names))
    assert {"python", "torch", "nni", "setuptools", "disk", "gpu", "kernel cache", "node", "port"} <= set(names)
    assert all(check["state"] in ("good", "warning") for check in result["checks"])


def state(name: str) -> Any:
    (found,) = [check for check in fitness.checks() if check.name == name]
    return found


def test_what_is_bad_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fitness, "requires", lambda _: ["setuptools<3", "no-such-package>=1", "x; extra == 'dev'"])
    old, absent = list(fitness._packages())
    assert (old.state, old.hint) == ("bad", "pip install 'setuptools<3'")
    assert (absent.state, absent.found) == ("bad", "not installed")
    blocked = tmp_path / "file"
    blocked.touch()
    monkeypatch.setenv("HOME", str(blocked))
    assert state("experiment list").state == "bad"
    monkeypatch.setattr(fitness, "find_spec", lambda _: None)
    assert state("node").state == "bad"
    monkeypatch.setattr(fitness, "_port", lambda: 1 / 0)
    assert state("port").found == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize(("state", "fit"), [("good", True), ("warning", True), ("bad", False)])
def test_the_exit_status_says_whether_the_machine_is_fit(
    state: str, fit: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    check = fitness.Check("disk", state, "0 GiB free", "Make room")
    monkeypatch.setattr(fitness, "checks", lambda: [check])
    assert main(["doctor", "--json"]) == (0 if fit else 2)
    told = json.loads(capsys.readouterr().out)
    assert told["fit"] is fit
    assert told["checks"] == [check.as_json()]
    assert main(["doctor"]) == (0 if fit else 2)
    shown = capsys.readouterr().out
    assert "Make room" in shown
    assert shown.rstrip().endswith("this machine is fit" if fit else "this machine is not fit: see what is bad")
