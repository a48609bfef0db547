"""The worker: what a bad candidate costs, and that the channel says what NNI's own says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from nasrec_nni.config import SpaceConfig
from nasrec_nni.errors import UserError
from nasrec_nni.experiment import supervisor as module
from nasrec_nni.experiment.channel import Http
from nasrec_nni.experiment.supervisor import Supervisor
from nasrec_nni.pipeline.space import describe, random_architectures
from nasrec_nni.strategies.search import Record, Ticket

SPACE = describe(SpaceConfig.model_validate({"blocks": 2, "dense_widths": [8, 16], "sparse_rows": [4], "heads": 2}))
TICKETS = [Ticket(number, architecture) for number, architecture in enumerate(random_architectures(SPACE, 0, 6))]
# Answers like the child; number 1 hangs, 2 crashes every time, 3 crashes once, 4 leaves.
CHILD = """
import json, os, signal, sys, time
_, _, run, descriptor = sys.argv
with os.fdopen(int(descriptor), "w") as stream:
    def say(content):
        stream.write(json.dumps(content) + "\\n")
        stream.flush()
    if run.endswith("broken"):
        print("no such wheel", file=sys.stderr)
        sys.exit(3)
    if run.endswith("refused"):
        say({"problem": "not a trained supernet"})
        sys.exit(2)
    say({"ready": True, "candidate_seconds": SECONDS})
    for line in sys.stdin:
        asked = json.loads(line)
        number = asked["number"]
        if number == 1:
            time.sleep(60)
        if number == 2 or (number == 3 and not os.path.exists(run + ".once")):
            open(run + ".once", "w").close()
            os.kill(os.getpid(), signal.SIGSEGV)
        if number == 4:
            print("goodbye", file=sys.stderr, flush=True)
            os._exit(7)
        say({"record": {"number": number, "id": ID(asked), "value": 0.5, "failure": None, "live_macs": 7,
                        "architecture": asked["architecture"], "facts": {"process": os.getpid()}}})
"""

AWAY = tempfile.gettempdir()  # where no checkout stands before the installed package


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A child that needs no supernet."""
    names = {ticket.number: ticket.architecture.id for ticket in TICKETS}
    script = tmp_path / "child.py"
    script.write_text(f"NAMES = {names!r}\nID = lambda asked: NAMES[asked['number']]\nSECONDS = 0.5\n" + CHILD)
    monkeypatch.setattr(module, "trial_command", lambda: str(script))
    return tmp_path / "run"


def scores(run: Path, numbers: list[int]) -> list[Record]:
    with Supervisor(run) as supervisor:
        return [supervisor.score(TICKETS[number]) for number in numbers]


def test_good_candidates_share_one_child(run: Path) -> None:
    records = scores(run, [0, 5])
    assert [record.value for record in records] == [0.5, 0.5]
    assert len({record.facts["process"] for record in records}) == 1


def test_a_candidate_that_hangs_fails_alone(run: Path) -> None:
    hung, good = scores(run, [1, 0])
    assert hung.failure == "it took longer than 0.5 seconds"
    assert good.value == 0.5


def test_a_candidate_that_crashes_fails_alone_and_a_crash_by_chance_costs_nothing(run: Path) -> None:
    run.with_name("run.once").touch()
    crashed, good = scores(run, [2, 0])
    assert crashed.failure == "the process that scored it ended 3 times, the last time by SIGSEGV"
    assert good.value == 0.5
    run.with_name("run.once").unlink()
    assert scores(run, [3])[0].value == 0.5


