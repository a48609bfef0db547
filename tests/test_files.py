"""Folders that appear whole or not at all, beside other processes and after kills."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nasrec_nni.errors import UserError
from nasrec_nni.files import folder_in_progress, recover

FILL = """
import sys, time
from pathlib import Path
from nasrec_nni.files import folder_in_progress
with folder_in_progress(Path(sys.argv[1])) as folder:
    (folder / "half.txt").write_text("half")
    print("filling", flush=True)
    time.sleep(60)
"""
SWAP = """
import os, sys
from pathlib import Path
from nasrec_nni import files
replace = os.replace
def die_between(a, b):
    replace(a, b)
    os.kill(os.getpid(), 9)
with files.folder_in_progress(Path(sys.argv[1])) as folder:
    (folder / "what.txt").write_text("new")
    os.replace = die_between
"""


def filler(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-I", "-c", FILL, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "filling\n"
    return process


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_appears_whole_and_replaces_the_one_before(tmp_path: Path) -> None:
    for content in ("old", "new"):
        with folder_in_progress(tmp_path / "set") as folder:
            (folder / "what.txt").write_text(content)
            assert content == "old" or (tmp_path / "set" / "what.txt").read_text() == "old"
    assert (tmp_path / "set" / "what.txt").read_text() == "new"
    assert names(tmp_path) == ["set"]


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    with folder_in_progress(tmp_path / "set") as folder:
        (folder / "what.txt").write_text("old")
    with pytest.raises(ZeroDivisionError), folder_in_progress(tmp_path / "set"):
        1 / 0  # noqa: B018
    assert names(tmp_path) == ["set"]
    assert names(tmp_path / "set") == ["what.txt"]


def test_the_folder_of_a_living_process_stays_and_of_a_killed_one_goes(tmp_path: Path) -> None:
    process = filler(tmp_path / "set")
    try:
        with pytest.raises(UserError, match="another process"), folder_in_progress(tmp_path / "set"):
            pass
        (partial,) = tmp_path.glob(".set.*.partial")
        assert names(partial) == ["half.txt"]
    finally:
        process.kill()
        process.wait()
    with folder_in_progress(tmp_path / "set"):
        pass
    assert names(tmp_path) == ["set"]


def test_a_kill_between_the_two_renames_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "what.txt").write_text("old")
    done = subprocess.run([sys.executable, "-I", "-c", SWAP, str(tmp_path / "set")], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "set").exists()
    assert recover(tmp_path / "set") is False
    assert (tmp_path / "set" / "what.txt").read_text() == "old"
    assert names(tmp_path) == ["set"]


@pytest.mark.parametrize("name", ["set", "set[1]", "set.*"])
def test_folders_of_other_names_are_left_alone(name: str, tmp_path: Path) -> None:
    strangers = {".set1.01234567.retired", ".set.b.01234567.retired", ".set.b.01234567.partial"}
    for stranger in strangers:
        (tmp_path / stranger).mkdir()
    with folder_in_progress(tmp_path / name):
        pass
    assert set(names(tmp_path)) == {*strangers, name}


def test_a_link_to_a_folder_stays_one(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "set")
    for content in ("one", "two"):
        with folder_in_progress(tmp_path / "link") as folder:
            (folder / "a").write_text(content)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "disk" / "set" / "a").read_text() == content
    assert {path.name for path in (tmp_path / "disk").iterdir()} == {"set"}


def test_a_check_before_the_rename_keeps_what_is_there(tmp_path: Path) -> None:
    def refuse() -> None:
        raise UserError("not this one")

    with pytest.raises(UserError, match="not this one"), folder_in_progress(tmp_path / "set", refuse):
        (tmp_path / "set").mkdir()
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_full_disk_is_told_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="set: no space left there"), folder_in_progress(tmp_path / "set"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []
