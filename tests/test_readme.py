"""README and examples say only what exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from nasrec_nni.cli import main
from nasrec_nni.cli.parser import verb_parser
from nasrec_nni.cli.verbs import VERBS
from nasrec_nni.config_file import load_config
from nasrec_nni.errors import UserErrors
from nasrec_nni.pipeline.check import check

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))


def commands(text: str) -> list[str]:
    """`nasrec …` lines of fenced blocks, without their comments."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = [line.partition(" #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("nasrec ")]


def test_the_readme_names_every_verb_and_no_other() -> None:
    named = set(re.findall(r"`nasrec ([a-z-]+)", README))
    assert named == set(VERBS)


@pytest.mark.parametrize("command", commands(README))
def test_commands_of_the_readme_parse(command: str) -> None:
    _, verb, *words = shlex.split(command)
    _, unknown = verb_parser(verb).parse_known_intermixed_args(words)
    assert unknown == []


def test_the_readmes_way_for_an_own_log_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every command of that block up to the plan, as a person types it, on a log of theirs."""
    monkeypatch.chdir(tmp_path)
    rows = (f"{int(row % 5 == 0)},{20 + row % 9},{'abcd'[row % 4]}\n" for row in range(300))
    Path("clicks.csv").write_text("click,age,city\n" + "".join(rows))
    (block,) = re.findall(r"^```\n(nasrec prepare.*?)^```", README, re.DOTALL | re.MULTILINE)
    *before, last = commands(f"```\n{block}```")
    assert "--plan" in before[-1]
    assert "--out" in last
    small = "space.blocks=2 space.dense_widths=[16] retrain.baselines=[lr]"  # a plan measures the speed of its networks
    for command in (*before[:-1], f"{before[-1]} {small}"):
        assert main(shlex.split(command)[1:]) == 0, capsys.readouterr().err
    assert "supernet" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"clicks-report.html", "clicks.csv", "data", "own-csv.yaml"}


@pytest.mark.parametrize("target", re.findall(r"^make (\w+)", README, re.MULTILINE))
def test_targets_of_the_readme_exist(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_examples_say_how_to_run_them_and_are_valid(example: Path) -> None:
    header = example.read_text().split("\n\n")[0]
    assert re.search(r"^#   nasrec .*", example.read_text(), re.MULTILINE), header
    assert "Result to expect" in example.read_text()
    config = load_config(example)
    if all(Path(path).exists() for path in config.data.inputs):
        check(config)
    else:  # inputs are the reader's own
        with pytest.raises(UserErrors) as told:
            check(config)
        assert {error.where for error in told.value.errors} == {"data.inputs"}


def test_no_file_names_a_registry_host_or_a_place_on_one_machine() -> None:
    files = [ROOT / name for name in ("README.md", "Makefile", "constraints.txt", ".ci/run", "setup.py")] + EXAMPLES
    for path in files:
        assert not re.search(r"https?://|/home/|/root/|/tmp/", path.read_text()), path
