"""Which plug-ins are installed, from the packages' metadata; no code of theirs runs.

One look at all installed packages serves every group. A package whose entry points cannot be read is kept with the
reason: `importlib.metadata.entry_points` would fail for all packages because of that one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import Distribution, EntryPoint, distributions

PREFIX = "nasrec_nni."
GROUPS = ("operators", "mergers", "search_spaces", "one_shot", "search", "sources", "objectives", "baselines")
OWN = "nasrec-nni"
# What plug-ins and core agree on: attributes of descriptions, calls and shapes. Raised when any of it changes so that
# a plug-in written for it before would break or mean something else.
INTERFACE = 1
INTERFACE_GROUP = f"{PREFIX}interface"


@dataclass(frozen=True)
class Found:
    """One entry point.

    Args:
        name: registered.
        target: `module:attribute`.
        package: whose it is.
        interfaces: that the package says it is written for.
        point: to load it by.
    """

    name: str
    target: str
    package: str
    interfaces: tuple[str, ...]
    point: EntryPoint


@dataclass
class Installed:
    """What all packages bring.

    Args:
        groups: by group, then by name; several of one name clash.
        unreadable: package -> why its entry points cannot be read.
    """

    groups: dict[str, dict[str, list[Found]]] = field(default_factory=lambda: {group: {} for group in GROUPS})
    unreadable: dict[str, str] = field(default_factory=dict)


@cache
def installed() -> Installed:
    """All plug-ins on the path of this process, looked for once. Of a package found twice the first counts."""
    whole, seen = Installed(), set()
    for package, distribution in _with_plugins():
        if (key := re.sub(r"[-_.]+", "-", package).lower()) in seen:
            continue
        seen.add(key)
        try:
            points = [point for point in distribution.entry_points if point.group.startswith(PREFIX)]
        except Exception as error:  # a line without `=`, say
            whole.unreadable[package] = f"{type(error).__name__}: {error}"
            continue
        interfaces = tuple(point.name for point in points if point.group == INTERFACE_GROUP)
        for point in points:
            names = whole.groups.get(point.group.removeprefix(PREFIX))
            if names is not None:
                found = Found(point.name, point.value, package, interfaces, point)
                names.setdefault(point.name, []).append(found)
    return whole


def _with_plugins() -> Iterator[tuple[str, Distribution]]:
    """The packages that name one of our groups, in the order of the path."""
    for distribution in distributions():
        try:
            text = distribution.read_text("entry_points.txt") or ""
        except (OSError, ValueError):
            continue  # not a text: pip and importlib.metadata cannot use it either
        if PREFIX in text:
            yield _name(distribution), distribution


def _name(distribution: Distribution) -> str:
    try:
        return distribution.metadata["Name"] or "unknown"
    except Exception:  # metadata are missing or no metadata
        return "unknown"
