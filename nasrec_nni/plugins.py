"""Registries over entry-point groups: built-ins and a stranger's plug-ins enter by the same door."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from nasrec_nni.errors import UserError, nearest

GROUPS = ("operators", "mergers", "search_spaces", "one_shot", "search", "sources", "objectives", "baselines")


@dataclass(frozen=True)
class Plugin:
    """One registered name: who brings it, and what is wrong with it if anything."""

    name: str
    package: str
    target: str
    problem: str | None = None


@dataclass
class Registry:
    """The plug-ins of one group, found once, loaded when first asked for.

    Args:
        group: the part behind `nasrec_nni.`, one of `GROUPS`.
    """

    group: str
    _found: dict[str, list[EntryPoint]] = field(default_factory=dict)
    _loaded: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for point in entry_points(group=f"nasrec_nni.{self.group}"):
            owners = self._found.setdefault(point.name, [])
            if all((other.value, _owner(other)) != (point.value, _owner(point)) for other in owners):
                owners.append(point)

    def names(self) -> list[str]:
        """All names, the built-ins' and strangers', sorted; those that clash included."""
        return sorted(self._found.keys() | self._loaded.keys())

    def list(self) -> list[Plugin]:
        """Every plug-in with its package; a broken or clashing one with its problem."""
        return [
            Plugin(name, _owner(point), point.value, self._problem(name))
            for name, points in sorted(self._found.items())
            for point in points
        ]

    def _problem(self, name: str) -> str | None:
        try:
            self.load(name)
        except UserError as error:
            return error.message
        return None

    def register(self, name: str, plugin: Any) -> None:
        """Add an object by hand, for tests and notebooks. A name that is taken raises."""
        if name in self._found or name in self._loaded:
            owners = ", ".join(_owner(point) for point in self._found.get(name, [])) or "this process"
            raise UserError(f"{self.group} {name!r} is already registered by {owners}")
        self._loaded[name] = plugin

    def load(self, name: str) -> Any:
        """The object behind a name.

        Raises:
            UserError: unknown name, two packages claim it, or its import fails.
        """
        if name in self._loaded:
            return self._loaded[name]
        points = self._found.get(name, [])
        if not points:
            raise UserError(
                f"no {self.group} plug-in has this name",
                value=name,
                allowed=", ".join(self.names()) or "none is installed",
                hint=nearest(name, self.names()),
            )
        if len(points) > 1:
            owners = " and ".join(sorted(f"{_owner(point)} ({point.value})" for point in points))
            raise UserError(f"{self.group} {name!r} is claimed by {owners}", hint="Uninstall one of them")
        try:
            self._loaded[name] = points[0].load()
        except Exception as error:  # a stranger's import may raise anything
            raise UserError(
                f"{self.group} {name!r} of package {_owner(points[0])} cannot be loaded: "
                f"{type(error).__name__}: {error}",
                hint="Mend or uninstall that package",
            ) from error
        return self._loaded[name]


def _owner(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "unknown"


@cache
def registry(group: str) -> Registry:
    """The one registry of a group in this process."""
    if group not in GROUPS:
        raise ValueError(f"unknown plug-in group {group!r}")
    return Registry(group)


def resolve(target: str) -> Any:
    """The object at `module:attribute`; how a description names its heavy implementation."""
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)
