"""What an object must have to serve in its group; looked at when it is loaded, before anything relies on it.

Structure, not types: no room above is imported here, and a stranger may bring a class of his own.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Fits = Callable[[Any], bool]
SIDES, LISTS = ("dense", "sparse"), {"dense", "sparse", "left", "right"}
TARGET = re.compile(r"[\w.]+:\w+")


@dataclass(frozen=True)
class Contract:
    """What a group needs.

    Args:
        what: an object of the group, in words.
        attributes: name -> whether its value fits, and which do, in words.
        call: names of the arguments that the object itself is called with.
        instance: what the objects that such a call makes must have.
        named: whether `name` must be the registered one.
    """

    what: str
    attributes: Mapping[str, tuple[Fits, str]] = field(default_factory=dict)
    call: tuple[str, ...] = ()
    instance: tuple[str, ...] = ()
    named: bool = True


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _bool(value: Any) -> bool:
    return isinstance(value, bool)


def _count(value: Any) -> bool:
    return type(value) is int and value > 0


def _target(value: Any) -> bool:
    return isinstance(value, str) and TARGET.fullmatch(value) is not None


def _lists(value: Any) -> bool:
    return isinstance(value, frozenset) and bool(value) and value <= LISTS


def _names(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and all(map(_text, value)) and len(set(value)) == len(value)


def _sizes(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and all(map(_count, value)) and len(set(value)) == len(value)


CALL = (callable, "something to call")
BOOL = (_bool, "true or false")
SIDE = (lambda value: value in SIDES, "dense or sparse")
TARGET_TEXT = (_target, "text as module:Class")
NAMES, SIZES = (_names, "a tuple of different names"), (_sizes, "a tuple of different whole numbers above 0")
COUNT, TEXT = (_count, "a whole number above 0"), (_text, "text")

CONTRACTS: dict[str, Contract] = {
    "operators": Contract(
        "an Operator",
        {
            "side": SIDE,
            "reads": (_lists, f"a frozenset of {', '.join(sorted(LISTS))}"),
            "macs": CALL,
            "parameters": CALL,
            "target": TARGET_TEXT,
            "symmetric": BOOL,
        },
    ),
    "mergers": Contract(
        "a Merger",
        {
            "side": SIDE,
            "macs": CALL,
            "parameters": CALL,
            "target": TARGET_TEXT,
            "rows": (lambda value: type(value) is int and value >= 0, "a whole number"),
        },
    ),
    "search_spaces": Contract(
        "a SpaceDescription",
        {
            "dense_operators": NAMES,
            "sparse_operators": NAMES,
            "blocks": COUNT,
            "dense_widths": SIZES,
            "sparse_rows": SIZES,
            "max_connections": COUNT,
            "embedding": COUNT,
            "heads": COUNT,
            "dense_to_sparse": TEXT,
            "sparse_to_dense": TEXT,
            "with_sizes": CALL,
            "check": CALL,
        },
    ),
    "one_shot": Contract("a Distribution", {"draw": CALL, "warms_up": BOOL}),
    "search": Contract(
        "a search algorithm, which is called with space, seed, options and budget",
        call=("space", "seed", "options", "budget"),
        instance=("ask", "tell"),
        named=False,
    ),
    "sources": Contract(
        "a subclass of LogSource",
        {
            "Options": (lambda value: hasattr(value, "model_fields"), "a subclass of SourceOptions"),
            "default_split": TEXT,
            "default_min_count": COUNT,
            "columns": CALL,
            "chunks": CALL,
            "parts": CALL,
        },
        call=("inputs", "options", "split"),
        named=False,
    ),
    "objectives": Contract(
        "an Objective", {"minimise": BOOL, "figure": TEXT, "measured": BOOL, "value": CALL}
    ),
    "baselines": Contract(
        "a function, which is called with dense_width, rows_per_field and settings",
        call=("dense_width", "rows_per_field", "settings"),
        named=False,
    ),
}  # fmt: skip


def fault(group: str, name: str, plugin: Any) -> str | None:
    """What is wrong with an object of a group; None if nothing is.

    Args:
        group: its group.
        name: under which it is registered.
        plugin: the object.
    """
    contract = CONTRACTS[group]
    try:
        found = _fault(contract, name, plugin)
    except Exception as error:  # a stranger's attributes may raise anything
        found = f"{type(error).__name__} when its attributes are read: {error}"
    return None if found is None else f"{found}; {group} are each {contract.what}"


def _fault(contract: Contract, name: str, plugin: Any) -> str | None:
    wanted = (*(("name",) if contract.named else ()), *contract.attributes)
    lacking = [key for key in wanted if not hasattr(plugin, key)]
    if wanted and len(lacking) == len(wanted):
        return f"it is {_kind(plugin)}"
    if lacking:
        return f"it lacks the attribute{'s' * (len(lacking) > 1)} {', '.join(lacking)}"
    for key, (fits, words) in contract.attributes.items():
        if not fits(value := getattr(plugin, key)):
            return f"its attribute {key} is {value!r}, and should be {words}"
    if contract.named and plugin.name != name:
        return f"its attribute name is {plugin.name!r}, and it is registered as {name!r}"
    return _call_fault(contract, plugin) if contract.call else None


def _call_fault(contract: Contract, plugin: Any) -> str | None:
    if not callable(plugin):
        return f"it is {_kind(plugin)}"
    if abstract := sorted(getattr(plugin, "__abstractmethods__", ())):
        return f"it does not define {', '.join(abstract)}"
    if isinstance(plugin, type) and (lacking := [key for key in contract.instance if not hasattr(plugin, key)]):
        return f"it lacks the attribute{'s' * (len(lacking) > 1)} {', '.join(lacking)}"
    try:
        inspect.signature(plugin).bind(*contract.call)
    except TypeError as error:
        return f"it cannot be called so: {error}"
    except ValueError:  # written in C: no signature to look at
        return None
    return None


def _kind(plugin: Any) -> str:
    if isinstance(plugin, type):
        return f"the class {plugin.__name__}"
    name = type(plugin).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
