"""The files behind the inputs: folders opened up, in order, nothing twice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nasrec_nni.data.sources.base import LogSource, Meter
from nasrec_nni.errors import UserError

HIDDEN = (".", "_")  # what tools leave beside data: .DS_Store, _SUCCESS, _metadata


def in_order(path: Path) -> list[tuple[int, int, str]]:
    """Sorts names as people count: day_2 before day_10."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", path.name)]


def files_in(folder: Path) -> tuple[list[Path], list[str]]:
    """Files of a folder in order, and the names passed over.

    Raises:
        UserError: a folder within, or no file.
    """
    try:
        entries = sorted(folder.iterdir(), key=in_order)
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", where=str(folder)) from None
    kept = [path for path in entries if not path.name.startswith(HIDDEN)]
    for path in kept:
        if path.is_dir():
            raise UserError(
                "a folder within a folder of files",
                value=path.name,
                where=str(folder),
                hint="The value in such a name is no column of the files: write it into them"
                if "=" in path.name
                else "Name the inner folders themselves, or move the files into one",
            )
    if not kept:
        raise UserError("no file in this folder", where=str(folder), hint="Name a folder with the files of a log")
    return kept, [path.name for path in entries if path.name.startswith(HIDDEN)]


@dataclass(frozen=True)
class Inputs:
    """What a source reads.

    Attributes:
        files: each with its index into `SPLITS` under the rule `given`, else None.
        found: those that came from a folder.
        notes: what to tell people.
    """

    files: tuple[tuple[Path, int | None], ...]
    found: frozenset[Path]
    notes: tuple[str, ...]

    @classmethod
    def of(cls, source: LogSource, parts: list[int | None] | None = None) -> Inputs:
        """Inputs of a source, folders replaced by their files.

        Args:
            source: whose.
            parts: per input, if not by the source's split.

        Raises:
            UserError: a folder that cannot be taken, or a file that is named twice.
        """
        files: list[tuple[Path, int | None]] = []
        found: set[Path] = set()
        notes: list[str] = []
        for path, part in zip(source.inputs, parts if parts is not None else source.parts(), strict=True):
            if path.is_dir():
                inside, passed = files_in(path)
                files += [(file, part) for file in inside]
                found |= set(inside)
                notes.append(f"{path.name}: {len(inside)} files, from {inside[0].name} to {inside[-1].name}")
                if passed:
                    notes.append(f"{path.name}: passed over {', '.join(passed)}")
            else:
                files.append((path, part))
        seen: dict[tuple[int, int], Path] = {}
        for path, _ in files:
            try:
                status = path.stat()
            except OSError as error:
                raise UserError(f"cannot be read ({error.strerror})", where=str(path), hint="Name a file") from None
            before = seen.setdefault((status.st_dev, status.st_ino), path)
            if before is not path:
                raise UserError(
                    "the same file is given twice",
                    value=str(path),
                    where="inputs",
                    hint=f"Name it once: its rows would count double (it is {before})",
                )
        return cls(tuple(files), frozenset(found), tuple(notes))

    def start(self, meter: Meter) -> Iterator[tuple[Path, int | None]]:
        """The files, for one pass over them."""
        meter.total, meter.done = sum(path.stat().st_size for path, _ in self.files), 0
        done = 0
        for path, part in self.files:
            yield path, part
            done += path.stat().st_size
            meter.done = done

    def ended(self, path: Path, rows: int, warnings: list[str]) -> None:
        """A file is read: one without a row is an error where a person named it, a warning within a folder."""
        if rows:
            return
        if path not in self.found:
            LogSource.refuse_empty(path, rows)
        told = f"{path.name} has no rows"
        if told not in warnings:
            warnings.append(told)
