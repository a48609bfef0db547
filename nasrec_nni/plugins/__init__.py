"""Registries over entry-point groups: built-ins and a stranger's plug-ins enter by the same door.

    entry points ─ finding ─► found, with package and interface ─ registry ─► loaded, checked by contracts

A stranger's plug-in that is broken, clashes or is written for another interface is refused where it is used, with
the package to blame; all others go on. Nothing is imported before it is asked for.
"""

from __future__ import annotations

from nasrec_nni.plugins.finding import GROUPS, INTERFACE, INTERFACE_GROUP, OWN
from nasrec_nni.plugins.registries import Plugin, Registry, registry, resolve

__all__ = ["GROUPS", "INTERFACE", "INTERFACE_GROUP", "OWN", "Plugin", "Registry", "registry", "resolve"]
