"""What is kept of each candidate: one record, one JSON line; and which of them are best."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nasrec_nni.architecture.json import from_json, to_json
from nasrec_nni.architecture.value import Architecture
from nasrec_nni.errors import UserError

REJECTED = "rejected_after"  # fact of a candidate that was given up: the rows it was scored on
OVER_LIMIT = "over_limit"  # fact of a failure that is no fault: the limit that a measured figure breaks
KEYS = ("number", "id", "value", "failure", "live_macs", "architecture", "facts")
VALUES = "values"  # a further key of records of several objectives


@dataclass(frozen=True)
class Evaluation:
    """What an evaluator says of one architecture.

    Args:
        value: the objective, lower is better; a value that is not finite counts as a failure.
        live_macs: MACs per example of what reaches the output.
        facts: more for the record, plain JSON values (log loss, seconds, …).
        values: all objectives of a search that has several, lower is better; the first is `value`.
    """

    value: float
    live_macs: int
    facts: Mapping[str, Any] = field(default_factory=dict)
    values: tuple[float, ...] | None = None


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
        values: all objectives of a search that has several, the first is `value`; None if it failed.
    """

    number: int
    id: str
    architecture: Architecture
    value: float | None
    failure: str | None = None
    live_macs: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    values: tuple[float, ...] | None = None

    def as_json(self) -> dict[str, Any]:
        """One line of `candidates.jsonl`; floats survive the round trip bit by bit."""
        found = {key: getattr(self, key) for key in KEYS}
        several = {} if self.values is None else {VALUES: list(self.values)}
        return found | {"architecture": to_json(self.architecture), "facts": dict(self.facts)} | several

    @property
    def point(self) -> tuple[float, ...] | None:
        """Its objectives, one or several; None if it failed."""
        return self.values if self.values is not None or self.value is None else (self.value,)


def record_from_json(content: Mapping[str, Any], where: str) -> Record:
    """A record from one parsed line.

    Args:
        content: the parsed line.
        where: `file:line`, for errors.

    Raises:
        UserError: a key is missing, unknown or holds something else than `Record.as_json` writes.
    """
    if not isinstance(content, Mapping) or set(content) - {VALUES} != set(KEYS):
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
    values = _values(content[VALUES], value, where) if VALUES in content else None
    return Record(number, architecture.id, architecture, found, failure, macs, content["facts"], values)


def _values(given: Any, value: Any, where: str) -> tuple[float, ...]:
    numbers = isinstance(given, list) and all(type(one) in (int, float) and math.isfinite(one) for one in given)
    if not numbers or len(given) < 2 or given[0] != value:
        raise UserError("values must be two or more finite numbers, the first as value", value=given, where=where)
    return tuple(map(float, given))


def best(records: Iterable[Record], k: int) -> list[Record]:
    """The `k` best successes: lowest value, then fewer live MACs, then asked earlier; fewer if fewer succeeded.

    A candidate rejected early is none: its value is an estimate.
    """
    return sorted(_scored(records), key=_rank)[:k]


def front(records: Iterable[Record]) -> list[Record]:
    """The successes that no other one dominates, by falling merit in the first objective; rejected ones are none.

    What a search of several objectives found. Of one objective: the best, and those as good.

    Raises:
        UserError: records of different numbers of objectives.
    """
    from nasrec_nni.strategies.search.pareto import ranks  # with numpy, which a worker's first process has no use for

    found = _scored(records)
    points = [record.point or () for record in found]
    if len({len(point) for point in points}) > 1:
        raise UserError("these candidates have different numbers of objectives, so none dominates another")
    rank = ranks(points)
    return sorted((record for record, at in zip(found, rank, strict=True) if at == 0), key=_rank)


def _scored(records: Iterable[Record]) -> list[Record]:
    return [record for record in records if record.value is not None and REJECTED not in record.facts]


def _rank(record: Record) -> tuple[float, float, int]:
    value = math.inf if record.value is None else record.value
    macs = math.inf if record.live_macs is None else record.live_macs
    return value, macs, record.number
