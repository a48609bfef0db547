"""Is this machine fit: versions, GPU, disk, caches, a port; and what earlier runs of ours have left running.

Exit status 2 where something is bad: it is the user's to mend, as a wrong file is. Leftovers and warnings are not bad.
"""

from __future__ import annotations

import argparse
from typing import Any

from nasrec_nni.cli.tables import table


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--end-leftovers",
        action="store_true",
        help="end processes of our own runs whose command has gone; never anybody else's",
    )


def run(options: argparse.Namespace) -> dict[str, Any]:
    from nasrec_nni.experiment.fitness import checks
    from nasrec_nni.experiment.leftovers import end, look

    found = [check.as_json() for check in checks()]
    processes = look()
    left = [one for one in processes if one.why is not None]
    ended = end(left) if options.end_leftovers else []
    return {
        "fit": all(check["state"] != "bad" for check in found),
        "checks": found,
        "in_use": [one.as_json() for one in processes if one.why is None],
        "leftovers": [one.as_json() for one in left if one not in ended],
        "ended": [one.as_json() for one in ended],
    }


def status(result: dict[str, Any]) -> int:
    """Exit status."""
    return 0 if result["fit"] else 2


def words(result: dict[str, Any]) -> str:
    parts = [table(result["checks"], ("name", "state", "found", "hint"))]
    for key, told in (("in_use", "at work"), ("leftovers", "left over"), ("ended", "ended")):
        if result[key]:
            columns = ("process", "role", "run", "why", "listens")
            parts.append(f"{told}:\n{table(_as_text(result[key]), columns)}")
    if result["leftovers"]:
        parts.append("`nasrec doctor --end-leftovers` ends what is left over")
    parts.append("this machine is fit" if result["fit"] else "this machine is not fit: see what is bad")
    return "\n\n".join(parts)


def _as_text(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row | {"process": str(row["process"])} for row in rows]  # whose thousands nobody counts
