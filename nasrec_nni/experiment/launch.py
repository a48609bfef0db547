"""An NNI experiment that lives no longer than the command that began it: start, watch, end. Nothing stays behind."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from nasrec_nni.errors import UserError
from nasrec_nni.experiment import rest

LOOPBACK = "127.0.0.1"
END = 20.0  # seconds for the manager to end by itself
PORTS = 20  # free ones that are tried, should another process be quicker


@dataclass(frozen=True)
class Plan:
    """What an experiment is made of.

    Args:
        name: for the web page.
        folder: NNI's files; made if absent.
        search_space: shown on the web page.
        trial: the command of a trial.
        workers: trials at a time.
        tuner: class name of the tuner.
        tuner_arguments: of its constructor.
        service: keys of the local training service.
        gpus: of one trial, 0 for none.
    """

    name: str
    folder: Path
    search_space: Mapping[str, Any]
    trial: str
    workers: int
    tuner: str
    tuner_arguments: Mapping[str, Any]
    service: Mapping[str, Any] = field(default_factory=dict)
    gpus: int = 0

    def as_json(self) -> dict[str, Any]:
        """As NNI's config file has it."""
        code = self.folder / "code"  # trials start there; empty, so that nothing is sent anywhere
        content = {
            "experimentName": self.name,
            "experimentWorkingDirectory": str(self.folder),
            "searchSpace": dict(self.search_space),
            "trialCommand": self.trial,
            "trialCodeDirectory": str(code),
            "trialConcurrency": self.workers,
            "tuner": {
                "className": self.tuner,
                "codeDirectory": str(code),
                "classArgs": dict(self.tuner_arguments),
            },
            "trainingService": {"platform": "local", **self.service},
        }
        return content | ({"trialGpuNumber": self.gpus} if self.gpus else {})


@dataclass
class Running:
    """A running experiment.

    Args:
        id: NNI's.
        port: of the web page.
        process: the manager.
        folder: NNI's files.
    """

    id: str
    port: int
    process: subprocess.Popen[Any]
    folder: Path

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def ended(self) -> int | None:
        """The manager's exit status if it has ended."""
        return self.process.poll()

    def quiet(self) -> bool:
        """The manager says that all is done."""
        try:
            return rest.status(self.port) in ("DONE", "ERROR")
        except (OSError, KeyError, TypeError):
            return False

    def trial_folder(self, trial: str) -> Path:
        """Where a trial's `trial.stdout` and `trial.stderr` are."""
        return self.folder / self.id / "environments" / "local-env" / "trials" / trial

    def end(self) -> None:
        """End manager, tuner and trials; what does not end by itself is killed."""
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(END)
        # NNI's launcher makes the manager the leader of a group, in which tuner and trials are
        deadline = time.monotonic() + END / 4
        while _group_lives(self.process.pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        _forget(self.id)


@contextlib.contextmanager
def running(plan: Plan) -> Iterator[Running]:
    """Start an experiment; it is ended when the block is left, however that happens.

    Raises:
        UserError: NNI could not start it.
    """
    experiment = _start(plan)
    try:
        yield experiment
    finally:
        experiment.end()


def _start(plan: Plan) -> Running:
    from nni.experiment import Experiment
    from nni.experiment.config import ExperimentConfig
    from nni.runtime.log import silence_stdout

    silence_stdout()  # its log file has the same lines
    logging.getLogger("nni").setLevel(logging.ERROR)
    (plan.folder / "code").mkdir(parents=True, exist_ok=True)
    experiment = Experiment(ExperimentConfig(**plan.as_json()))
    failure: Exception | None = None
    for _ in range(PORTS):
        port = _free_port()
        try:
            with _preloaded():
                experiment._start_nni_manager(port, debug=False)
            return Running(experiment.id, port, experiment._proc, plan.folder)
        except RuntimeError as error:  # the port is not free any more
            failure = error
        except Exception as error:
            failure = error
            break
        finally:
            _reap(experiment)
    raise UserError("NNI could not start the experiment", value=str(failure), hint="--no-web searches without NNI")


def _reap(experiment: Any) -> None:
    """NNI kills a manager that did not start, and does not wait for it."""
    process = experiment._proc
    if process is not None and experiment.port is None:
        process.kill()
        process.wait()


@contextlib.contextmanager
def _preloaded() -> Iterator[None]:
    """What `manager.js` reads, in the environment that NNI's launcher hands on."""
    script = str(files("nasrec_nni.experiment") / "manager.js")
    before = dict(os.environ)
    options = f"{before.get('NODE_OPTIONS', '')} --require {_quoted(script)}".strip()
    os.environ.update(NODE_OPTIONS=options, NASREC_LISTEN=LOOPBACK, NASREC_OWNER=str(os.getpid()))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _quoted(path: str) -> str:
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _free_port() -> int:
    """One that is free here and at the next number, which some training services take too."""
    while True:
        with socket.socket() as one, socket.socket() as two:
            one.bind((LOOPBACK, 0))
            port = int(one.getsockname()[1])
            with contextlib.suppress(OSError, OverflowError):
                two.bind((LOOPBACK, port + 1))
                return port


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _forget(identity: str) -> None:
    """NNI's list of experiments would name one that can neither be resumed nor viewed."""
    from nni.tools.nnictl.config_utils import Experiments

    with contextlib.suppress(Exception):
        Experiments().remove_experiment(identity)


def last_lines(experiment: Running, trial: str, count: int = 8) -> str:
    """Of a trial's standard error."""
    try:
        text = (experiment.trial_folder(trial) / "trial.stderr").read_text(errors="replace")
    except OSError:
        return ""
    return "\n".join(line for line in text.splitlines()[-count:])


def failed_trials(experiment: Running) -> list[str]:
    """Ids of trials that did not end well; none if the manager does not answer just now."""
    try:
        return [one["trialJobId"] for one in rest.trials(experiment.port) if one["status"] in BAD]
    except (OSError, KeyError, TypeError):
        return []


BAD = ("FAILED", "USER_CANCELED", "SYS_CANCELED", "EARLY_STOPPED")