def test_a_candidate_that_ends_the_process_fails_alone(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (left,) = scores(run, [4])
    assert left.failure == "the process that scored it ended 3 times, the last time with exit status 7"
    assert "goodbye" in capfd.readouterr().err


def test_a_worker_that_cannot_start_says_why(run: Path) -> None:
    with pytest.raises(UserError, match=r"exit status 3.*no such wheel"):
        scores(run.with_name("broken"), [0])
    with pytest.raises(UserError, match="not a trained supernet"):
        scores(run.with_name("refused"), [0])


def test_the_child_ends_with_the_supervisor(run: Path) -> None:
    with Supervisor(run) as supervisor:
        pid = supervisor.score(TICKETS[0]).facts["process"]
        assert alive(pid)
    assert not alive(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's death signal")
def test_the_child_of_a_killed_process_dies() -> None:
    code = """
    import os, sys, time
    from nasrec_nni.experiment.orphans import die_with_parent
    if os.fork() == 0:
        die_with_parent()
        print(os.getpid(), flush=True)
        time.sleep(60)
    time.sleep(60)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True, cwd=AWAY
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
        assert gone(child)


def test_memory_beyond_the_limit_is_refused_and_the_process_goes_on() -> None:
    code = """
    import numpy as np
    from nasrec_nni.experiment.child import _limit_memory
    _limit_memory(64)
    small = np.ones(4 * 2**20, np.uint8)
    try:
        np.ones(256 * 2**20, np.uint8)
    except MemoryError:
        print("refused", small.sum())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True, cwd=AWAY
    )
    assert done.stdout.split() == ["refused", str(4 * 2**20)]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


def gone(pid: int, seconds: float = 30.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not alive(pid):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize(
    ("loaded", "never"),
    [
        ("nasrec_nni.experiment.trial", ("torch", "numpy", "pydantic", "nni")),
        (
            "nasrec_nni.experiment.child, nasrec_nni.evaluation.evaluator",
            ("nni", "pytorch_lightning", "lightning", "pandas", "sklearn", "scipy.stats"),
        ),
    ],
)
def test_a_trial_loads_no_more_than_it_needs(loaded: str, never: tuple[str, ...]) -> None:
    """The rest would be most of what a trial costs; a first score of AUC is part of it."""
    code = f"""
    import sys
    import {loaded}
    if "numpy" in sys.modules:
        from nasrec_nni.metrics import auc
        assert auc([0, 1], [0.1, 0.2]) == 1
    print([name for name in {never} if name in sys.modules])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True, cwd=AWAY
    )
    assert done.stdout.strip() == "[]"


# ---- the channel -----------------------------------------------------------------------------------------------------


class Manager(ThreadingHTTPServer):
    """Notes what is put, answers with a parameter at the second asking."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.put: list[Any] = []
        self.asked = 0


class Handler(BaseHTTPRequestHandler):
    server: Manager

    def do_PUT(self) -> None:
        self.server.put.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self._answer(200, b"")

    def do_GET(self) -> None:
        self.server.asked += 1
        if self.server.asked % 2:
            self._answer(408, b"")
            return
        parameter = json.dumps({"parameter_id": 3, "parameters": {"batch": "0-1"}})
        self._answer(200, json.dumps({"type": "parameter", "parameter": parameter}).encode())

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *given: Any) -> None:
        """Nothing."""


@pytest.fixture
def manager() -> Iterator[Manager]:
    server = Manager()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_the_channel_says_what_nni_says(manager: Manager) -> None:
    """Fact: three kinds of message over HTTP; this fails on the day NNI says something else."""
    from nni.runtime.trial_command_channel.v3 import TrialCommandChannelV3

    url = f"http://127.0.0.1:{manager.server_port}/env/local-env/abc"
    metric = {"default": 0.25, "candidate": 1}
    theirs = TrialCommandChannelV3(url)
    record = theirs.receive_parameter()
    assert record is not None
    for kind, sequence in (("PERIODICAL", 0), ("PERIODICAL", 1), ("FINAL", 0)):
        theirs.send_metric(kind, 3, "abc", sequence, metric)  # type: ignore[arg-type]
    said, manager.put = manager.put, []
    ours = Http(url, "abc")
    assert ours.parameter() == record["parameters"] == {"batch": "0-1"}
    ours.intermediate(metric)
    ours.intermediate(metric)
    ours.final(metric)
    assert manager.put == said
