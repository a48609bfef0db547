"""What is installed: plug-ins of a group with the package that brings them, or the examples."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from nasrec_nni.cli.examples import describe_all
from nasrec_nni.cli.tables import table
from nasrec_nni.errors import UserError, nearest
from nasrec_nni.plugins import GROUPS, registry

LISTS = (*GROUPS, "examples")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("group", metavar="GROUP", help=", ".join(LISTS))


def run(options: argparse.Namespace) -> dict[str, Any]:
    if options.group not in LISTS:
        raise UserError(
            "no such list", value=options.group, allowed=", ".join(LISTS), hint=nearest(options.group, LISTS)
        )
    if options.group == "examples":
        return {"group": "examples", "items": describe_all()}
    return {"group": options.group, "items": [asdict(plugin) for plugin in registry(options.group).list()]}


def words(result: dict[str, Any]) -> str:
    return table(result["items"])
