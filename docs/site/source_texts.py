"""What an expression of the source can say: its texts, with a ‹name› for each part known only when it happens.

Nothing is run: a name is followed to constants, local values, callers and the module that it comes from.
"""

from __future__ import annotations

import ast
import itertools
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

FOLDERS = {
    "nasrec_nni": "nasrec_nni",
    "search_spaces": "nasrec_nni.search_spaces",
    "strategies": "nasrec_nni.strategies",
}


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
    name = called(node)
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


def called(node: ast.Call) -> str:
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
        if called(node) == function.name:
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
    if isinstance(node, ast.Call) and called(node) in ("str", "repr", "shown", "sorted", "mib", "words") and node.args:
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
