"""The error catalogue, read from the source: every message that a mistake of the user's can get, by room.

A message is found where a `UserError` (or a subclass) is made, and where a validator of the typed config raises
`ValueError`. Parts that are known only when it happens are shown as ‹name›. Most errors say themselves what is allowed
or what to do next; the others have their line in errors.yaml, and so does the reason of each group. `missing` and
`unused` let a test see an error without an entry, and an entry without an error.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

FOLDERS = {
    "nasrec_nni": "nasrec_nni",
    "search_spaces": "nasrec_nni.search_spaces",
    "strategies": "nasrec_nni.strategies",
}
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


@dataclass
class Module:
    """A source file with what is needed to follow a name to its text."""

    name: str
    path: Path
    others: dict[str, Module] = field(repr=False)

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """All of the file, each node with its parent."""
        found: list[ast.AST] = [ast.parse(self.text)]
        for parent in found:  # it grows
            for child in ast.iter_child_nodes(parent):
                child.parent = parent  # type: ignore[attr-defined]
                found.append(child)
        return found

    @cached_property
    def calls(self) -> list[ast.Call]:
        return [node for node in self.nodes if isinstance(node, ast.Call)]

    @cached_property
    def constants(self) -> dict[str, ast.expr]:
        found = {}
        for node in ast.iter_child_nodes(self.nodes[0]):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                found[node.targets[0].id] = node.value
        return found

    @cached_property
    def imported(self) -> dict[str, str]:
        return {
            alias.asname or alias.name: str(node.module)
            for node in self.nodes
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }


def modules(root: Path) -> dict[str, Module]:
    """Every module of the package by its dotted name."""
    found: dict[str, Module] = {}
    for folder, name in FOLDERS.items():
        for path in sorted((root / folder).rglob("*.py")):
            parts = [name, *path.relative_to(root / folder).with_suffix("").parts]
            dotted = ".".join(part for part in parts if part != "__init__")
            found[dotted] = Module(dotted, path, found)
    return found


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
        name = _called(node)
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


def texts(node: ast.expr | None, module: Module, depth: int = 0) -> list[str]:
    """What an expression can say; names are followed to constants, local values and callers."""
    if node is None or (isinstance(node, ast.Constant) and node.value is None):
        return []
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    if isinstance(node, ast.JoinedStr):
        parts = [
            texts(one.value, module, depth + 1) if isinstance(one, ast.FormattedValue) else [one.value]
            for one in node.values
        ]  # type: ignore[attr-defined]
        return ["".join(one) for one in itertools.islice(itertools.product(*(part[:3] or [""] for part in parts)), 3)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        if isinstance(node.right, ast.Constant) and not isinstance(node.right.value, str):
            return [_placeholder(node.left)]  # a number, counted from 1
        sides = itertools.product(texts(node.left, module, depth), texts(node.right, module, depth))
        return ["".join(one) for one in sides]
    if isinstance(node, ast.IfExp):
        return texts(node.body, module, depth) + texts(node.orelse, module, depth)
    if isinstance(node, ast.BoolOp):
        return [text for one in node.values for text in texts(one, module, depth)]
    if isinstance(node, ast.Call):
        return _of_call(node, module, depth)
    if isinstance(node, ast.Name) and depth < 4:
        return _of_name(node, module, depth + 1)
    return [_placeholder(node)]


def _of_call(node: ast.Call, module: Module, depth: int) -> list[str]:
    name = _called(node)
    if name == "nearest":
        return ["Did you mean ‹name›?"]
    if name == "str" and node.args:
        return (
            texts(node.args[0], module, depth + 1) if not isinstance(node.args[0], ast.Name) else [_placeholder(node)]
        )
    return [_placeholder(node)]


def _of_name(node: ast.Name, module: Module, depth: int) -> list[str]:
    """A name's values: of the function around it, its callers, the module, the module it comes from."""
    function = _function(node)
    while function is not None:
        given = _assigned(function, node.id)
        if given:
            return list(dict.fromkeys(text for one in given for text in texts(one, module, depth)))
        names = [one.arg for one in [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]]
        if node.id in names:
            return _of_callers(function, node.id, names, module, depth) or [_placeholder(node)]
        function = _function(function)
    owner = module
    if node.id not in owner.constants and node.id in module.imported:
        owner = module.others.get(module.imported[node.id], module)
    if node.id in owner.constants:
        return texts(owner.constants[node.id], owner, depth)
    return [_placeholder(node)]


def _called(node: ast.Call) -> str:
    """The last name of what is called."""
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


Function = ast.FunctionDef | ast.AsyncFunctionDef


def _function(node: ast.AST) -> Function | None:
    parent = getattr(node, "parent", None)
    while parent is not None and not isinstance(parent, Function):
        parent = getattr(parent, "parent", None)
    return parent


def _assigned(function: Function, name: str) -> list[ast.expr]:
    found = []
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and any(isinstance(one, ast.Name) and one.id == name for one in node.targets):
            found.append(node.value)
        if isinstance(node, ast.NamedExpr) and node.target.id == name:
            found.append(node.value)
    return [one for one in found if isinstance(one, ast.Constant | ast.JoinedStr | ast.IfExp | ast.BinOp | ast.BoolOp)]


def _of_callers(function: Function, name: str, names: list[str], module: Module, depth: int) -> list[str]:
    found: list[str] = []
    bare = [one for one in names if one not in ("self", "cls")]
    for node in module.calls:
        if _called(node) == function.name:
            given = {one.arg: one.value for one in node.keywords}
            if name in bare and bare.index(name) < len(node.args):
                given[name] = node.args[bare.index(name)]
            value = given.get(name)
            if isinstance(value, ast.Constant | ast.JoinedStr):
                found += texts(value, module, depth)
            elif isinstance(value, ast.Name) and value.id in module.constants:
                found += texts(module.constants[value.id], module, depth)
    return list(dict.fromkeys(found))


def _placeholder(node: ast.AST) -> str:
    """A short name for what is filled in."""
    if isinstance(node, ast.Name):
        return f"‹{node.id.strip('_').lower().replace('_', ' ')}›"
    if isinstance(node, ast.Attribute):
        return f"‹{node.attr.strip('_').lower().replace('_', ' ')}›"
    if isinstance(node, ast.Call) and _called(node) in ("str", "repr", "shown", "sorted", "mib", "words") and node.args:
        return _placeholder(node.args[0])
    if isinstance(node, ast.Subscript):
        return _placeholder(node.value)
    if isinstance(node, ast.BinOp):
        return _placeholder(node.left)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "join":
        return "‹list›"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args:
        return _placeholder(node.func.value)
    return "‹…›"


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
