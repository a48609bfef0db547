"""The example configs that are installed with the package."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from nasrec_nni.errors import UserError, nearest

if TYPE_CHECKING:
    from importlib.abc import Traversable


def find(name: str) -> Traversable:
    """An example by its name, with or without `.yaml`.

    Raises:
        UserError: there is none of this name.
    """
    known = _all()
    stem = name.removesuffix(".yaml")
    if stem not in known:
        raise UserError("no such example", value=name, allowed=", ".join(known), hint=nearest(stem, known))
    return known[stem]


def describe_all() -> list[dict[str, str]]:
    """Name and first comment line of every example."""
    return [
        {"name": name, "what": file.read_text(encoding="utf-8").split("\n")[0].lstrip("# ")}
        for name, file in _all().items()
    ]


def _all() -> dict[str, Traversable]:
    folder = files("nasrec_nni.examples")
    found = sorted((entry.name, entry) for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    return {name.removesuffix(".yaml"): entry for name, entry in found}
