"""Header lines: the delimiter found, the names checked."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from nasrec_nni.data.sources.text import Layout, open_text, records
from nasrec_nni.errors import UserError

DELIMITERS = (",", "\t", ";", "|")
LOOK = 20  # lines that must agree with the header


def detect_delimiter(path: Path) -> str:
    """The one that cuts the header into most fields, among those that cut the next lines into as many.

    Raises:
        UserError: the file is empty, or none of them does.
    """
    found: dict[str, tuple[bool, int]] = {}
    for delimiter in DELIMITERS:
        rows = [row for _, row in islice(records(path, Layout((), delimiter)), LOOK) if row]
        if not rows:
            raise UserError("the file is empty", where=str(path), hint="Name a file with a header and rows")
        width = len(rows[0])
        # one ragged line must not hide the delimiter: its own error is clearer
        agreeing = sum(len(row) == width for row in rows) > len(rows) / 2
        found[delimiter] = (agreeing, width)
    best = max(found, key=lambda delimiter: found[delimiter])
    if found[best][1] < 2:
        raise UserError(
            "no delimiter found in the header",
            value=_first_line(path),
            where=f"{path}:1",
            allowed="comma, tab, semicolon or bar",
            hint="Give it: --delimiter CHARACTER",
        )
    return best


def _first_line(path: Path) -> str:
    with open_text(path) as stream:
        return stream.readline().rstrip("\r\n")[:200]


def read_header(path: Path, delimiter: str) -> tuple[str, ...]:
    """Names of all columns.

    Raises:
        UserError: an empty file, a name used twice, or a column without one.
    """
    first = next(records(path, Layout((), delimiter)), None)
    if first is None:
        raise UserError("the file is empty", where=str(path), hint="Name a file with a header and rows")
    line, names = first
    where = f"{path}:1"
    if not names or line > 1:
        raise UserError("the first line is not a header", where=where, hint="Put the column names on one line there")
    for position, name in enumerate(names, 1):
        if not name.strip():
            raise UserError(f"header position {position} has no name", where=where, hint="Name that column")
        if names.index(name) != position - 1:
            raise UserError(
                f"column name {name!r} is used twice, at positions {names.index(name) + 1} and {position}",
                where=where,
                hint="Rename one of them",
            )
    return tuple(names)
