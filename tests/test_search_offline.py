"""Replay on a table: how it is read, what it confines an algorithm to, what is said of it; and the instrument."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasrec_nni.architecture.draw import random_architecture
from nasrec_nni.architecture.json import to_json
from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.errors import UserError
from nasrec_nni.strategies.search.offline import UNIFORM, Row, agreement, compare, order, read_table

SPACE = SpaceDescription("nasrec-small", ("fc", "dp"), ("efc",), blocks=3)
SCRIPT = Path(__file__).parents[1] / "benchmarks" / "algorithms.py"


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """Wide ones score well; the supernet's scores are the true ones with noise."""
    generator = np.random.default_rng(0)
    found = {}
    while len(found) < 60:
        one = random_architecture(SPACE, generator)
        scratch = 0.6 - sum(block.dense_width or 0 for block in one.canonical.blocks) / 1e4
        found[one.id] = Row(one, scratch + float(generator.normal(0, 0.01)), scratch)
    return list(found.values())


def content(rows: list[Row]) -> list[dict[str, Any]]:
    return [
        {"architecture": to_json(row.architecture), "supernet": row.supernet, "scratch": row.scratch, "more": 1}
        for row in rows
    ]


def write(path: Path, lines: list[dict[str, Any]]) -> Path:
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            table = csv.DictWriter(file, list(lines[0]))
            table.writeheader()
            table.writerows(line | {"architecture": json.dumps(line["architecture"])} for line in lines)
    else:
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_a_table_is_read_back(rows: list[Row], tmp_path: Path, suffix: str) -> None:
    assert read_table(write(tmp_path / f"t{suffix}", content(rows)), SPACE) == rows


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"supernet": "low"}, "t.jsonl:2: cannot be read"),
        ({"scratch": None}, "t.jsonl:2: a row needs an architecture and two scores"),
        ({"scratch": "nan"}, "t.jsonl:2: scores must be finite"),
        ({"architecture": {"space": "x", "blocks": []}}, "t.jsonl:2: not an architecture"),
    ],
)
def test_a_broken_row_is_refused_with_its_line(
    rows: list[Row], tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    lines = content(rows[:3])
    lines[1] |= change
    with pytest.raises(UserError, match=told):
        read_table(write(tmp_path / "t.jsonl", lines), SPACE)


def test_other_tables_are_refused(rows: list[Row], tmp_path: Path) -> None:
    lines = content(rows[:3])
    with pytest.raises(UserError, match="stands twice"):
        read_table(write(tmp_path / "t.jsonl", [*lines, lines[0]]), SPACE)
    with pytest.raises(UserError, match="two architectures or more, got 1"):
        read_table(write(tmp_path / "t.jsonl", lines[:1]), SPACE)
    with pytest.raises(UserError, match=r"t\.jsonl:1: not in the space"):
        read_table(write(tmp_path / "t.jsonl", lines), SPACE.with_sizes(blocks=4))
    with pytest.raises(UserError, match=r"allowed: \.jsonl, \.csv"):
        read_table(write(tmp_path / "t.txt", lines), SPACE)
    with pytest.raises(UserError, match="no such file"):
        read_table(tmp_path / "none.csv", SPACE)


OPTIONS: dict[str, dict[str, Any]] = {
    UNIFORM: {},
    "random": {},
    "regularized-evolution": {"population": 8},
    "nsga2": {"population": 8},
    "predictor": {"first": 8, "trees": 5, "pool": 32},
}


@pytest.mark.parametrize("name", list(OPTIONS))
def test_rows_are_taken_once_in_an_order_of_the_seed(rows: list[Row], name: str) -> None:
    taken = order(rows, name, SPACE, 3, 20, OPTIONS[name])
    assert len({row.architecture.id for row in taken}) == len(taken) == 20
    assert all(row in rows for row in taken)
    assert order(rows, name, SPACE, 3, 20, OPTIONS[name]) == taken != order(rows, name, SPACE, 4, 20, OPTIONS[name])
    everything = order(rows, name, SPACE, 3, 1000, OPTIONS[name])
    assert {row.architecture.id for row in everything} == {row.architecture.id for row in rows}


def test_regret_is_that_of_what_would_have_been_retrained(rows: list[Row]) -> None:
    outcomes = compare(rows, SPACE, OPTIONS, budget=20, seeds=range(3), top=2)
    assert [one.algorithm for one in outcomes] == list(OPTIONS)
    taken = [order(rows, "nsga2", SPACE, seed, 20, OPTIONS["nsga2"]) for seed in range(3)]
    best = [sorted(one, key=lambda row: row.supernet)[:2] for one in taken]
    regrets = [min(row.scratch for row in two) - min(row.scratch for row in rows) for two in best]
    mine = outcomes[3]
    assert mine.regret == pytest.approx(np.mean(regrets))
    assert mine.best_supernet == pytest.approx(np.mean([two[0].supernet for two in best]))
    assert mine.found == np.mean([regret == 0 for regret in regrets])
    whole = compare(rows, SPACE, {UNIFORM: {}}, budget=60, seeds=[0], top=60)
    assert whole[0].regret == 0
    assert 0 < agreement(rows) < 1


def bench(*words: object) -> str:
    done = subprocess.run([sys.executable, str(SCRIPT), *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_instrument_runs_on_a_table(rows: list[Row], tmp_path: Path) -> None:
    file = write(tmp_path / "t.csv", content(rows))
    found = json.loads(bench("--table", file, "--blocks", 3, "--seeds", 2, "--json", "--algorithms", "random", "nsga2"))
    assert [one["algorithm"] for one in found["outcomes"]] == [UNIFORM, "random", "nsga2"]
    assert found["rows"] == 60


def test_the_instrument_runs_on_the_known_front(tmp_path: Path) -> None:
    told = bench("--short", "--algorithms", "random", "nsga2", "--plot", tmp_path / "p.svg")
    assert "HV at 48" in told
    assert "over the limit" in told
    assert (tmp_path / "p.svg").read_text().count("known front") == 2  # axis and legend
