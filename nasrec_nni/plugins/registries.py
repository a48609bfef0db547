"""The plug-ins of one group: loaded when first asked for, checked, each fault told with its package."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from nasrec_nni.errors import UserError, nearest
from nasrec_nni.plugins.contracts import fault
from nasrec_nni.plugins.finding import GROUPS, INTERFACE, INTERFACE_GROUP, OWN, Found, installed

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")  # torch, NNI's labels and file names take all of these


@dataclass(frozen=True)
class Plugin:
    """One registered name: who brings it, and what is wrong with it if anything."""

    name: str
    package: str
    target: str
    problem: str | None = None


@dataclass
class Registry:
    """The plug-ins of one group.

    Args:
        group: the part behind `nasrec_nni.`, one of `GROUPS`.
    """

    group: str
    _found: dict[str, list[Found]] = field(default_factory=dict)
    _loaded: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._found = installed().groups[self.group]

    def names(self) -> list[str]:
        """All names, the built-ins' and strangers', sorted; those that are broken or clash included."""
        return sorted(self._found.keys() | self._loaded.keys())

    def list(self) -> list[Plugin]:
        """Every plug-in with its package and its problem, if it has one; then packages that cannot be read."""
        return [*self._listed(), *_unreadable()]

    def _listed(self) -> Iterator[Plugin]:
        for name, found in sorted(self._found.items()):
            for one in sorted(found, key=lambda one: one.package):
                yield Plugin(name, one.package, one.target, self._problem(one))

    def _problem(self, one: Found) -> str | None:
        try:
            if one is self._one(one.name):
                self.load(one.name)
                return None
        except UserError as error:
            return error.message
        return f"{OWN} has a plug-in of this name, which stays in use. Rename this one, or uninstall {one.package}"

    def owner(self, name: str) -> str | None:
        """The package whose plug-in is in use under a name; None for one that was registered by hand.

        Raises:
            UserError: the name is unknown, or two packages claim it.
        """
        return None if name in self._loaded and name not in self._found else self._one(name).package

    def register(self, name: str, plugin: Any) -> None:
        """Add an object by hand, for tests and notebooks. A name that is taken raises."""
        if name in self._found or name in self._loaded:
            owners = ", ".join(one.package for one in self._found.get(name, [])) or "this process"
            raise UserError(f"{self.group} {name!r} is already registered by {owners}")
        if wrong := fault(self.group, name, plugin):
            raise UserError(f"{self.group} {name!r} cannot be registered: {wrong}")
        self._loaded[name] = plugin

    def load(self, name: str) -> Any:
        """The object behind a name.

        Raises:
            UserError: the name is unknown or claimed by two packages, its package is written for another interface,
                its import fails, or it is not what the group needs.
        """
        if name not in self._loaded:
            self._loaded[name] = self._fetched(self._one(name))
        return self._loaded[name]

    def implementation(self, name: str) -> Any:
        """What a description names as its `target`: the class of an operator's or a merger's module.

        Raises:
            UserError: as `load`, or the target cannot be imported.
        """
        target: str = self.load(name).target
        try:
            return resolve(target)
        except (Exception, SystemExit) as error:
            raise self._broken(name, self.owner(name), f"its target {target!r} cannot be imported", error) from error

    def _one(self, name: str) -> Found:
        """The one plug-in of a name: ours if we have it, so that no stranger can take it away."""
        found = self._found.get(name, [])
        if not found:
            raise UserError(
                f"no {self.group} plug-in has this name",
                value=name,
                allowed=", ".join(self.names()) or "none is installed",
                hint=nearest(name, self.names()),
            )
        own = [one for one in found if one.package == OWN]
        if not own and len(found) > 1:
            owners = " and ".join(sorted(f"{one.package} ({one.target})" for one in found))
            raise UserError(f"{self.group} {name!r} is claimed by {owners}", hint="Uninstall one of them")
        return (own or found)[0]

    def _fetched(self, one: Found) -> Any:
        self._check_interface(one)
        if not NAME.fullmatch(one.name):
            what = "its name may hold letters, digits, - and _ only, and starts with a letter or a digit"
            raise self._broken(one.name, one.package, what)
        try:
            plugin = one.point.load()
        except (Exception, SystemExit) as error:  # a stranger's import may raise anything
            raise self._broken(one.name, one.package, f"{one.target!r} cannot be imported", error) from error
        if wrong := fault(self.group, one.name, plugin):
            raise self._broken(one.name, one.package, wrong)
        return plugin

    def _check_interface(self, one: Found) -> None:
        """Before any code of the package runs: what it was written for says more than what then fails."""
        if one.package == OWN or str(INTERFACE) in one.interfaces:
            return
        if not one.interfaces:
            module = one.target.partition(":")[0]
            hint = f'Add `[project.entry-points."{INTERFACE_GROUP}"]` with the line `{INTERFACE} = "{module}"`'
            raise self._broken(
                one.name,
                one.package,
                "the package does not say which plug-in interface it is written for",
                hint=f"{hint} to its pyproject.toml and install it again",
            )
        written = ", ".join(one.interfaces)
        raise self._broken(
            one.name,
            one.package,
            f"it is written for plug-in interface {written}, and this {OWN} has {INTERFACE}",
            hint=f"Install a release of {one.package} for interface {INTERFACE}, or the {OWN} it was written for",
        )

    def _broken(
        self, name: str, package: str | None, what: str, error: BaseException | None = None, hint: str | None = None
    ) -> UserError:
        told = f": {type(error).__name__}: {error}" if error is not None else ""
        return UserError(
            f"{self.group} {name!r} of package {package or 'this process'} cannot be used: {what}{told}",
            hint=hint or "Mend or uninstall that package",
        )


def _unreadable() -> Iterator[Plugin]:
    for package, why in sorted(installed().unreadable.items()):
        told = f"the entry points of this package cannot be read: {why}. Mend or uninstall it"
        yield Plugin("?", package, "entry_points.txt", told)


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
