"""The examples that are installed with the package: configs, and packages with a plug-in each."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from nasrec_nni.errors import UserError, nearest

if TYPE_CHECKING:
    from importlib.abc import Traversable

PACKAGE = "pyproject.toml"  # a folder with this file is a package
TEMPLATE, TEMPLATE_NAME = "operator-package", "my-operator"  # copied under another name
KEPT = (".toml", ".md", ".yaml", ".py")
TAKEN = ("ColumnMap", "Inputs", "Limits", "Tensor")  # names that the template's module imports
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def find(name: str) -> Traversable:
    """An example by its name, with or without `.yaml`: a file, or the folder of a package.

    Raises:
        UserError: there is none of this name.
    """
    known = _all()
    stem = name.removesuffix(".yaml")
    if stem not in known:
        raise UserError("no such example", value=name, allowed=", ".join(known), hint=nearest(stem, known))
    return known[stem]


def describe_all() -> list[dict[str, str]]:
    """Name and first line of every example."""
    return [{"name": name, "what": _first_line(place)} for name, place in _all().items()]


def contents(package: Traversable, name: str | None) -> Iterator[tuple[Path, str]]:
    """Relative paths and texts of an example package, what a build has left there left out.

    Args:
        package: its folder.
        name: of the operator that the copy of the template is for; None leaves everything as it is.

    Raises:
        UserError: no name for a plug-in.
    """
    words = _words(name) if name is not None else {}
    for path, place in sorted(_files(package), key=lambda item: item[0]):
        yield Path(_replaced(str(path), words)), _replaced(place.read_text(encoding="utf-8"), words)


def _all() -> dict[str, Traversable]:
    found = {}
    for entry in files("nasrec_nni.examples").iterdir():
        if entry.name.endswith(".yaml") or (entry.is_dir() and entry.joinpath(PACKAGE).is_file()):
            found[entry.name.removesuffix(".yaml")] = entry
    return dict(sorted(found.items()))


def _first_line(place: Traversable) -> str:
    file = place.joinpath("README.md") if place.is_dir() else place
    return file.read_text(encoding="utf-8").split("\n")[0].lstrip("# ")


def _files(folder: Traversable, inside: Path = Path()) -> Iterator[tuple[Path, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_file() and entry.name.endswith(KEPT):
            yield inside / entry.name, entry
        elif entry.is_dir() and not entry.name.endswith(("__pycache__", ".egg-info")) and entry.name != "build":
            yield from _files(entry, inside / entry.name)


def _words(name: str) -> dict[str, str]:
    """The template's name in each spelling, and the new one's."""
    if not NAME.fullmatch(name) or keyword.iskeyword(_class(name)) or _class(name) in TAKEN:
        raise UserError(
            "no name for an operator",
            value=name,
            where="--name",
            allowed="small letters and digits in parts joined by -, a letter first; its class may have no name of "
            f"Python's or of {', '.join(TAKEN)}",
        )
    return {write(TEMPLATE_NAME): write(name) for write in (str, _module, _class, _constant)}


def _module(name: str) -> str:
    return name.replace("-", "_")


def _class(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("-"))


def _constant(name: str) -> str:
    return _module(name).upper()


def _replaced(text: str, words: dict[str, str]) -> str:
    for old, new in words.items():
        text = text.replace(old, new)
    return text
