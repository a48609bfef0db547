"""What is kept of each candidate: one record, one JSON line; and which of them are best."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nasrec_nni.architecture.json import from_json, to_json
from nasrec_nni.architecture.value import Architecture
from nasrec_nni.errors import UserError

KEYS = ("number", "id", "value", "failure", "live_macs", "architecture", "facts")


@dataclass(frozen=True)
class Evaluation:
    """What an evaluator says of one architecture.

    Args:
        value: the objective, lower is better; a value that is not finite counts as a failure.
        live_macs: MACs per example of what reaches the output.
        facts: more for the record, plain JSON values (log loss, seconds, …).
    """

    value: float
    live_macs: int
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Record:
    """One evaluated candidate.

    Args:
        number: its place in the order of asking, from 0.
        id: canonical id.
        architecture: as asked.
        value: lower is better; None if it failed.
        failure: why it failed, else None.
        live_macs: MACs per example, None if it failed.
        facts: whatever else the evaluator measured; no part of the sequence depends on it.
    """

    number: int
    id: str
    architecture: Architecture
    value: float | None
    failure: str | None = None
    live_macs: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """One line of `candidates.jsonl`; floats survive the round trip bit by bit."""
        found = {key: getattr(self, key) for key in KEYS}
        return found | {"architecture": to_json(self.architecture), "facts": dict(self.facts)}


def record_from_json(content: Mapping[str, Any], where: str) -> Record:
    """A record from one parsed line.

    Args:
        content: the parsed line.
        where: `file:line`, for errors.

    Raises:
        UserError: a key is missing, unknown or holds something else than `Record.as_json` writes.
    """
    if not isinstance(content, Mapping) or set(content) != set(KEYS):
        value = sorted(content) if isinstance(content, Mapping) else type(content).__name__
        raise UserError("not a candidate record", value=value, where=where, allowed=f"the keys {', '.join(KEYS)}")
    architecture = from_json(content["architecture"], where)
    if content["id"] != architecture.id:
        raise UserError("id and architecture disagree", value=content["id"], where=where, allowed=architecture.id)
    number, value, failure = content["number"], content["value"], content["failure"]
    if type(number) is not int or number < 0:
        raise UserError("number must be a whole number from 0", value=number, where=where)
    if (value is None) == (failure is None) or not isinstance(content["facts"], Mapping):
        raise UserError("a record has either a value or a failure, and facts", value=value, where=where)
    if value is not None and (type(value) not in (int, float) or not math.isfinite(value)):
        raise UserError("value must be a finite number", value=value, where=where)
    macs = content["live_macs"]
    if macs is not None and (type(macs) is not int or macs < 0):
        raise UserError("live_macs must be a whole number from 0, or null", value=macs, where=where)
    found = None if value is None else float(value)
    return Record(number, architecture.id, architecture, found, failure, macs, content["facts"])


def best(records: Iterable[Record], k: int) -> list[Record]:
    """The `k` best successes: lowest value, then fewer live MACs, then asked earlier; fewer if fewer succeeded."""
    succeeded = [record for record in records if record.value is not None]
    return sorted(succeeded, key=_rank)[:k]


def _rank(record: Record) -> tuple[float, float, int]:
    value = math.inf if record.value is None else record.value
    macs = math.inf if record.live_macs is None else record.live_macs
    return value, macs, record.number
