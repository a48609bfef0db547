"""The instruments of training and evaluation run in a tiny form, and their tables hold what was measured."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from nasrec_nni.strategies.sampling import architectures
from nasrec_nni.threads import using_threads

FOLDER = Path(__file__).parents[1] / "benchmarks"
TINY = ("--blocks", 2, "--dense-widths", 16, 32, "--sparse-rows", 16)


@pytest.fixture(autouse=True, scope="module")
def _importable() -> Iterator[None]:
    """Scripts import each other by name; what they change of threads is put back."""
    before = set(sys.modules)
    sys.path.insert(0, str(FOLDER))
    with using_threads(None):
        yield
    sys.path.remove(str(FOLDER))
    for name in set(sys.modules) - before:
        if (FOLDER / f"{name}.py").exists():
            del sys.modules[name]


def test_products(capsys: pytest.CaptureFixture[str]) -> None:
    _, found, table = run("products", capsys, "--shapes", "64x32x16", "5x33x7", "--rounds", 2)
    lines = found["products"]
    assert [line["product"] for line in lines] == ["forward", "of the input", "of the weight"] * 2
    assert all(line[library] > 0 for line in lines for library in ("torch", "numpy", "ratio"))
    assert "5 x 33 x 7" in table


def run(script: str, capsys: pytest.CaptureFixture[str], *words: object) -> tuple[ModuleType, dict[str, Any], str]:
    """The script, its JSON, and the table that it would print of the same figures."""
    module = importlib.import_module(script)
    module.main([*map(str, words), "--json"])
    found = json.loads(capsys.readouterr().out)
    return module, found, module.words(found)


def test_supernet_step(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ("--architectures", 2, "--repeats", 1, "--full-repeats", 1, "--rows", 50, "--batch", 16)
    file = tmp_path / "step.txt"
    module, found, table = run(
        "supernet_step", capsys, *TINY, *words, "--spaces", "nasrec-full", "--seed", 2, "--profile", file, "--memory", 2
    )
    content = found["spaces"]["nasrec-full"]
    assert len(content["architectures"]) == 2
    for one in [*content["architectures"], content["full_path"]]:
        assert one["steps"].keys() >= {module.SUPERNET, module.ALONE}
        assert all(parts["cpu"] > 0 and parts["optimizer"] >= 0 for parts in one["steps"].values())
        assert one["macs"] < 10_000_000
    assert content["full_path"]["macs"] > max(one["macs"] for one in content["architectures"])
    attended = [one for one in content["architectures"] if one["attention_blocks"]]
    assert attended  # the seed is picked so
    for one in content["architectures"]:
        assert (module.WITHOUT in one["steps"]) == bool(one["attention_blocks"])
        assert (one["macs"] != one["macs_without_attention"]) == bool(one["attention_blocks"])
    assert all(text in table for text in (module.LEAN, module.WITHOUT, module.DLRM, "full path", "× alone", "of sgemm"))
    assert "aten::mm" in file.read_text()
    assert sum(content["shares"].values()) == pytest.approx(1)
    assert {"optimizer", "matrix products", "layer norm", "attention"} <= content["shares"].keys()
    memory = content["memory"]
    assert 0 < memory["touched_state_mib"] < memory["table_mib"] < memory["peak_mib"]
    assert "peak memory" in table


def test_candidate(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = (
        "--heads",
        "newton",
        "--head-rows",
        300,
        "--score-rows",
        200,
        "--candidates",
        1,
        "--rounds",
        1,
        "--rows",
        50,
    )
    _, found, table = run("candidate", capsys, *TINY, *words, "--spaces", "nasrec-full", "--work", tmp_path / "work")
    works = found["spaces"]["nasrec-full"]
    assert len(works) == 3
    assert sum(works["bare forward"][0]["extra"]["shares"].values()) == pytest.approx(1)
    assert {figures["rows"] for every in works.values() for figures in every} == {500}
    for name, every in works.items():
        parts = every[0]["extra"]
        if name.startswith("candidate"):
            assert all(parts[key] > 0 for key in ("features", "head", "scoring"))
            assert sum(parts[key] for key in ("features", "head", "scoring")) <= every[0]["cpu_seconds"]
        assert every[0]["peak_mib"] > 50
    assert "× bare" in table and "floor by sgemm" in table
    assert list((tmp_path / "work").iterdir()) == []


def test_retrain_step(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--rows", 500, 1000, "--batch", 16, "--repeats", 1)
    module, found, table = run("retrain_step", capsys, *words)
    assert [(one["model"], one["rows"]) for one in found["models"]] == [
        (model, rows) for model in ("dlrm", "deepfm", "dcnv2") for rows in (500, 1000)
    ]
    names = {module.OURS, module.CLIPPED, module.LIGHTNING, module.SPARSE, module.DENSE_GRADIENT}
    assert all(one["steps"].keys() == names for one in found["models"])
    assert all(name in table for name in names)


def test_scaling(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ("--architectures", 2, "--repeats", 1, "--rows", 50, "--batch", 16, "--block-counts", 1, 2)
    grown = ("--widest", 16, 32, "--table-rows", 500, 1000, "--batches", 8, 16, "--points", 4)
    file = tmp_path / "step.svg"
    _, found, table = run("scaling", capsys, *TINY, *words, *grown, "--plot", file)
    assert list(found["axes"]) == ["blocks", "connections", "widths", "table rows", "batch"]
    widths = [one["macs"] for one in found["axes"]["widths"]]
    assert widths[0] == widths[2] < widths[1]
    assert [one["size"] for one in found["axes"]["table rows"]] == pytest.approx([500, 1000], rel=0.1)
    assert [one["batch"] for one in found["axes"]["batch"]] == [8, 16]
    assert len(found["points"]) == 4
    assert file.read_text().startswith("<?xml")
    assert "exponent of the growth" in table and "over live MACs" in table


def test_budget(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--candidates", 3, "--made", 3000, "--most", 1500, "--head-rows", 300, "--score-rows", 100)
    module, found, table = run("budget", capsys, *words, "--heads", "newton", "adagrad")
    assert found["rows"] == {"train": 1500, "val": 300}
    lines = module.lines(found)
    budgets = [(line.head, line.features, line.head_rows, line.score_rows) for line in lines]
    float32 = [
        (head, "float32", rows, count) for head in ("newton", "adagrad") for rows in (1500, 300) for count in (300, 100)
    ]
    assert budgets == float32 + [
        (head, "bfloat16", 300, count) for head in ("newton", "adagrad") for count in (300, 100)
    ]
    for line in lines:
        assert line.seconds > 0
        assert -1 <= line.tau <= 1
        assert line.regret >= 0
        assert (line.passes is None) == (line.head == "adagrad")
        if (line.head_rows, line.score_rows) == (1500, 300):
            assert (line.tau, line.regret, line.top) == (1, 0, 3)
    for check in found["checks"]:  # the evaluator itself, with the smallest budget
        assert check["here"] == pytest.approx(check["loss"], abs=1e-5)
    assert "τ" in table and "by the evaluator" in table


def test_line_of_step_times_over_work() -> None:
    scaling = importlib.import_module("scaling")
    points = [{"macs": 1e6 * x, "cpu": 5 + 2 * x} for x in (1, 2, 4)]
    assert scaling.line_of(points) == pytest.approx({"start": 5, "slope": 2, "r2": 1})


def test_standalone_steps_train_alike_and_share_the_table_and_its_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """Save for the clip: the lean step clips the table by itself."""
    steps = importlib.import_module("steps")
    monkeypatch.setattr(steps, "RECIPE", steps.RECIPE.model_copy(update={"clip": 1e9}))
    supernet = steps.Supernet("nasrec-small", 50, blocks=2, dense_widths=(16,), sparse_rows=(16,))
    alone = steps.Standalone(supernet.sizes, 50)
    path = architectures(supernet.space.description, 0, 1)[0].path
    batch = steps.batches(16, 1)[0]
    table = alone.embedding.weight.data
    start = table.clone()
    touched = torch.zeros(len(start), dtype=torch.bool)
    touched[alone.embedding.table_rows(batch.sparse)] = True
    results = []
    for make in (alone.step, alone.lean_step):
        torch.manual_seed(0)  # equal blocks
        table.copy_(start)
        step = make(path)
        for _ in range(3):
            step.run(batch)
        assert torch.equal((table != start).any(1), touched)
        results.append((step.loss(batch).item(), table.clone()))
        alone._states["Adagrad"]["sum"].zero_()
    assert alone._states["Adagrad"]["step"] == 6
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-5)
    torch.testing.assert_close(results[0][1], results[1][1])
