"""What is installed: plug-ins with the package that brings them and what is wrong with them, or the examples.

Without a group: every plug-in that another package brings, and every one that cannot be used.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from nasrec_nni.cli.examples import describe_all
from nasrec_nni.cli.tables import table
from nasrec_nni.errors import UserError, nearest
from nasrec_nni.plugins import GROUPS, OWN, Plugin, registry

LISTS = (*GROUPS, "examples")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("group", metavar="GROUP", nargs="?", help=", ".join(LISTS))


def run(options: argparse.Namespace) -> dict[str, Any]:
    if options.group is None:
        found = {group: registry(group).list() for group in GROUPS}
        counts = {group: sum(plugin.problem is None for plugin in plugins) for group, plugins in found.items()}
        return {"group": None, "usable": counts, "items": _strangers(found)}
    if options.group not in LISTS:
        raise UserError(
            "no such list", value=options.group, allowed=", ".join(LISTS), hint=nearest(options.group, LISTS)
        )
    if options.group == "examples":
        return {"group": "examples", "items": describe_all()}
    return {"group": options.group, "items": [asdict(plugin) for plugin in registry(options.group).list()]}


def _strangers(found: dict[str, list[Plugin]]) -> list[dict[str, Any]]:
    """Each once: a package that cannot be read is in the list of every group."""
    rows = [
        {"group": group if plugin.name != "?" else "?"} | asdict(plugin)
        for group, plugins in found.items()
        for plugin in plugins
        if plugin.package != OWN or plugin.problem is not None
    ]
    return [row for at, row in enumerate(rows) if row not in rows[:at]]


def words(result: dict[str, Any]) -> str:
    """The table; problems are sentences, which stand below it."""
    rows = result["items"]
    if result["group"] == "examples":
        return table(rows)
    columns = [name for name in ("group", "name", "package", "target") if rows and name in rows[0]]
    shown = [row | {"state": "ok" if row["problem"] is None else "cannot be used"} for row in rows]
    problems = [f"{row['name']} ({row['package']}): {row['problem']}" for row in rows if row["problem"] is not None]
    parts = [table(shown, (*columns, "state")), *problems]
    if result["group"] is None:
        counts = ", ".join(f"{count} {group}" for group, count in result["usable"].items())
        others = [table(shown, (*columns, "state"))] if rows else ["every plug-in is nasrec-nni's own, and works"]
        parts = [f"usable: {counts} (`nasrec ls GROUP` lists them)", *others, *problems]
    return "\n\n".join(parts)
