"""Architectures as JSON: our own form, and the authors' files (`micro`, `macro`)."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from nasrec_nni.architecture.value import Architecture, Block
from nasrec_nni.errors import UserError, UserErrors, nearest
from nasrec_nni.files import read_json
from nasrec_nni.plugins import registry

# Node numbers of the authors' two spaces (NASRec, authors' implementation).
AUTHORS_SPACES = {
    "autoctr": ("nasrec-small", ("fc", "dp", "efc")),
    "xlarge": ("nasrec-full", ("fc", "dp", "sg", "sum", "attn", "efc")),
}
_KEYS = tuple(field.name for field in fields(Block))
_LISTS = ("dense_connections", "sparse_connections")


def block_to_json(block: Block) -> dict[str, Any]:
    found = ((key, getattr(block, key)) for key in _KEYS)
    return {key: list(value) if isinstance(value, tuple) else value for key, value in found}


def to_json(architecture: Architecture) -> dict[str, Any]:
    """`{"space": …, "blocks": [{…}, …]}`, block 1 first."""
    return {"space": architecture.space, "blocks": [block_to_json(block) for block in architecture.blocks]}


def load_architecture(path: str | Path) -> Architecture:
    """Read a file in our form or in the authors'.

    Args:
        path: of a JSON file.

    Raises:
        UserError: the file is absent, or not JSON.
        UserErrors: everything wrong with the content, with file and block.
    """
    return from_json(read_json(Path(path)), str(path))


def from_json(content: Any, where: str = "architecture") -> Architecture:
    """Either form from plain values; see `load_architecture`."""
    if not isinstance(content, dict):
        raise UserError("an architecture is a JSON object", value=type(content).__name__, where=where)
    try:
        if "micro" in content and "macro" in content:
            return _from_authors(content, where)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise UserError(
            f"not a file of the authors' form ({type(error).__name__}: {error})",
            where=where,
            allowed="keys micro, macro, config with one entry per block",
        ) from None
    unknown = sorted(content.keys() - {"space", "blocks"})
    if unknown or not isinstance(content.get("blocks"), list) or not content["blocks"]:
        raise UserError(
            "not an architecture",
            value=sorted(content),
            where=where,
            allowed='{"space": name, "blocks": [a block or more]}',
        )
    if not isinstance(content.get("space"), str):
        raise UserError("space must be a name", value=content.get("space"), where=where)
    blocks: list[Block] = []
    problems: list[UserError] = []
    for number, block in enumerate(content["blocks"], 1):
        found = _block_problems(block, number, f"{where}: block{number}")
        problems += found
        if not found:
            values: dict[str, Any] = {key: tuple(v) if isinstance(v := block[key], list) else v for key in _KEYS}
            blocks.append(Block(**values))
    if problems:
        raise UserErrors(problems)
    architecture = Architecture(content["space"], tuple(blocks))
    _check_outputs(architecture, where)
    return architecture


def _block_problems(block: Any, number: int, where: str) -> list[UserError]:
    if not isinstance(block, dict):
        return [UserError("a block is a JSON object", value=type(block).__name__, where=where)]
    found = [
        UserError("unknown key", value=key, where=where, hint=nearest(key, _KEYS))
        for key in sorted(block.keys() - set(_KEYS))
    ]
    found += [UserError("key is missing", value=key, where=where) for key in _KEYS if key not in block]
    for key in (key for key in _KEYS if block.get(key) is not None):
        problem = _value_problem(key, block[key], number)
        if problem:
            found.append(UserError("not allowed", value=block[key], where=f"{where}/{key}", allowed=problem))
    return found


def _value_problem(key: str, value: Any, number: int) -> str | None:
    def is_source(item: Any) -> bool:
        return type(item) is int and 0 <= item < number

    if key.endswith("_operator"):
        side = key.removesuffix("_operator")
        names = registry("operators").names()
        if value not in names or registry("operators").load(value).side != side:
            return f"a {side} operator; registered operators: {', '.join(names)}"
        return None
    if key in _LISTS:
        fine = isinstance(value, list) and value and all(map(is_source, value)) and len(set(value)) == len(value)
        return None if fine else f"a list of different sources from 0 to {number - 1}"
    if key in ("left", "right"):
        return None if is_source(value) else f"a source from 0 to {number - 1}"
    if key in ("dense_width", "sparse_rows"):
        return None if type(value) is int and value > 0 else "a whole number above 0"
    return None if isinstance(value, bool) else "true or false"


def _check_outputs(architecture: Architecture, where: str) -> None:
    """What is `null` must really have no effect: a live operator needs its width and its sources."""
    from nasrec_nni.architecture.canonical import live_reads, liveness

    path = architecture.path
    problems = []
    for number, (block, live) in enumerate(zip(path.blocks, liveness(path), strict=True), 1):
        needed = {"dense_operators": live.dense, "dense_width": live.dense}
        needed |= {"sparse_operators": live.sparse, "sparse_rows": live.sparse}
        read = live_reads(block, live)
        names = {"dense": "dense_connections", "sparse": "sparse_connections", "left": "left", "right": "right"}
        needed |= {names[name]: True for name in read}
        problems += [
            UserError(
                "is null but reaches the output", where=f"{where}: block{number}/{key.replace('operators', 'operator')}"
            )
            for key, wanted in needed.items()
            if wanted and not getattr(block, key)
        ]
    if problems:
        raise UserErrors(problems)


def _only(values: list[int]) -> int:
    (value,) = values
    return value


def _switch(value: int) -> bool:
    if value not in (0, 1) or isinstance(value, float):
        raise ValueError(f"a switch is 0 or 1, not {value!r}")
    return bool(value)


def _from_authors(content: dict[str, Any], where: str) -> Architecture:
    if content["config"] not in AUTHORS_SPACES:
        raise UserError(
            "unknown space of an authors' file",
            value=content["config"],
            where=f"{where}: config",
            allowed=", ".join(AUTHORS_SPACES),
        )
    space, nodes = AUTHORS_SPACES[content["config"]]
    blocks = []
    for micro, macro in zip(content["micro"], content["macro"], strict=True):
        dense, sparse = sorted(micro["active_nodes"])
        blocks.append(
            {
                "dense_operator": nodes[dense],
                "dense_width": micro["dense_in_dims"],
                "sparse_operator": nodes[sparse],
                "sparse_rows": micro["sparse_in_dims"],
                "dense_connections": sorted(macro["dense_idx"]),
                "sparse_connections": sorted(macro["sparse_idx"]),
                "left": _only(macro["dense_left_idx"]),
                "right": _only(macro["dense_right_idx"]),
                "dense_to_sparse": _switch(micro["dense_sparse_interact"]),
                "sparse_to_dense": _switch(micro["deep_fm"]),
            }
        )
    return from_json({"space": space, "blocks": blocks}, where)
