"""What the stages cannot do with their rows is refused before any training; odd data goes the whole way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from nasrec_nni.cli import main

TINY: dict[str, Any] = {
    "threads": 1,
    "space": {"blocks": 2, "dense_widths": [8], "sparse_rows": [4], "embedding": 4, "heads": 2},
    "supernet": {"recipe": {"preset": "bars", "batch": 64, "epochs": 1}, "warmup": 0.1, "validation_rows": 50},
    "search": {"candidates": 3, "options": {"population": 2, "sample": 2}, "head_rows": 128},
    "retrain": {
        "top_k": 1,
        "seeds": [0],
        "baselines": ["lr", "dcnv2"],
        "recipe": {"preset": "bars", "batch": 64, "epochs": 1},
    },
}


def table(path: Path, val_clicks: bool, sparse: bool = True, dense: bool = True) -> None:
    """400 rows; the validation part of an 80/10/10 cut in file order has clicks or none."""
    columns = ["click", *(["city", "device"] if sparse else []), *(["price"] if dense else [])]
    lines = [",".join(columns)]
    for row in range(400):
        click = row % 3 == 0 and (val_clicks or not 320 <= row < 360)
        cells = [str(int(click)), *(["abcd"[row % 4], "xyz"[row * 7 % 3]] if sparse else [])]
        lines.append(",".join([*cells, *([f"{row * 37 % 101 / 7:.3f}"] if dense else [])]))
    path.write_text("\n".join(lines) + "\n")


def run(folder: Path, capsys: pytest.CaptureFixture[str], **changes: Any) -> tuple[int, Any]:
    config = folder / "c.yaml"
    data = {"source": "table", "inputs": [str(folder / "log.csv")], "options": {"label": "click", "split": "in_order"}}
    config.write_text(yaml.safe_dump(TINY | {"data": data} | changes))
    capsys.readouterr()
    status = main(["run", str(config), "--out", str(folder / "run"), "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_auc_without_both_classes_is_refused_before_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table(tmp_path / "log.csv", val_clicks=False)
    status, told = run(tmp_path, capsys, search=TINY["search"] | {"objective": "auc"})
    assert status == 2
    assert "search.objective" in told["error"]["message"]
    assert not (tmp_path / "run" / "supernet").exists()


def test_log_loss_without_both_classes_goes_the_whole_way_and_auc_is_told_undefined(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table(tmp_path / "log.csv", val_clicks=False)
    status, told = run(tmp_path, capsys)
    assert status == 0, told
    candidates = (tmp_path / "run" / "search" / "candidates.jsonl").read_text().splitlines()
    assert all(json.loads(line)["facts"]["auc"] is None for line in candidates)
    assert all(row["val_log_loss"] > 0 for row in told["leaderboard"])


def test_data_without_numbers_goes_the_whole_way_and_the_page_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table(tmp_path / "log.csv", val_clicks=True, dense=False)
    status, told = run(tmp_path, capsys)
    assert status == 0, told
    assert "column of zeros" in Path(told["page"]).read_text()


def test_data_without_categories_is_refused_with_the_way_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table(tmp_path / "log.csv", val_clicks=True, sparse=False)
    status, told = run(tmp_path, capsys)
    assert status == 2
    assert "categor" in told["error"]["message"]
    assert not (tmp_path / "run" / "supernet").exists()
