"""Fitting a network: resume to equal bits, best epoch, errors, order of predictions.

Run as a script it trains in child processes that it kills (see `killed_and_resumed`).
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from nasrec_nni.config import Recipe
from nasrec_nni.errors import UserError
from nasrec_nni.files import sha256
from nasrec_nni.metrics import auc, log_loss
from nasrec_nni.operators.embedding import FusedEmbedding
from nasrec_nni.operators.optimizers import sparse_gradients_for
from nasrec_nni.training.fit import FitResult, fit
from nasrec_nni.training.keeper import CheckpointKeeper
from nasrec_nni.training.predict import predict

FIELDS = (10, 30, 50)
MOST_KILLS = 5
TRAIN, VAL = np.arange(1500), np.arange(1500, 2000)
RECIPES = {
    # a rate so large that plateaus come soon: cuts, and a stop before the last epoch
    "plateau": Recipe(preset="bars", batch=16, epochs=12, learning_rate=0.1, embedding_l2=1e-3),
    "table": Recipe(preset="bars", batch=16, epochs=3, embedding_l2=1e-3, embedding_l2_scope="table"),
    "cosine": Recipe(preset="published", batch=16, epochs=4, dropout=0.2, embedding_learning_rate=0.05),
    "constant": Recipe(
        preset="bars", schedule="constant", batch=16, epochs=12, learning_rate=0.1, patience=3, monitor="auc"
    ),
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def rows() -> Any:
    generator = np.random.default_rng(0)
    sparse = np.stack([generator.integers(0, size, 2000) for size in FIELDS], 1).astype(np.int32)
    dense = generator.normal(size=(2000, 2)).astype(np.float32)
    logits = dense[:, 0] + sum(generator.normal(size=size)[sparse[:, field]] for field, size in enumerate(FIELDS))
    label = (generator.random(2000) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    return SimpleNamespace(
        dense=dense,
        sparse=sparse,
        label=label,
        weight=None,
        negative_rate=1.0,
        lengths=(1, 1, 1),
        dense_width=2,
        fingerprint="fake",
        folder=Path("fake"),
    )


class Net(nn.Module):
    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.table = FusedEmbedding(FIELDS, 4, sparse=sparse_gradients_for(recipe), init=0.1)
        self.layers = nn.Sequential(nn.Linear(14, 16), nn.ReLU(), nn.Dropout(recipe.dropout), nn.Linear(16, 1))

    def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
        result: Tensor = self.layers(torch.cat([dense, self.table(sparse).flatten(1)], 1)).squeeze(1)
        return result


def train(recipe: Recipe, folder: Path, seed: int = 3, **more: Any) -> tuple[Net, FitResult]:
    torch.manual_seed(seed)
    network = Net(recipe)
    settings = {"train_rows": TRAIN, "val_rows": VAL, "progress": False, "checkpoint_every": 40, "device": "cpu"}
    return network, fit(network, rows(), recipe, seed=seed, folder=folder, **(settings | more))


def untimed(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return {key: value for key, value in content.items() if "seconds" not in key}


def killed_and_resumed(recipe: Recipe, folder: Path, draw: random.Random) -> int:
    """Train in child processes, the first ones killed after random times, until one ends. Returns the kills."""
    kills = 0
    while True:
        child = os.fork()
        if child == 0:
            os.nice(1)
            train(recipe, folder, checkpoint_every=8)
            os._exit(0)
        # later children live longer and the last as long as it takes, so that a slow machine gets to the end
        end = time.monotonic() + (draw.uniform(0.03, 0.25 + 0.05 * kills) if kills < MOST_KILLS else 600)
        done = 0
        while not done and time.monotonic() < end:
            done, status = os.waitpid(child, os.WNOHANG)
            time.sleep(0.003)
        if done:
            assert status == 0, status
            return kills
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        kills += 1


def main(folder: Path) -> None:
    """Each recipe undisturbed and killed; prints the kills."""
    torch.set_num_threads(1)
    draw = random.Random()
    kills = {}
    for name, recipe in RECIPES.items():
        train(recipe, folder / name / "whole")
        kills[name] = killed_and_resumed(recipe, folder / name / "killed", draw)
    print(json.dumps(kills))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int]]:
    folder = tmp_path_factory.mktemp("runs")
    run = subprocess.run([sys.executable, __file__, str(folder)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return folder, json.loads(run.stdout)


@pytest.mark.parametrize("name", RECIPES)
def test_killed_training_ends_with_equal_bits(runs: tuple[Path, dict[str, int]], name: str) -> None:
    folder, kills = runs
    assert kills[name] >= 2
    whole, killed = folder / name / "whole", folder / name / "killed"
    assert sha256(whole / "model.safetensors") == sha256(killed / "model.safetensors")
    assert untimed(whole) == untimed(killed)
    assert {path.name for path in killed.iterdir()} == {"model.safetensors", "result.json"}


def test_early_stops_were_reached(runs: tuple[Path, dict[str, int]]) -> None:
    for name in ("plateau", "constant"):
        result = untimed(runs[0] / name / "whole")
        assert result["best_epoch"] < result["epochs"] < 12
    history = untimed(runs[0] / "plateau" / "whole")["history"]
    assert [round(entry["learning_rate"], 6) for entry in history][-1] == 0.01


def test_result_is_of_the_best_epoch_and_a_complete_folder_is_only_read(tmp_path: Path) -> None:
    network, result = train(RECIPES["plateau"], tmp_path)
    best = min(result.history, key=lambda entry: entry["val_log_loss"])
    assert (result.best_epoch, result.val_log_loss) == (best["epoch"], best["val_log_loss"])
    probabilities = predict(network, rows(), VAL)
    assert result.val_log_loss == log_loss(rows().label[VAL], probabilities)
    assert result.val_auc == auc(rows().label[VAL], probabilities)
    assert result.steps == result.epochs * (1500 // 16)
    assert result.cpu_seconds > 0
    stored = load_file(tmp_path / "model.safetensors")
    assert all(torch.equal(value, stored[name]) for name, value in network.state_dict().items())
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again, second = train(RECIPES["plateau"], tmp_path)
    assert second == result
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    assert all(torch.equal(value, stored[name]) for name, value in again.state_dict().items())


def test_a_folder_of_another_training_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(RECIPES["table"], tmp_path)
    with pytest.raises(UserError, match="another training: seed differs"):
        train(RECIPES["table"], tmp_path, seed=4)
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match="do not match their hash"):
        train(RECIPES["table"], tmp_path)


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_at(monkeypatch, 10, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        train(RECIPES["cosine"], tmp_path)
    monkeypatch.undo()
    with pytest.raises(UserError, match="another training: recipe differs"):
        train(RECIPES["plateau"], tmp_path)


def test_a_checkpoint_under_another_order_of_rows_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Going on with it would leave out some rows of the epoch and repeat others."""
    stop_at(monkeypatch, 10, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        train(RECIPES["cosine"], tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr("nasrec_nni.training.keeper.ORDER", "of an earlier version")
    with pytest.raises(UserError, match="another training: order differs"):
        train(RECIPES["cosine"], tmp_path)


def stop_at(monkeypatch: pytest.MonkeyPatch, step: int, what: Callable[[], None]) -> None:
    real = CheckpointKeeper.on_train_batch_start

    def hook(self: CheckpointKeeper, trainer: Any, *others: Any) -> None:
        real(self, trainer, *others)
        if trainer.global_step == step:
            what()

    monkeypatch.setattr(CheckpointKeeper, "on_train_batch_start", hook)


@pytest.mark.parametrize(
    ("number", "error", "step"), [(signal.SIGINT, KeyboardInterrupt, 5), (signal.SIGTERM, SystemExit, 92)]
)
def test_interrupt_saves_the_step_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: type[BaseException], step: int
) -> None:
    """Step 92 is the last of its epoch, so it is saved after the validation."""
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    stop_at(monkeypatch, step, lambda: os.kill(os.getpid(), number))
    with pytest.raises(error) as found:
        train(RECIPES["cosine"], tmp_path / "cut", checkpoint_every=10_000, tensorboard=tmp_path / "board")
    if error is SystemExit:
        assert found.value.code == 143
    monkeypatch.undo()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    assert not (tmp_path / "cut" / "result.json").exists()
    state = json.loads((tmp_path / "cut" / "checkpoint" / "state.json").read_text())
    assert state["tree"]["global_step"] == step + 1
    train(RECIPES["cosine"], tmp_path / "cut", tensorboard=tmp_path / "board")
    train(RECIPES["cosine"], tmp_path / "whole")
    assert untimed(tmp_path / "cut") == untimed(tmp_path / "whole")


def test_divergence_stops_with_a_hint_and_keeps_the_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Net.forward
    steps = iter(range(1000))
    monkeypatch.setattr(
        Net, "forward", lambda self, *inputs: real(self, *inputs) * (float("nan") if next(steps) == 9 else 1.0)
    )
    with pytest.raises(UserError, match=r"the loss of step 9 is nan.*checkpoint.*lower learning rate"):
        train(RECIPES["cosine"], tmp_path, checkpoint_every=4)
    state = json.loads((tmp_path / "checkpoint" / "state.json").read_text())
    assert state["tree"]["global_step"] == 8


def test_no_rows_or_no_auc_are_the_users_to_mend(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the training split has no rows"):
        train(RECIPES["cosine"], tmp_path / "a", train_rows=TRAIN[:0])
    negatives = VAL[rows().label[VAL] == 0]
    with pytest.raises(UserError, match="one class only"):
        train(RECIPES["constant"], tmp_path / "b", val_rows=negatives)
    _, result = train(RECIPES["table"], tmp_path / "c", val_rows=negatives)
    assert result.val_auc is None


def test_fewer_rows_than_a_batch_are_trained_on(tmp_path: Path) -> None:
    _, result = train(RECIPES["table"], tmp_path, train_rows=TRAIN[:10])
    assert (result.steps, result.train_rows) == (3, 10)


def test_predictions_keep_the_order_and_the_mode() -> None:
    network = Net(RECIPES["cosine"]).train()
    network.layers[0].eval()
    order = np.random.default_rng(1).permutation(700)
    found = predict(network, rows(), order, batch=64)
    data = rows()
    one = predict(network, data, order[:1])
    network.eval()
    with torch.no_grad():
        logits = network(torch.from_numpy(data.dense[order]), torch.from_numpy(data.sparse[order].astype(np.int64)))
    np.testing.assert_allclose(found, torch.sigmoid(logits.double()), atol=1e-7)
    assert one[0] == pytest.approx(found[0], abs=1e-7)
    assert found.dtype == np.float64
    network.train()
    network.layers[0].eval()
    predict(network, data, order)
    assert [part.training for part in (network, network.table, network.layers[0], network.layers[2])] == [
        True, True, False, True,
    ]  # fmt: skip


def test_training_is_quiet_and_tidy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        train(RECIPES["table"], tmp_path / "out", progress=True, tensorboard=tmp_path / "board")
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "epoch 3/3" in shown.err
    assert "available" not in shown.err
    assert [str(warning.message) for warning in caught] == []
    assert {path.name for path in tmp_path.iterdir()} == {"out", "board"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"model.safetensors", "result.json"}
    assert any(path.name.startswith("events") for path in (tmp_path / "board").iterdir())


def test_the_callers_random_state_is_untouched(tmp_path: Path) -> None:
    torch.manual_seed(5)
    network = Net(RECIPES["table"])
    before = torch.get_rng_state()
    fit(
        network, rows(), RECIPES["table"], seed=0, folder=tmp_path, train_rows=TRAIN, val_rows=VAL, progress=False
    )  # fmt: skip
    assert torch.equal(torch.get_rng_state(), before)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
