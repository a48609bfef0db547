"""Header lines: the delimiter found, the names checked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from nasrec_nni.data.sources.opening import opened
from nasrec_nni.data.sources.records import Layout, records
from nasrec_nni.errors import UserError

DELIMITERS = (",", "\t", ";", "|")
ONE_LINE = "Put the column names on one line; an open quote may be the cause"
SHOWN = 40  # columns in a message
LOOK = 20  # lines that must agree with the header


def detect_delimiter(path: Path, quoted: bool = True) -> str:
    """The one that cuts the header into most fields, among those that cut the next lines into as many.

    Raises:
        UserError: the file is empty, or none of them does.
    """
    found: dict[str, tuple[bool, int]] = {}
    for delimiter in DELIMITERS:
        rows = _first_rows(path, Layout((), delimiter, quoted))
        if not rows:
            raise UserError("the file is empty", where=str(path), hint="Name a file with a header and rows")
        width = len(rows[0])
        # one ragged line must not hide the delimiter: its own error is clearer
        agreeing = sum(len(row) == width for row in rows) > len(rows) / 2
        found[delimiter] = (agreeing, width)
    cutting = [delimiter for delimiter in DELIMITERS if found[delimiter][1] > 1]
    if not cutting:
        raise UserError(
            "no delimiter found in the header",
            value=_first_line(path),
            where=f"{path}:1",
            allowed="comma, tab, semicolon or bar",
            hint="Give it: --delimiter CHARACTER",
        )
    return max(cutting, key=lambda delimiter: found[delimiter])


def _first_rows(path: Path, layout: Layout) -> list[list[str]]:
    """As many as can be read: to the wrong delimiter, a quote within a cell may look like one that is never closed."""
    rows: list[list[str]] = []
    try:
        rows.extend(row for _, row in islice(records(path, layout), LOOK))
    except UserError:
        if not rows:
            raise
    return rows


def _first_line(path: Path) -> str:
    with opened(path) as stream:
        start = stream.read(1000).decode("utf-8-sig", "replace").splitlines()
    return start[0][:200] if start else ""


def listed(names: Sequence[str]) -> str:
    """Names for a message; of very many the first."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def misread(names: Sequence[str]) -> str | None:
    """What to do about a first line that does not look like one of names, or None."""
    if names[0].startswith("sep="):
        return "Remove that line: it is for a spreadsheet"
    if names[0].lstrip().startswith("{"):
        return "This looks like JSON: write it as CSV or Parquet"
    if any(re.fullmatch(r"[-+]?[0-9.]+", name.strip()) for name in names):
        return "This looks like a row: put the names on the first line, or name the log's own --source (such as criteo)"
    return None


def read_header(path: Path, delimiter: str, quoted: bool = True) -> tuple[str, ...]:
    """Names of all columns.

    Raises:
        UserError: an empty file, a name used twice, or a column without one.
    """
    first = next(records(path, Layout((), delimiter, quoted)), None)
    if first is None:
        raise UserError("the file is empty", where=str(path), hint="Name a file with a header and rows")
    line, names = first
    where = f"{path}:1"
    if line > 1:
        raise UserError("the first line is not a header", where=where, hint="Put the column names on one line there")
    before: dict[str, int] = {}
    for position, name in enumerate(names, 1):
        if not name.strip():
            hint = misread(names) or "Name that column"
            raise UserError(f"header position {position} has no name", where=where, hint=hint)
        if "\n" in name or "\r" in name:
            raise UserError(
                f"the name at header position {position} has a line end", value=name[:100], where=where, hint=ONE_LINE
            )
        try:
            name.encode()
        except UnicodeEncodeError:
            shown = name.encode(errors="surrogateescape").decode(errors="replace")
            raise UserError("the header is not UTF-8 text", value=shown, where=where, hint="Save it as UTF-8") from None
        if name in before:
            raise UserError(
                f"column name {name!r} is used twice, at positions {before[name]} and {position}",
                where=where,
                hint=misread(names) or "Rename one of them",
            )
        before[name] = position
    return tuple(names)
