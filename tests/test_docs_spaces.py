"""docs/spaces.md says only what is: spaces hold these operators, figures come out, commands and configs are taken."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from nasrec_nni.architecture.draw import random_architecture
from nasrec_nni.cli import main
from nasrec_nni.config import SpaceConfig
from nasrec_nni.plugins import registry
from nasrec_nni.profiling import Sizes, profile

TEXT = (Path(__file__).parents[1] / "docs" / "spaces.md").read_text(encoding="utf-8")
CELLS = {
    cells[0]: cells[1:]
    for line in TEXT.splitlines()
    if line.startswith("| ") and len(cells := [cell.strip() for cell in line.strip("|").split("|")]) == 4
}
SPACES = [name.strip("`") for name in re.findall(r"`nasrec-\w+`", TEXT.partition("\n|---")[0])]
COMMANDS = [line.strip() for line in TEXT.splitlines() if line.startswith("    nasrec ")]


def test_spaces_hold_what_the_table_says() -> None:
    assert SPACES == ["nasrec-small", "nasrec-full", "nasrec-plus"]
    for side in ("dense", "sparse"):
        for name, cell in zip(SPACES, CELLS[f"{side} half"], strict=True):
            operators = getattr(registry("search_spaces").load(name), f"{side}_operators")
            assert tuple(re.findall(r"`(\w+)`", cell)) == operators


def test_every_added_operator_stands_with_what_it_reads() -> None:
    full, plus = (registry("search_spaces").load(name) for name in SPACES[1:])
    added = {*plus.dense_operators, *plus.sparse_operators} - {*full.dense_operators, *full.sparse_operators}
    rows = {name.strip("`"): cells for name, cells in CELLS.items() if name.strip("`") in added}
    assert rows.keys() == added
    for name, cells in rows.items():
        assert set(cells[0].split(", ")) == registry("operators").load(name).reads


def test_figures_are_those_of_random_architectures() -> None:
    def numbers(start: str) -> list[list[float]]:
        (cells,) = [cells for name, cells in CELLS.items() if name.startswith(start)]
        return [[float(one) for one in cell.split(", ")] for cell in cells]

    for at, name in enumerate(SPACES):
        space, generator = registry("search_spaces").load(name), np.random.default_rng(0)
        sizes = Sizes.of(space, 13, 26, layer_norm=True)
        found = [profile(random_architecture(space, generator), sizes) for _ in range(1000)]
        macs, parameters = (np.array([getattr(one, f"live_{key}") / 1e6 for one in found]) for key in _KEYS)
        assert numbers("live MACs")[at] == [round(macs.mean(), 2)]
        assert numbers("the same")[at] == [round(np.median(macs), 2), round(np.quantile(macs, 0.9), 2)]
        assert numbers("live parameters")[at] == [round(parameters.mean(), 2)]


_KEYS = ("macs", "parameters")


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_run(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.yaml").write_text("data: {source: synthetic}\n")
    assert main(command.split()[1:]) == 0


def test_the_config_is_a_space() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    given = SpaceConfig.model_validate(yaml.safe_load(block)["space"])
    space = (
        registry("search_spaces")
        .load(given.name)
        .with_sizes(dense_operators=given.dense_operators, sparse_operators=given.sparse_operators)
    )
    assert space.dense_operators == ("fc", "dp", "cross", "gate")
