"""The run folder: its lock, its manifest, and what it refuses to take over."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path
from typing import TextIO

import pytest

from nasrec_nni.errors import UserError
from nasrec_nni.run_folder import RunFolder, new_manifest

HOLD = """
import sys, time
from pathlib import Path
from nasrec_nni.run_folder import RunFolder
with RunFolder(Path(sys.argv[1])).locked("search"):
    print("locked", flush=True)
    time.sleep(60)
"""


def holder(path: Path) -> subprocess.Popen[str]:
    """A process that holds the lock."""
    process = subprocess.Popen([sys.executable, "-I", "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    return process


def test_a_second_command_is_refused_and_told_who_works_there(tmp_path: Path) -> None:
    process = holder(tmp_path)
    try:
        with pytest.raises(UserError, match="another command") as refused, RunFolder(tmp_path).locked("run"):
            pass
        assert str(process.pid) in refused.value.message
        assert "search" in refused.value.message
    finally:
        process.kill()
        process.wait()


def test_the_lock_of_a_killed_process_is_no_obstacle(tmp_path: Path) -> None:
    process = holder(tmp_path)
    process.kill()
    process.wait()
    with RunFolder(tmp_path).locked("run"):
        assert str(os.getpid()) in (tmp_path / ".lock").read_text()


def test_a_lock_is_given_back(tmp_path: Path) -> None:
    for _ in range(2):
        with RunFolder(tmp_path).locked("run"):
            pass


def test_a_lock_that_was_removed_with_its_run_is_taken_anew(tmp_path: Path) -> None:
    """The other command removes its folder after this one has opened the lock and before it has it."""
    folder = RunFolder(tmp_path / "run")
    flock, calls = fcntl.flock, []

    def late(stream: TextIO, how: int) -> None:
        calls.append(how)
        if len(calls) == 1:
            folder.clear()
            folder.path.rmdir()
        flock(stream, how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fcntl, "flock", late)
        with folder.locked("run"):
            assert str(os.getpid()) in folder.lock_file.read_text()
    assert len(calls) == 2


def test_manifest_keeps_what_it_is_told(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.update_manifest(data_fingerprint="abc")
    folder.update_manifest(test_reads=3)
    found = folder.read_manifest()
    assert (found["data_fingerprint"], found["test_reads"]) == ("abc", 3)
    assert folder.exists


def test_manifest_names_versions_and_hardware() -> None:
    manifest = new_manifest()
    assert all(manifest["versions"][name] for name in ("python", "torch", "nni", "pytorch-lightning", "nasrec-nni"))
    assert manifest["hardware"]["cores"] >= 1
    assert manifest["hardware"]["memory_gib"] > 0
    assert manifest["test_reads"] == 0


def test_a_folder_of_something_else_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UserError, match="not a run"):
        RunFolder(tmp_path).check_free()
    with pytest.raises(UserError, match="not a run"):
        RunFolder(tmp_path / "thesis.tex").check_free()
    RunFolder(tmp_path / "new").check_free()


def test_open_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such run folder"):
        RunFolder.open(tmp_path / "absent")
    with pytest.raises(UserError, match=r"no manifest\.json"):
        RunFolder.open(tmp_path)


def test_a_run_of_an_earlier_version_is_one(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"format": 1, "test_reads": 0}')
    assert RunFolder(tmp_path).exists


def test_a_prepared_set_is_not_taken_for_a_run(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"format": 1}')
    assert not RunFolder(tmp_path).exists
    with pytest.raises(UserError, match="not a run"):
        RunFolder(tmp_path).check_free()
