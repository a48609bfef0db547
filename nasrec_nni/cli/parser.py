"""Command-line words to a verb and its options; mistakes are user errors with the nearest name."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib.metadata import version
from typing import NoReturn

from nasrec_nni.cli.verbs import VERBS, load
from nasrec_nni.errors import UserError, nearest


class Help(Exception):
    """Help or version was asked for."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class Parser(argparse.ArgumentParser):
    """Raises instead of leaving the process."""

    def error(self, message: str) -> NoReturn:
        raise UserError(message, where=self.prog, hint=f"`{self.prog} --help` lists what it takes")


def overview() -> str:
    """What `nasrec --help` prints."""
    width = max(map(len, VERBS))
    lines = [f"  {name:<{width}}  {text}" for name, text in VERBS.items()]
    return "\n".join(
        [
            "usage: nasrec VERB [arguments] [--json] [--traceback]",
            "",
            "One-shot architecture search for click-through-rate models, on NNI.",
            "",
            "verbs, in the order of the work:",
            *lines,
            "",
            "`nasrec VERB --help` tells its arguments. --json prints one JSON object on stdout, errors included.",
        ]
    )


def parse(given: Sequence[str]) -> tuple[str, argparse.Namespace]:
    """The verb and its options.

    Raises:
        Help: help or version was asked for.
        UserError: anything wrong with the words.
    """
    before = [word for word in given if word not in ("--json", "--traceback")]
    if not before or before[0] in ("-h", "--help", "help"):
        raise Help(overview())
    if before[0] == "--version":
        raise Help(version("nasrec-nni"))
    verb, *rest = before
    if verb not in VERBS:
        raise UserError("no such verb", value=verb, where="nasrec", allowed=", ".join(VERBS), hint=nearest(verb, VERBS))
    parser = verb_parser(verb)
    if "-h" in rest or "--help" in rest:
        raise Help(parser.format_help().rstrip())
    options, unknown = parser.parse_known_intermixed_args(rest)
    if unknown:
        known = [name for action in parser._actions for name in action.option_strings]
        raise UserError(
            "unknown argument",
            value=unknown[0],
            where=parser.prog,
            hint=nearest(unknown[0].partition("=")[0], known) or f"`{parser.prog} --help` lists what it takes",
        )
    return verb, options


def verb_parser(verb: str) -> Parser:
    """The parser of one verb."""
    module = load(verb)
    parser = Parser(prog=f"nasrec {verb}", description=module.__doc__, allow_abbrev=False)
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout, errors included")
    parser.add_argument("--traceback", action="store_true", help="show the traceback of a fault")
    module.arguments(parser)
    return parser
