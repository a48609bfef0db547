"""docs/watching.md says only what exists: commands of ours and of NNI parse, files are there."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from pathlib import Path

import pytest
from nni.tools.nnictl import nnictl

from nasrec_nni.cli.parser import verb_parser

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "watching.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```\w*\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
LINES = [line for block in BLOCKS for line in block.splitlines()]
INLINE = re.findall(r"`([^`\n]+)`", TEXT)
# Inline, a command with capitals in it is whole; others name one only.
WHOLE = [*LINES, *(text for text in INLINE if re.search(r"[A-Z]{2}", text))]
OURS = sorted({text for text in WHOLE if text.startswith("nasrec ")})
THEIRS = sorted({f"nnictl {text.split('nnictl ', 1)[1]}" for text in WHOLE if "nnictl " in text})


@pytest.mark.parametrize("command", OURS)
def test_our_commands_parse(command: str) -> None:
    _, verb, *words = shlex.split(command)
    parser = verb_parser(verb)
    _, unknown = parser.parse_known_intermixed_args(words) if words else (None, [])
    assert unknown == []


class Parsed(Exception):
    """The words were taken."""


@pytest.mark.parametrize("command", THEIRS)
def test_nnis_commands_parse(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parse_args = argparse.ArgumentParser.parse_args

    def stop(self: argparse.ArgumentParser, *given: object, **more: object) -> None:
        parse_args(self)
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
    monkeypatch.setattr(sys, "argv", shlex.split(command))
    with pytest.raises(Parsed):
        nnictl.parse_args()


def test_there_are_commands_of_both_kinds() -> None:
    assert len(OURS) >= 6
    assert {"nnictl resume ID", "nnictl stop ID", "nnictl view ID"} <= set(THEIRS)


def test_examples_that_are_named_exist() -> None:
    named = set(re.findall(r"(\w+\.yml)", TEXT)) - {"experiment.yml"}
    assert {path.name for path in (ROOT / "examples" / "nni").glob("*.yml")} == named


def test_keys_of_doctors_json_are_those_of_the_page() -> None:
    source = (ROOT / "nasrec_nni" / "cli" / "verbs" / "doctor.py").read_text()
    for key in ("fit", "checks", "in_use", "leftovers", "ended"):
        assert f'"{key}"' in source
        assert f"`{key}`" in TEXT


def test_no_place_on_one_machine_and_no_mirror() -> None:
    assert not re.search(r"https?://(?!127\.0\.0\.1:)|/home/|/root/|/tmp/", TEXT)
