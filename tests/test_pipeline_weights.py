"""A log with weights, a multi-valued field, sampled negatives and a hashed column goes the whole way."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from sklearn.metrics import log_loss, roc_auc_score

from nasrec_nni.cli import main
from nasrec_nni.data.prepare import prepare
from nasrec_nni.data.prepared import PreparedSet

CONFIG: dict[str, Any] = {
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


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> PreparedSet:
    folder = tmp_path_factory.mktemp("weights")
    generator = np.random.default_rng(0)
    lines = ["click,shown,genres,ad,price"]
    for row in range(1500):
        genres = "|".join(generator.choice(list("abcdefgh"), generator.integers(0, 4), replace=False))
        click, shown = int(generator.random() < 0.3), generator.integers(1, 5)
        lines.append(f"{click},{shown},{genres},x{row % 300},{generator.random():.3f}")
    (folder / "log.csv").write_text("\n".join(lines) + "\n")
    options = {
        "label": "click",
        "weight": "shown",
        "numeric": ["price"],
        "categorical": ["genres", "ad"],
        "separator": {"genres": "|"},
        "max_length": 3,
        "encoding": {"ad": "hash"},
        "hash_rows": {"ad": 50},
        "negatives": 0.5,
    }
    return prepare("table", [folder / "log.csv"], folder / "set", options, progress=False)


def call(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, Any]:
    capsys.readouterr()
    status = main([*words, "--json"])
    return status, json.loads(capsys.readouterr().out)


def write(folder: Path, prepared: PreparedSet, **changes: Any) -> str:
    parts = {name: CONFIG[name] | changes.get(name, {}) for name in ("supernet", "retrain")}
    (folder / "c.yaml").write_text(yaml.safe_dump(CONFIG | parts | {"data": {"prepared": str(prepared.folder)}}))
    return str(folder / "c.yaml")


def test_all_figures_are_by_weight(prepared: PreparedSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (prepared.lengths, prepared.negative_rate) == ((3, 1), 0.5)
    assert prepared.weight is not None
    run = tmp_path / "run"
    status, told = call(["run", write(tmp_path, prepared), "--out", str(run)], capsys)
    assert status == 0, told
    with (run / "results.csv").open() as stream:
        results = {row["model"]: row for row in csv.DictReader(stream)}
    assert len(results) == 3
    for split, rows in (("val", prepared.rows("val")), ("test", prepared.test_rows())):
        label, weight = prepared.label[rows], prepared.weight[rows]
        for model, row in results.items():
            p = np.load(run / "retrain" / (row["architecture"] or model) / "seed-0" / f"{split}.npy")
            assert float(row[f"{split}_log_loss"]) == pytest.approx(log_loss(label, p, sample_weight=weight))
            assert float(row[f"{split}_auc"]) == pytest.approx(roc_auc_score(label, p, sample_weight=weight))
            assert float(row[f"{split}_log_loss"]) != pytest.approx(log_loss(label, p), rel=1e-6)
            if split == "test":
                expected = np.average(p, weights=weight) / np.average(label, weights=weight)
                assert float(row["calibration"]) == pytest.approx(expected)


def test_a_cap_below_a_hashed_column_is_told_by_validate(
    prepared: PreparedSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write(tmp_path, prepared, retrain={"max_rows_per_field": 40}, supernet={"max_rows_per_field": 50})
    status, told = call(["validate", config], capsys)
    assert status == 2
    message = told["error"]["message"]
    for word in ("retrain.max_rows_per_field", "column ad", "50 rows", "--hash-rows ad=40", "raise the cap to 50"):
        assert word in message
    assert "supernet" not in message
    status, told = call(["run", config, "--out", str(tmp_path / "run")], capsys)
    assert status == 2
    assert not (tmp_path / "run").exists()
