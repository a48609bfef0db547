"""Where a prepared set goes: what may be there, and what killed attempts have left."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from nasrec_nni.data.prepared import MANIFEST
from nasrec_nni.errors import UserError
from nasrec_nni.files import recover


def check_place(out: Path, overwrite: bool) -> None:
    """Raises UserError for a place where no set can be laid, or where something lies that must stay."""
    if out.resolve() == Path.cwd():
        raise UserError("the output place is the working directory", where=str(out), hint="Name a new folder")
    above = next(folder for folder in out.absolute().parents if folder.exists())
    if not above.is_dir():
        raise UserError(
            "the output place lies below a file", value=str(above), where=str(out), hint="Name a new folder"
        )
    if not out.exists():
        return
    if not out.is_dir():
        raise UserError("the output place is a file", where=str(out), hint="Name a new folder")
    if not any(out.iterdir()):
        return
    if not (out / MANIFEST).exists():
        raise UserError("the output folder holds something else", where=str(out), hint="Name a new folder")
    if not overwrite:
        raise UserError(
            "a prepared set is already there", where=str(out), hint="Name a new folder, or replace it with --overwrite"
        )


def refuse_within(out: Path, inputs: Iterable[Path | str]) -> None:
    """Raises UserError for a place within an input folder, where the next command would read it as a log."""
    for path in map(Path, inputs):
        if path.is_dir() and out.resolve().is_relative_to(path.resolve()):
            raise UserError(
                "the output place lies within an input folder",
                value=str(path),
                where=str(out),
                hint="Use another --out",
            )


def clear_up(out: Path, told: bool) -> None:
    """Remove what a killed attempt has left, and say so on stderr."""
    place = out.resolve()
    name = re.compile(rf"\.{re.escape(place.name)}\.[0-9a-f]{{8}}\.partial")
    before = [path for path in place.parent.glob(".*") if name.fullmatch(path.name)]
    recover(out)
    if told and any(not path.exists() for path in before):
        print(f"{out}: an unfinished attempt was removed; starting over", file=sys.stderr)
