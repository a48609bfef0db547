"""Atomic files, durable lines and hashes: what a kill leaves behind is whole or absent."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nasrec_nni.errors import UserError

UNLOCKED = 60.0  # seconds that a new folder may have no lock yet


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; synced and renamed onto it when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        if str(error.filename) == str(temporary):
            error.filename = str(path)  # the name that people know
        raise
    finally:
        temporary.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what a process that was killed within `atomic_path` left in a folder."""
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """Indented, keys in the given order, NaN refused."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Raises UserError with file:line for a file that is absent or not JSON."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise UserError("file not found", where=str(path)) from None
    except (IsADirectoryError, PermissionError, UnicodeDecodeError) as error:
        raise UserError(f"cannot be read as JSON ({type(error).__name__})", where=str(path)) from None
    except json.JSONDecodeError as error:
        raise UserError(f"not valid JSON: {error.msg}", where=f"{path}:{error.lineno}") from None
    except (RecursionError, ValueError) as error:  # nested too deeply, a number of too many digits
        raise UserError(f"cannot be read as JSON: {error}", where=str(path)) from None


def append_line(path: Path, content: dict[str, Any]) -> None:
    """One JSON object as one line, on disk when this returns.

    A line cut by a kill is removed first, so that the new one never joins it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(content, allow_nan=False).encode() + b"\n"
    with path.open("ab+") as stream:
        _drop_cut_line(stream)
        stream.write(line)
        stream.flush()
        os.fsync(stream.fileno())


def _drop_cut_line(stream: Any) -> None:
    end = stream.seek(0, os.SEEK_END)
    if end == 0:
        return
    stream.seek(end - 1)
    if stream.read(1) == b"\n":
        return
    stream.seek(0)
    whole = stream.read().rfind(b"\n") + 1
    stream.truncate(whole)
    stream.seek(0, os.SEEK_END)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """All whole lines; a last line cut by a kill is left out. An absent file has none.

    Raises:
        UserError: a whole line is not a JSON object.
    """
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    found = []
    for number, line in enumerate(lines, 1):
        try:
            value = json.loads(line)
        except ValueError:
            raise UserError("not a JSON object", where=f"{path}:{number}") from None
        found.append(value)
    return found


def sha256(path: Path) -> str:
    with path.open("rb") as stream:
        digest = hashlib.sha256()
        while chunk := stream.read(1 << 22):
            digest.update(chunk)
    return digest.hexdigest()


def fingerprint(content: Any) -> str:
    """16 hex digits of the sha256 of canonical JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@contextlib.contextmanager
def folder_in_progress(path: Path, check: Callable[[], None] | None = None) -> Iterator[Path]:
    """A sibling folder to fill; renamed onto `path` when the block ends well, else removed.

    An existing `path` is replaced only at the end, so an earlier good result survives a failure. What killed
    attempts at the same place have left is seen to first: see `recover`.

    Args:
        path: the place.
        check: called right before the rename; raises if what lies there by then must not be replaced.

    Raises:
        UserError: another process fills a folder for the same place, or the disk is full.
    """
    path = path.resolve()  # a link stays a link to what is made
    path.parent.mkdir(parents=True, exist_ok=True)
    if recover(path):
        raise UserError("another process is making this folder", where=str(path), hint="Wait for it, or end it")
    with contextlib.ExitStack() as stack:
        partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
        fresh = partial.with_suffix(".new")  # until it is locked, another process would take it for a leftover
        fresh.mkdir()
        stack.callback(shutil.rmtree, partial, ignore_errors=True)
        stack.enter_context(_held(fresh))
        os.replace(fresh, partial)
        with _full_disk_told(path):
            yield partial
        for file in partial.rglob("*"):
            if file.is_file():
                with file.open("rb") as stream:
                    os.fsync(stream.fileno())
        if check is not None:
            check()
        if path.exists():
            stack.enter_context(_held(path))
            retired = path.with_name(f".{path.name}.{secrets.token_hex(4)}.retired")
            os.replace(path, retired)
            os.replace(partial, path)
            shutil.rmtree(retired, ignore_errors=True)
        else:
            os.replace(partial, path)
        _sync_folder(path.parent)


@contextlib.contextmanager
def _full_disk_told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise UserError(
            "no space left there", where=str(path), hint="Free some, or name a place on another disk"
        ) from None


def recover(path: Path) -> bool:
    """Clear up what killed `folder_in_progress` blocks have left of `path`.

    Half-filled folders are removed. The result before, if a kill came when it was moved away and the new one
    not yet in its place, is put back. Folders of processes that are alive stay as they are.

    Returns:
        Whether such a process is at work.
    """
    path = path.resolve()
    alive = False
    name = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}\.(new|partial|retired)")
    for leftover in [child for child in path.parent.glob(".*") if name.fullmatch(child.name)]:
        with contextlib.suppress(FileNotFoundError), _held(leftover) as free:
            if not free:
                alive = True
            elif leftover.suffix == ".new" and time.time() - leftover.stat().st_mtime < UNLOCKED:
                continue
            elif leftover.suffix == ".retired" and not path.exists():
                os.replace(leftover, path)
            else:
                shutil.rmtree(leftover, ignore_errors=True)
    return alive


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Lock a folder until the block ends or the process dies; False if it is not to be had.

    The lock follows the folder through renames. A file system without locks gives none: nothing is removed there.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
