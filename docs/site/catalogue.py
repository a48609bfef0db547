"""The error catalogue, read from the source: every message that a mistake of the user's can get, by room.

A message is found where a `UserError` (or a subclass) is made, and where a validator of the typed config raises
`ValueError`; source_texts.py tells what it can say. Most errors say themselves what is allowed or what to do next; the
others have their line in errors.yaml, and so does the reason of each group. `missing` and `unused` let a test see an
error without an entry, and an entry without an error.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from source_texts import Module, called, modules, texts

NOTES = Path(__file__).with_name("errors.yaml")
KINDS = ("UserError", "Diverged")
VALIDATORS = ("nasrec_nni.durations",)  # called by the typed config
HEAD = """# Errors

An error names what was wrong, the value, where, what is allowed and the next step; it is one message and never a
traceback, with exit status 2. With `--json` the same stands on stdout, as an object `error` with `status`, `message`,
`what`, `where`, `value`, `allowed` and `hint`; several mistakes found in one look are told together, in `errors`.

This page is read from the source when the site is built: {count} messages. A part in ‹ › is filled in when it happens.
Wrong types and ranges of a config's values are told in the words of pydantic, with key and value; what the disk or its
rights refuse, in those of the system, with the path. `a fault of nasrec` (exit status 1) is ours: please report it with
the file that it names.
"""


@dataclass(frozen=True)
class Message:
    """One message: its template, and what it says about the way out."""

    module: str
    line: int
    says: str
    where: str
    told: tuple[str, ...]

    @property
    def needs_note(self) -> bool:
        return not self.told


def messages(root: Path) -> list[Message]:
    """All of them, in the order of modules and lines."""
    found = [one for module in modules(root).values() for one in _of_module(module)]
    return list({(one.module, one.says, one.told): one for one in found}.values())


def _of_module(module: Module) -> Iterator[Message]:
    typed = module.name in VALIDATORS or "pydantic" in module.text
    if not any(f"{kind}(" in module.text for kind in (*KINDS, "ValueError")):
        return
    for node in module.calls:
        if not node.args:
            continue
        name = called(node)
        of_config = typed and name == "ValueError" and isinstance(getattr(node, "parent", None), ast.Raise)
        if name not in KINDS and not of_config:
            continue
        if isinstance(node.args[0], ast.Attribute) and node.args[0].attr == "what":
            continue  # another error passed on with a place of its own
        keys = {one.arg: one.value for one in node.keywords}
        told: list[str] = []
        for key, start in (("allowed", "Allowed: "), ("hint", "")):
            if key in keys:
                ways = list(dict.fromkeys(text.rstrip(".") for text in texts(keys[key], module) if text))
                told += [start + " · or: ".join(ways)] if ways else []
        where = next(iter(texts(keys["where"], module)), "") if "where" in keys else ""
        for says in texts(node.args[0], module):
            yield Message(module.name, node.lineno, " ".join(says.split()), where, tuple(dict.fromkeys(told)))


def notes() -> dict[str, Any]:
    """What is written by hand: groups with their reason, and the way out of messages that do not tell it."""
    found: dict[str, Any] = yaml.safe_load(NOTES.read_text(encoding="utf-8"))
    return found


def group_of(module: str, groups: dict[str, Any]) -> str | None:
    """The group of a module: the longest name that it begins with."""
    fitting = [name for name in groups if module == name or module.startswith(f"{name}.")]
    return max(fitting, key=len, default=None)


def missing(root: Path) -> list[str]:
    """Messages without a way out, and modules without a group."""
    known, found = notes(), messages(root)
    without = [
        f"{one.module}:{one.line}: {one.says!r}" for one in found if one.needs_note and one.says not in known["do"]
    ]
    return without + [f"{one.module}: no group" for one in found if group_of(one.module, known["groups"]) is None]


def unused(root: Path) -> list[str]:
    """Entries that no message has any more."""
    known, found = notes(), messages(root)
    says = {one.says for one in found if one.needs_note}
    used = {group_of(one.module, known["groups"]) for one in found}
    return [text for text in known["do"] if text not in says] + [name for name in known["groups"] if name not in used]


def page(root: Path) -> str:
    """Markdown of the page."""
    known, found = notes(), messages(root)
    parts = [HEAD.format(count=len(found))]
    for name, group in known["groups"].items():
        inside = [one for one in found if group_of(one.module, known["groups"]) == name]
        if not inside:
            continue
        lines = [f"| {_says(one)} | {_do(one, known['do'])} |" for one in sorted(inside, key=lambda one: one.says)]
        anchor = name.replace(".", "-")
        why = " ".join(group["why"].split())
        head = f"## {group['title']} {{: #{anchor} }}\n\n{why} (Room: `{name.removeprefix('nasrec_nni.')}`.)\n"
        parts.append("\n".join([head, "| it says | do |", "|---|---|", *lines, ""]))
    return "\n".join(parts)


def _says(one: Message) -> str:
    where = f"{one.where}: " if one.where.strip() and not one.where.startswith("‹") else ""
    return _cell(where + one.says)


def _do(one: Message, known: dict[str, str]) -> str:
    told = " ".join(text if text.endswith("?") else f"{text}." for text in one.told)
    return _cell(told or f"{known.get(one.says, '?')}.")


def _cell(text: str) -> str:
    text = " ".join(text.split())
    for sign in ("\\", "|", "<", "*", "_", "[", "]", "{", "}"):
        text = text.replace(sign, f"\\{sign}" if sign != "<" else "&lt;")
    return text
