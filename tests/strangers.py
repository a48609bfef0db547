"""Packages of strangers as pip leaves them: modules, and a `.dist-info` folder with name and entry points. No tests."""

from __future__ import annotations

from pathlib import Path

from nasrec_nni.plugins import INTERFACE

OPERATOR = """
from nasrec_nni.authoring import Operator
def cost(shape): return shape.columns * shape.out + 2 * shape.out
NAMED = {name!r}
MINE = Operator(NAMED, "dense", frozenset({{"dense"}}), lambda s: s.columns * s.out, cost, "{module}:Module")
"""
ODD = OPERATOR.format(name="odd", module="odd")
# By package: its module's text, its entry points by group, the interface that it states.
RAISES = 'raise RuntimeError("no such GPU")'
WRONG = "MINE = 5"
LACKING = """
class Almost:
    name, side, reads, symmetric = "lacking", "dense", frozenset({"dense"}), False
MINE = Almost()
"""
BROKEN: dict[str, tuple[str, str, str | None]] = {
    "raises": (RAISES, "raises", "1"),
    "wrong-type": (WRONG, "wrong-type", "1"),
    "clash-one": (WRONG, "clash", "1"),
    "clash-two": (WRONG, "clash", "1"),
    "lacking": (LACKING, "lacking", "1"),
    "old": (RAISES, "old", "0"),
}
BROKEN_IN_ORDER = sorted(BROKEN, key=lambda name: (BROKEN[name][1], name))
WORDS = {
    "raises": "RuntimeError: no such GPU",
    "wrong-type": "it is an int; operators are each an Operator",
    "clash": "is claimed by clash-one (clash_one:MINE) and clash-two (clash_two:MINE)",
    "lacking": "it lacks the attributes macs, parameters, target",
    "old": f"it is written for plug-in interface 0, and this nasrec-nni has {INTERFACE}",
}


def package(
    folder: Path,
    name: str,
    text: str,
    entries: dict[str, str] | str,
    interface: str | None = "1",
    group: str = "operators",
) -> None:
    """Install a package by hand."""
    module = name.replace("-", "_")
    (folder / f"{module}.py").write_text(text)
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    if isinstance(entries, dict):
        lines = [f"[nasrec_nni.{group}]", *(f"{key} = {value}" for key, value in entries.items())]
        lines += [] if interface is None else ["[nasrec_nni.interface]", f"{interface} = {module}"]
        entries = "\n".join(lines)
    (info / "entry_points.txt").write_text(entries)


def broken(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for name, (text, entry, interface) in BROKEN.items():
        package(folder, name, text, {entry: f"{name.replace('-', '_')}:MINE"}, interface)
