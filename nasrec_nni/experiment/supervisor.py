"""Scores candidates in a child process: one that hangs, eats the memory or crashes costs itself only."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Any

from nasrec_nni.architecture.json import to_json
from nasrec_nni.errors import UserError
from nasrec_nni.strategies.search import Record, Ticket, record_from_json

COMMAND = "nasrec-trial"
DEATHS = 3  # of the child under one candidate, before the candidate is given up
KEPT = 20  # last lines of the child's standard error


def trial_command() -> str:
    """The console script beside this Python, else the one on the path."""
    beside = Path(sys.executable).with_name(COMMAND)
    found = str(beside) if beside.exists() else shutil.which(COMMAND)
    if found is None:
        raise UserError(f"the command {COMMAND} is not installed", hint="Install nasrec-nni again")
    return found


class Died(Exception):
    """The child has ended before it answered."""


class Supervisor:
    """A child that has supernet and data loaded; started anew when it dies.

    Args:
        run: the run folder; the child reads the limits there, so that this process needs no config.
    """

    def __init__(self, run: Path) -> None:
        self._run = run
        self._seconds: float | None = None  # of a candidate at most
        self._child: subprocess.Popen[str] | None = None
        self._answers = -1
        self._buffer = b""
        self._ready = False
        self.last_lines: deque[str] = deque(maxlen=KEPT)

    def __enter__(self) -> Supervisor:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def start(self) -> None:
        """Begin to load; does not wait for it."""
        self._answers, ours = os.pipe()
        words = [sys.executable, trial_command(), "--child", str(self._run), str(ours)]
        self._child = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=2, stderr=subprocess.PIPE, text=True, pass_fds=(ours,)
        )
        os.close(ours)
        self._buffer, self._ready = b"", False
        self._listener = threading.Thread(target=self._pass_on, args=(self._child,), daemon=True)
        self._listener.start()

    def end(self) -> None:
        """Kill the child."""
        if self._child is None:
            return
        self._child.kill()
        self._child.wait()
        with contextlib.suppress(OSError):
            assert self._child.stdin is not None
            self._child.stdin.close()
        os.close(self._answers)
        self._child = None

    def score(self, ticket: Ticket) -> Record:
        """The record of one candidate, a failed one too.

        Raises:
            UserError: the run cannot be searched at all.
        """
        told = ""
        for _ in range(DEATHS):
            try:
                return self._scored(ticket)
            except TimeoutError:
                self.end()
                return failed(ticket, f"it took longer than {self._seconds:g} seconds")
            except Died as death:
                told = str(death)
                self.end()
        return failed(ticket, f"the process that scored it ended {DEATHS} times, the last time {told}")

    def _scored(self, ticket: Ticket) -> Record:
        if self._child is None:
            self.start()
        if not self._ready:
            self._wait_until_ready()
        assert self._child is not None and self._child.stdin is not None
        asked = {"number": ticket.number, "architecture": to_json(ticket.architecture)}
        try:
            self._child.stdin.write(json.dumps(asked) + "\n")
            self._child.stdin.flush()
        except OSError:
            raise Died(self._how()) from None
        return record_from_json(self._answer(self._seconds)["record"], "worker")

    def _wait_until_ready(self) -> None:
        try:
            answer = self._answer(None)
        except Died as death:
            raise UserError(
                f"a worker cannot start: its process ended {death}", value="\n".join(self.last_lines) or None
            ) from None
        if "problem" in answer:
            raise UserError(answer["problem"])
        self._ready, self._seconds = True, answer["candidate_seconds"]

    def _answer(self, seconds: float | None) -> dict[str, Any]:
        end = None if seconds is None else time.monotonic() + seconds
        while b"\n" not in self._buffer:
            left = None if end is None else max(0.0, end - time.monotonic())
            if not select.select([self._answers], [], [], left)[0]:
                raise TimeoutError
            read = os.read(self._answers, 1 << 16)
            if not read:
                raise Died(self._how())
            self._buffer += read
        line, _, self._buffer = self._buffer.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found

    def _how(self) -> str:
        assert self._child is not None
        status = self._child.wait()
        self._listener.join(1.0)  # its last lines
        return f"by {signal.Signals(-status).name}" if status < 0 else f"with exit status {status}"

    def _pass_on(self, child: subprocess.Popen[str]) -> None:
        """What the child complains about: on to our own standard error, the last lines kept."""
        assert child.stderr is not None
        with child.stderr as stream:
            for line in stream:
                self.last_lines.append(line.rstrip())
                sys.stderr.write(line)
                sys.stderr.flush()


def failed(ticket: Ticket, reason: str) -> Record:
    """The record of a candidate that was given up."""
    return Record(ticket.number, ticket.architecture.id, ticket.architecture, None, reason)
