"""README's table of the study is made of lines of the study's own table, and the study's table of its figures."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "results" / "movielens" / "table"


def lines(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]


@pytest.mark.parametrize("page", ["README.md", "results/README.md"])
def test_every_line_is_one_of_the_study(page: str) -> None:
    whole = lines(TABLE / "comparison.md")
    shown = [line for line in lines(ROOT / page) if line.startswith(("| baselines", "| small", "| full", "| plus"))]
    assert {line.split(" | ")[0] for line in shown} == {"| baselines", "| small", "| full", "| plus"}
    assert [line for line in shown if line not in whole] == []


def test_the_table_has_the_figures_of_the_csv() -> None:
    with (TABLE / "comparison.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    shown = [line.replace("\\", "").strip("| ").split(" | ") for line in lines(TABLE / "comparison.md")[1:]]
    cells = {(run, model): rest for run, model, *rest in shown if run != "---"}
    assert len(rows) == len(cells) >= 17
    for row in rows:
        loss, _, auc = cells[row["run"], row["model"]][:3]
        for cell, name in ((loss, "test_log_loss"), (auc, "test_auc")):
            assert cell == f"{float(row[name]):.4f} ± {float(row[f'{name}_deviation']):.4f}"


def test_every_model_had_as_many_trials_and_seeds() -> None:
    with (TABLE / "comparison.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["trials"] for row in rows} == {"4"}
    assert {row["seeds"] for row in rows} == {"0 1 2"}
    configs = (ROOT / "results" / "movielens").glob("*.yaml")
    assert {tuple(re.findall(r"trials: (\d+)", path.read_text())) for path in configs} == {("4",)}
