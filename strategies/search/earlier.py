"""Results of an earlier search, to start another one from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.errors import UserError
from nasrec_nni.files import read_lines
from nasrec_nni.strategies.search.records import REJECTED, Record, record_from_json

WHERE = "search.warm_start"


def read_earlier(path: Path, space: SpaceDescription, point: Callable[[Record], tuple[float, ...]]) -> list[Record]:
    """The candidates of a `candidates.jsonl`, each architecture once, in the order of their numbers.

    Args:
        path: the file.
        space: of the search that starts; all of them must be in it.
        point: objectives of a success as this search has them, taken from its facts: the earlier one may have
            had others. Raises UserError if a figure is missing.

    Raises:
        UserError: the file is absent, empty or broken, or holds an architecture of another space.
    """
    if not path.is_file():
        raise UserError("no such file", value=str(path), where=WHERE, hint="It is RUN/search/candidates.jsonl")
    found: dict[str, Record] = {}
    lines = [record_from_json(line, f"{path}:{number}") for number, line in enumerate(read_lines(path), 1)]
    for number, record in enumerate(lines, 1):
        _check(record, space, f"{path}:{number}")
    for record in sorted(lines, key=lambda one: one.number):
        found.setdefault(record.id, _as_here(record, point))
    if not found:
        raise UserError("holds no candidate", value=str(path), where=WHERE, hint="Remove the key")
    return list(found.values())


def _check(record: Record, space: SpaceDescription, where: str) -> None:
    hint = "Warm-start from a search in the same space, or remove search.warm_start"
    if record.architecture.space != space.name:
        raise UserError(
            "the earlier search was in another space",
            value=record.architecture.space, where=where, allowed=space.name, hint=hint,
        )  # fmt: skip
    try:
        space.check(record.architecture)
    except UserError as error:
        what = "the earlier candidate is not in this space"
        raise UserError(f"{what}: {error.message}", where=where, hint=hint) from None


def _as_here(record: Record, point: Callable[[Record], tuple[float, ...]]) -> Record:
    if record.value is None:
        return record
    if REJECTED in record.facts:  # its score is an estimate, and other figures were not computed
        return Record(record.number, record.id, record.architecture, None, "was given up early")
    values = point(record)
    return Record(
        record.number, record.id, record.architecture, values[0], None, record.live_macs, record.facts,
        values if len(values) > 1 else None,
    )  # fmt: skip
