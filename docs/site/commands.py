"""The command-line reference: the help of every verb, as the parser prints it."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from nasrec_nni.cli.parser import verb_parser
from nasrec_nni.cli.verbs import VERBS

HEAD = """# Command line

Made from the parser when this site is built; `nasrec VERB --help` prints the same. Every verb takes `--json` (one JSON
object on stdout, errors included) and `--traceback`. Exit status: 0 done, 2 a mistake in input, config or files, 1 a
fault of ours, 130 or 143 interrupted with the state saved.

| verb | does |
|---|---|
{rows}
"""
UNTITLED = ("positional arguments", "options", "optional arguments")
SHARED = ("-h", "--json", "--traceback")


def page(root: Path) -> str:
    """Markdown of the page."""
    rows = "\n".join(f"| [`{verb}`](#nasrec-{verb}) | {words} |" for verb, words in VERBS.items())
    return HEAD.format(rows=rows) + "\n".join(map(section, VERBS))


def section(verb: str) -> str:
    """A verb: what it does, its arguments in a table, its usage line."""
    parser = verb_parser(verb)
    head = f"\n## nasrec {verb} {{: #nasrec-{verb} }}\n\n{(parser.description or '').strip()}\n"
    tables: list[list[str]] = []
    for group in parser._action_groups:
        actions = [one for one in group._group_actions if not set(SHARED) & set(one.option_strings)]
        lines = [f"| {_written(one)} | {_cell(one.help or '')} |" for one in actions]
        if lines and group.title in UNTITLED and tables:
            tables[-1] += lines
        elif lines:
            title = "" if group.title in UNTITLED else f"{str(group.title).capitalize()}:\n\n"
            tables.append([f"{title}| argument | meaning |", "|---|---|", *lines])
    return f"{head}\n```text\n{usage(parser)}\n```\n\n" + "\n\n".join("\n".join(table) for table in tables) + "\n"


def usage(parser: argparse.ArgumentParser) -> str:
    """The usage line at a width that a phone can scroll."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "80"
    try:
        return parser.format_usage().removeprefix("usage: ").rstrip()
    finally:
        os.environ.pop("COLUMNS") if before is None else os.environ.update(COLUMNS=before)


def _written(action: argparse.Action) -> str:
    name = action.metavar if isinstance(action.metavar, str) else action.dest
    if not action.option_strings:
        return f"`{name}`" + {"*": " …", "+": " …"}.get(str(action.nargs), "")
    takes_none = action.nargs == 0
    return ", ".join(f"`{word}`" if takes_none else f"`{word} {name}`" for word in action.option_strings)


def _cell(text: str) -> str:
    return " ".join(text.replace("%%", "%").split()).replace("|", "\\|")
