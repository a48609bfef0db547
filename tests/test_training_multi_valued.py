"""Multi-valued fields from a prepared set through supernet, evaluation and hand-made models."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nasrec_nni.baselines.settings import BaselineSettings
from nasrec_nni.config import Recipe
from nasrec_nni.config_file import parse_config
from nasrec_nni.data.prepare import prepare
from nasrec_nni.data.prepared import PreparedSet
from nasrec_nni.evaluation.evaluator import Evaluator, shared_head
from nasrec_nni.metrics import log_loss
from nasrec_nni.plugins import registry
from nasrec_nni.strategies.one_shot.train import make_space, train_supernet
from nasrec_nni.strategies.sampling.sampler import architectures
from nasrec_nni.training.fit import fit

CONFIG = parse_config(
    {
        "device": "cpu",
        "space": {"blocks": 2, "dense_widths": [16], "sparse_rows": [8], "embedding": 4, "heads": 2},
        "supernet": {"recipe": {"preset": "published", "batch": 64, "epochs": 1}, "warmup": 0.0},
        "search": {"head_rows": 1000},
    }
)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> tuple[PreparedSet, np.ndarray]:
    """A click depends on the mean over all of a row's tags; the set, and each row's true probability."""
    folder, generator, n = tmp_path_factory.mktemp("tags"), np.random.default_rng(0), 4000
    values = 3 * generator.normal(size=12)
    tags = [generator.choice(12, generator.integers(1, 4), replace=False) for _ in range(n)]
    probability = np.array([1 / (1 + math.exp(-values[row].mean())) for row in tags])
    click = (generator.random(n) < probability).astype(int)
    lines = [f"{click[row]},{row % 7},{' '.join(f't{tag}' for tag in tags[row])}" for row in range(n)]
    (folder / "log.csv").write_text("\n".join(["y,day,tags", *lines]))
    options = {"label": "y", "categorical": ["day", "tags"], "separator": {"tags": " "}, "max_length": 3}
    return prepare("table", [folder / "log.csv"], folder / "set", options, progress=False), probability


def slow_means(weight: Tensor, ids: Tensor, first: int) -> Tensor:
    """A field of one value with `first` rows, then one of up to three."""
    found = []
    for row in ids.tolist():
        values = torch.stack([weight[first + value] for value in row[1:] if value >= 0])
        found.append(torch.stack((weight[row[0]], values.mean(0))))
    return torch.stack(found)


def test_a_supernet_is_read_back_and_scored(log: tuple[PreparedSet, np.ndarray], tmp_path: Path) -> None:
    prepared, _ = log
    assert prepared.lengths == (1, 3)
    facts = train_supernet(CONFIG, prepared, tmp_path, progress=False)
    evaluator = Evaluator(tmp_path, prepared, CONFIG.search)
    assert facts.table.lengths == evaluator.supernet.facts.table.lengths == (1, 3)
    assert make_space(CONFIG, prepared).table.lengths == (1, 3)
    for architecture in architectures(facts.space, 1, 3):
        network = evaluator.supernet.network(architecture)
        batch = next(evaluator._batches(evaluator._head))
        with torch.no_grad():
            means = slow_means(network.embedding.weight, batch.sparse, prepared.rows_per_field[0])
            torch.testing.assert_close(network.embedding(batch.sparse), means)
            start = shared_head(network)
            logits = network.features(batch.dense, batch.sparse) @ start[:-1] + start[-1]
            torch.testing.assert_close(logits, network(batch.dense, batch.sparse), rtol=1e-4, atol=1e-4)
        assert math.isfinite(evaluator.evaluate(architecture).log_loss)


def test_a_supernet_written_before_there_were_lengths_is_read(tmp_path: Path) -> None:
    lines = [f"{row % 2},{row % 7},{row % 5}" for row in range(500)]
    (tmp_path / "log.csv").write_text("\n".join(["y,a,b", *lines]))
    options = {"label": "y", "categorical": ["a", "b"]}
    prepared = prepare("table", [tmp_path / "log.csv"], tmp_path / "set", options, progress=False)
    folder = tmp_path / "supernet"
    train_supernet(CONFIG, prepared, folder, progress=False)
    facts: dict[str, Any] = json.loads((folder / "supernet.json").read_text())
    del facts["table"]["lengths"]
    (folder / "supernet.json").write_text(json.dumps(facts))
    evaluator = Evaluator(folder, prepared, CONFIG.search)
    assert evaluator.supernet.facts.table.lengths is None
    (architecture,) = architectures(evaluator.supernet.facts.space, 1, 1)
    assert math.isfinite(evaluator.evaluate(architecture).log_loss)


def test_a_hand_made_model_learns_from_all_values(log: tuple[PreparedSet, np.ndarray], tmp_path: Path) -> None:
    prepared, probability = log
    recipe = Recipe(preset="bars", batch=64, epochs=6, learning_rate=0.05, dropout=0.0, embedding_l2=0.0)
    torch.manual_seed(0)
    network = registry("baselines").load("lr")(
        prepared.dense_width, prepared.rows_per_field, BaselineSettings(lengths=prepared.lengths)
    )
    train, val = prepared.rows("train"), prepared.rows("val")
    found = fit(
        network, prepared, recipe, seed=1, folder=tmp_path, train_rows=train, val_rows=val, progress=False, device="cpu"
    )
    assert found.val_log_loss < log_loss(prepared.label[val], probability[val]) + 0.03
