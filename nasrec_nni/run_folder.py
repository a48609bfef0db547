"""Layout of a run: where each stage keeps what, who works on it, and what made it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TextIO

from nasrec_nni.errors import UserError
from nasrec_nni.files import read_json, write_json

PACKAGES = ("nasrec-nni", "torch", "nni", "pytorch-lightning", "numpy", "pyarrow", "scikit-learn")


class RunFolder:
    """Paths of one run. Nothing is written before `create`.

    Args:
        path: the folder; need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.manifest = path / "manifest.json"
        self.budget = path / "budget.json"
        self.lock_file = path / ".lock"
        self.data = path / "data"
        self.supernet = path / "supernet"
        self.search = path / "search"
        self.candidates = self.search / "candidates.jsonl"
        self.sweep = path / "sweep"
        self.retrain = path / "retrain"
        self.winner = self.retrain / "winner.json"
        self.leaderboard = path / "leaderboard.csv"
        self.results = path / "results.csv"
        self.report = path / "report"
        self.page = self.report / "index.html"
        self.tensorboard = path / "tensorboard"
        self.old = path / "old"

    def trials(self, model: str) -> Path:
        """What recipes were tried for one model, a line each."""
        return self.sweep / model / "trials.jsonl"

    def training(self, model: str, seed: int) -> Path:
        """Where one model is trained from scratch with one seed."""
        return self.retrain / model / f"seed-{seed}"

    @property
    def exists(self) -> bool:
        """Whether this is a run folder; a prepared set, say, has a manifest of another kind."""
        if not self.manifest.is_file():
            return False
        content = read_json(self.manifest)
        return isinstance(content, dict) and (content.get("kind") == "run" or "test_reads" in content)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """An existing run.

        Raises:
            UserError: there is none.
        """
        folder = cls(path)
        if not folder.exists:
            what = "is not a run folder (it has no manifest.json of a run)" if path.is_dir() else "no such run folder"
            raise UserError(what, where=str(path), hint="`nasrec run CONFIG --out RUN` makes one")
        return folder

    def check_free(self) -> None:
        """Raises UserError if the path holds something that is not a run."""
        if self.path.is_file() or (self.path.is_dir() and not self.exists and self.has_content()):
            raise UserError(
                "holds something that is not a run of ours", where=str(self.path), hint="Name a new or empty folder"
            )

    def has_content(self) -> bool:
        """Whether there is more than a lock."""
        return any(entry.name != self.lock_file.name for entry in self.path.iterdir())

    def clear(self) -> None:
        """Remove everything in the folder, its lock last."""
        for entry in sorted(self.path.iterdir(), key=lambda entry: entry == self.lock_file):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    @contextlib.contextmanager
    def locked(self, command: str) -> Iterator[None]:
        """Hold the run while a command works on it. A dead process' lock is no obstacle.

        Raises:
            UserError: another process works on it.
        """
        with self._locked() as stream:
            stream.truncate(0)
            stream.write(json.dumps({"process": os.getpid(), "command": command, "since": now()}))
            stream.flush()
            try:
                yield
            finally:
                stream.truncate(0)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[TextIO]:
        while True:
            self.path.mkdir(parents=True, exist_ok=True)
            with self.lock_file.open("a+") as stream:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    stream.seek(0)
                    raise UserError(
                        "another command works on this run",
                        value=stream.read().strip() or None,
                        where=str(self.path),
                        hint="Wait for it, or end that process",
                    ) from None
                if self._is_lock(stream):
                    yield stream
                    return

    def _is_lock(self, stream: TextIO) -> bool:
        """False if the file was removed, with its run, between opening and locking it."""
        try:
            return os.path.samestat(os.fstat(stream.fileno()), self.lock_file.stat())
        except FileNotFoundError:
            return False

    def read_manifest(self) -> dict[str, Any]:
        found: dict[str, Any] = read_json(self.manifest)
        return found

    def update_manifest(self, **changes: Any) -> dict[str, Any]:
        """Write the manifest anew with these keys changed; made if there is none."""
        content = self.read_manifest() if self.exists else new_manifest()
        content |= changes
        write_json(self.manifest, content)
        return content


def new_manifest() -> dict[str, Any]:
    """Facts of this process: versions, commit, hardware; no test row read yet."""
    return {
        "kind": "run",
        "format": 1,
        "made": now(),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        "commit": commit(),
        "hardware": hardware(),
        "seeds": {},
        "data_fingerprint": None,
        "test_reads": 0,
    }


def now() -> str:
    """UTC, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def commit() -> str | None:
    """Git commit of the checkout this package is imported from; None if it is installed elsewhere."""
    try:
        found = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "--show-toplevel", "HEAD"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        ).stdout.split("\n")
    except (OSError, subprocess.SubprocessError):
        return None
    inside = Path(found[0]) == Path(__file__).resolve().parents[1]
    return found[1] if inside else None


def hardware() -> dict[str, Any]:
    """Processor, cores this process may use, memory in GiB."""
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    except (ValueError, OSError):
        memory = None
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": None if memory is None else round(memory, 1),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
