"""Every block of code on every page is run, or says why not."""

from __future__ import annotations

import ast
import json
import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from nasrec_nni.cli import main
from nasrec_nni.cli.parser import verb_parser
from nasrec_nni.config_file import load_config

sys.path.insert(0, str(Path(__file__).parent))
from docs_blocks import BLOCKS, DATA, ROOT, Block

# The quickstart in seconds: same stages, same files.
SMALL = ["data.options={rows: 600}", "space.blocks=1", "space.dense_widths=[16]", "space.sparse_rows=[8]", "device=cpu"]
SMALL += ["supernet.recipe={preset: bars, batch: 128, epochs: 1}", "supernet.validation_rows=50"]
SMALL += ["search.algorithm=random", "search.options={}", "search.candidates=2", "search.head_rows=100"]
SMALL += ["retrain.top_k=1", "retrain.seeds=[0]", "retrain.baselines=[lr]"]
SMALL += ["retrain.recipe={preset: bars, batch: 128, epochs: 1}"]


def of(kind: str) -> list[Block]:
    return [block for block in BLOCKS if block.mark == kind]


def named(block: Block) -> str:
    return block.id


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run that has gone through all stages."""
    run = tmp_path_factory.mktemp("finished") / "run"
    assert main(["run", str(ROOT / "examples" / "quickstart.yaml"), "--out", str(run), "--json", *SMALL]) == 0
    return run


@pytest.fixture(scope="module")
def places() -> dict[str, Path]:
    """The folder of each page: its blocks run in it one after another."""
    return {}


@pytest.fixture
def place(request: pytest.FixtureRequest, finished: Path, places: dict[str, Path], tmp_path: Path) -> Iterator[Path]:
    """A reader's folder: a finished run, a log, an architecture file."""
    page = request.node.callspec.params["block"].page
    if page not in places:
        places[page] = tmp_path
        shutil.copytree(finished, tmp_path / "runs" / "quickstart")
        generator = random.Random(0)
        rows = (f"{int(row % 5 == 0)},{generator.randint(18, 80)},{'abcd'[row % 4]}\n" for row in range(300))
        (tmp_path / "clicks.csv").write_text("click,age,city\n" + "".join(rows))
        shutil.copy(ROOT / "tests" / "published" / "criteo_autoctr.json", tmp_path / "architecture.json")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(places[page])
        yield places[page]


def test_every_block_says_how_it_is_tested() -> None:
    kinds = ("run", "parse", "config")
    wrong = []
    for block in BLOCKS:
        mark = block.mark or ""
        if block.language in DATA and not mark:
            continue
        because = mark.removeprefix("none, because ")
        if mark in kinds or (because != mark and len(because.split()) >= 3):
            continue
        file = ROOT / "tests" / mark
        if not mark.startswith("test_") or not file.is_file() or Path(block.page).name not in file.read_text():
            wrong.append(f"{block.id}: {mark or 'no <!-- test: … --> above it'}")
    assert wrong == []


def test_every_kind_is_in_use() -> None:
    assert of("run")
    assert of("parse")
    assert of("config")


@pytest.mark.parametrize("block", of("run"), ids=named)
def test_it_runs(block: Block, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if block.language == "python":
        exec(compile(block.text, block.id, "exec"), {"__name__": "page"})  # the code under test
        return
    assert block.commands
    assert all(line.startswith(("nasrec ", "#")) or not line.strip() for line in block.text.splitlines())
    for words in block.commands:
        status = main([*words, "--json"])
        out, err = capsys.readouterr()
        assert status == 0, out + err
        found: dict[str, Any] = json.loads(out)
        assert "error" not in found


@pytest.mark.parametrize("block", of("parse"), ids=named)
def test_it_parses(block: Block) -> None:
    if block.language == "python":
        ast.parse(block.text)
        return
    assert block.commands
    for verb, *words in block.commands:
        _, unknown = verb_parser(verb).parse_known_intermixed_args(words)
        assert unknown == []


@pytest.mark.parametrize("block", of("config"), ids=named)
def test_it_is_a_config(block: Block, tmp_path: Path) -> None:
    assert isinstance(yaml.safe_load(block.text), dict)
    path = tmp_path / "config.yaml"
    path.write_text(block.text)
    load_config(path)
