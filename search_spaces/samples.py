"""Between NNI's flat samples (`block3/dense_operator` -> value) and architectures."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.architecture.value import Architecture, Block
from nasrec_nni.errors import UserError, UserErrors

KEYS = tuple(field.name for field in fields(Block))
LISTS = ("dense_connections", "sparse_connections")
ONE_ELEMENT = ("left", "right")
SWITCHES = ("dense_to_sparse", "sparse_to_dense")


def label(number: int, key: str) -> str:
    """The label of one choice, block 1 first."""
    return f"block{number}/{key}"


def to_sample(architecture: Architecture, space: SpaceDescription) -> dict[str, Any]:
    """A complete sample; a choice without effect gets the space's first value, since NNI wants all labels."""
    space.check(architecture)
    sample: dict[str, Any] = {}
    for number, block in enumerate(architecture.blocks, 1):
        for key in KEYS:
            value = getattr(block, key)
            sample[label(number, key)] = _sample_value(key, _default(key, space) if value is None else value)
    return sample


def _default(key: str, space: SpaceDescription) -> Any:
    firsts = {
        "dense_operator": space.dense_operators[0],
        "sparse_operator": space.sparse_operators[0],
        "dense_width": space.dense_widths[0],
        "sparse_rows": space.sparse_rows[0],
    }
    if key in SWITCHES:
        return False
    return firsts.get(key, (0,) if key in LISTS else 0)


def _sample_value(key: str, value: Any) -> Any:
    if key in SWITCHES:
        return "on" if value else "off"
    if key in LISTS:
        return sorted(value)
    return [value] if key in ONE_ELEMENT else value


def from_sample(sample: dict[str, Any], space: SpaceDescription) -> Architecture:
    """The architecture a sample means, checked: NNI ignores misspelt labels and keeps lists unsorted.

    Raises:
        UserErrors: missing or unknown labels, values outside the space.
    """
    wanted = {label(number, key) for number in range(1, space.blocks + 1) for key in KEYS}
    problems = [UserError("label is missing from the sample", value=name) for name in sorted(wanted - sample.keys())]
    problems += [UserError("unknown label in the sample", value=name) for name in sorted(sample.keys() - wanted)]
    if problems:
        raise UserErrors(problems)
    blocks = tuple(
        Block(**{key: _block_value(key, sample[label(number, key)], label(number, key)) for key in KEYS})
        for number in range(1, space.blocks + 1)
    )
    architecture = Architecture(space.name, blocks)
    space.check(architecture)
    return architecture


def _block_value(key: str, value: Any, where: str) -> Any:
    if key in SWITCHES:
        if value not in ("on", "off"):
            raise UserError("not a switch", value=value, where=where, allowed="on, off")
        return value == "on"
    if key in (*LISTS, *ONE_ELEMENT):
        if not isinstance(value, list) or not value or (key in ONE_ELEMENT and len(value) != 1):
            wanted = "a list with one source" if key in ONE_ELEMENT else "a non-empty list of sources"
            raise UserError("not a list of sources", value=value, where=where, allowed=wanted)
        return value[0] if key in ONE_ELEMENT else tuple(sorted(value))
    return value
