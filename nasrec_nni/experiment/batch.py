"""What travels between tuner and worker: a batch of candidates one way, their records the other.

Both are plain JSON that people read in the web UI. Nothing is keyed on NNI's ids, which repeat after a resume.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nasrec_nni.architecture.json import from_json, to_json
from nasrec_nni.errors import UserError
from nasrec_nni.experiment.channel import RECORDS
from nasrec_nni.strategies.search import Record, Ticket, best, record_from_json

SHOWN = "mutation_summary"


def to_parameter(tickets: Sequence[Ticket]) -> dict[str, Any]:
    """The hyper-parameters of one trial.

    Fact: of parameters with this key NNI's pages show what is in it, and draw an axis for each value; all the rest
    is behind the button "Original parameters". Architectures make no axes that a person could read.
    """
    numbers = [ticket.number for ticket in tickets]
    whole = numbers == list(range(numbers[0], numbers[-1] + 1))
    name = f"{numbers[0]}-{numbers[-1]}" if whole and len(numbers) > 1 else ",".join(map(str, numbers))
    return {
        SHOWN: {"batch": name, "candidates": len(tickets)},
        "candidates": [
            {"number": t.number, "id": t.architecture.id, "architecture": to_json(t.architecture)} for t in tickets
        ],
    }


def tickets_of(parameter: Any) -> list[Ticket]:
    """The candidates of a trial.

    Raises:
        UserError: the parameter is not one of ours.
    """
    try:
        found = [
            (one["number"], one["id"], from_json(one["architecture"], "trial parameter"))
            for one in parameter["candidates"]
        ]
    except (TypeError, KeyError) as error:
        raise UserError(
            "the trial's parameter is not a batch of candidates", value=repr(parameter)[:200], where="trial parameter"
        ) from error
    if any(type(number) is not int or number < 0 or architecture.id != given for number, given, architecture in found):
        raise UserError("number, id and architecture of a candidate disagree", where="trial parameter")
    return [Ticket(number, architecture) for number, _, architecture in found]


def intermediate(record: Record) -> dict[str, Any] | None:
    """One scored candidate as NNI's intermediate result; None if it failed: NNI's pages take numbers only."""
    if record.value is None:
        return None
    figures = {name: value for name, value in record.facts.items() if type(value) in (int, float)}
    return {"default": record.value, "candidate": record.number, "live_macs": record.live_macs, **figures}


def final(records: Sequence[Record]) -> dict[str, Any] | None:
    """The best of a batch with the records of all; None if all failed, since NNI's overview breaks without a number."""
    found = best(records, 1) or sorted((r for r in records if r.value is not None), key=lambda r: r.value or 0.0)[:1]
    if not found:
        return None
    compact = json.dumps([record.as_json() for record in records], separators=(",", ":"), allow_nan=False)
    return {**(intermediate(found[0]) or {}), RECORDS: compact}


def records_of(metric: Any) -> list[Record]:
    """The records of a final metric; whatever is not one of ours has none."""
    text = metric.get(RECORDS) if isinstance(metric, Mapping) else None
    try:
        lines = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        return []
    return list(_valid(lines)) if isinstance(lines, list) else []


def _valid(lines: Iterable[Any]) -> Iterable[Record]:
    for line in lines:
        try:
            yield record_from_json(line, "trial metric")
        except UserError:
            continue
