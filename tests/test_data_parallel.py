"""Several processes that share each batch do what one process does, up to the order of sums.

Tolerances after 20 steps: every weight of two processes is within 1e-10 + 1e-8 |w| of the one process's in float64, and
within 5e-4 + 1e-3 |w| in float32 (Adagrad's first steps divide by small sums). Between the two not a bit differs.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning import Trainer
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from nasrec_nni.baselines.settings import BaselineSettings
from nasrec_nni.config import Config, Recipe
from nasrec_nni.config_file import parse_config
from nasrec_nni.data.loader import Batches
from nasrec_nni.data.prepare import prepare
from nasrec_nni.data.prepared import PreparedSet
from nasrec_nni.errors import UserError, UserErrors
from nasrec_nni.files import read_json
from nasrec_nni.pipeline.check import check
from nasrec_nni.plugins import registry
from nasrec_nni.strategies.one_shot.train import train_supernet
from nasrec_nni.training import checkpoint as checkpoints
from nasrec_nni.training.fit import fit
from nasrec_nni.training.keeper import CheckpointKeeper
from nasrec_nni.training.launch import _judge, _outcomes, here, launch

STEPS, BATCH = 20, 64
CLOSE = {torch.float64: {"rtol": 1e-8, "atol": 1e-10}, torch.float32: {"rtol": 1e-3, "atol": 5e-4}}


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, PreparedSet]:
    """Twenty batches and a rest, with and without row weights; a field of few and one of many values."""
    folder, generator, n = tmp_path_factory.mktemp("logs"), np.random.default_rng(5), 1650
    a, ad, page = generator.normal(size=n), generator.integers(0, 12, n), generator.integers(0, 400, n)
    click = generator.random(n) < 1 / (1 + np.exp(-(a + generator.normal(size=12)[ad])))
    heavy = generator.choice([0.25, 1.0, 7.0], n)
    columns = zip(click.astype(int), a, ad, page, heavy, strict=True)
    lines = [f"{label},{number:.5f},v{one},p{other},{weight}" for label, number, one, other, weight in columns]
    (folder / "log.csv").write_text("\n".join(["y,a,ad,page,w", *lines]))
    options = {"label": "y", "numeric": ["a"], "categorical": ["ad", "page"], "transform": "identity"}
    return {
        name: prepare("table", [folder / "log.csv"], folder / name, options | more, progress=False)
        for name, more in (("plain", {}), ("weighted", {"weight": "w"}))
    }


def rows_of(prepared: PreparedSet) -> np.ndarray:
    return np.asarray(prepared.rows("train"))[: STEPS * BATCH]


def config(devices: int, optimizer: str = "adagrad", dtype: torch.dtype = torch.float64) -> Config:
    """In float32 the rate is low: at 0.12 a rounding that turns one ReLU of one row moves some weights by 0.03."""
    rate = {"adagrad": 0.12 if dtype == torch.float64 else 0.02, "adam": 1e-3}[optimizer]
    sizes = {"blocks": 2, "dense_widths": [8, 16], "sparse_rows": [4, 8], "embedding": 4, "heads": 2}
    return parse_config(
        {
            "device": "cpu",
            "devices": devices,
            "space": {"name": "nasrec-full", **sizes},
            "supernet": {
                "recipe": {"preset": "published", "batch": BATCH, "epochs": 1, "optimizer": optimizer}
                | {"learning_rate": rate, "clip": 0.5},
                "validation_architectures": 1,
                "validation_rows": 64,
            },
        }
    )


@contextmanager
def of_type(dtype: torch.dtype) -> Iterator[None]:
    """Weights, batches and sums of this precision."""
    made = Batches._tensor

    def converted(self: Batches, array: np.ndarray) -> Tensor:
        tensor = made(self, array)
        return tensor.to(dtype) if tensor.is_floating_point() else tensor

    Batches._tensor = converted  # type: ignore[method-assign]
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)
        Batches._tensor = made  # type: ignore[method-assign]


def network(prepared: PreparedSet, name: str = "dlrm") -> nn.Module:
    torch.manual_seed(7)
    options = BaselineSettings(embedding=4, hidden=(16,))
    made: nn.Module = registry("baselines").load(name)(prepared.dense_width, prepared.rows_per_field, options)
    return made


def fit_one(prepared: PreparedSet, folder: Path, recipe: Recipe, made: nn.Module | None = None, **more: Any) -> Any:
    made = made or network(prepared)
    settings = {"seed": 3, "train_rows": rows_of(prepared), "val_rows": np.asarray(prepared.rows("val"))}
    return fit(made, prepared, recipe, folder=folder, progress=False, device="cpu", **(settings | more))


RECIPE = Recipe(preset="published", batch=BATCH, clip=0.5, embedding_l2=1e-3)
LONG = Recipe(preset="published", batch=8, epochs=1, schedule="constant")
# name: log, optimizer of the supernet or None for a network, precision
TRAININGS: dict[str, tuple[str, str | None, torch.dtype]] = {
    "supernet": ("plain", "adagrad", torch.float64),
    "supernet-weighted": ("weighted", "adam", torch.float64),
    "supernet-float32": ("plain", "adagrad", torch.float32),
    "network": ("plain", None, torch.float64),
    "network-weighted": ("weighted", None, torch.float64),
    "network-float32": ("weighted", None, torch.float32),
}


def train_all(logs: dict[str, PreparedSet], folder: Path, devices: int) -> None:
    """All of them, in this process; every rank notes the weights that it ends with."""
    ended: list[nn.Module] = []
    end = CheckpointKeeper.on_train_end

    def noted(self: CheckpointKeeper, trainer: Trainer, module: Any) -> None:
        end(self, trainer, module)
        ended.append(getattr(module, "network", None) or module.model)

    CheckpointKeeper.on_train_end = noted  # type: ignore[method-assign]
    try:
        for name, (log, optimizer, dtype) in TRAININGS.items():
            with of_type(dtype):
                if optimizer is None:
                    fit_one(logs[log], folder / name, RECIPE, devices=devices)
                else:
                    train_supernet(config(devices, optimizer, dtype), logs[log], folder / name, progress=False)
            weights = {key: value.detach() for key, value in ended.pop().named_parameters()}
            save_file(weights, folder / f"{name}-rank-{here().number}.safetensors")
        fit_one(logs["plain"], folder / "long", LONG, devices=devices)
    finally:
        CheckpointKeeper.on_train_end = end  # type: ignore[method-assign]


@pytest.fixture(scope="module")
def trained(logs: dict[str, PreparedSet], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders of the trainings by one process and by two."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    train_all(logs, one, 1)
    with pytest.MonkeyPatch.context() as patch:
        # the ranks import this module by its name, which pytest knows without the path; last, since beside the
        # tests lies a folder of the package's name that is not the installed package
        patch.setattr(sys, "path", [*sys.path, str(Path(__file__).parents[__name__.count(".")])])
        launch(train_all, 2, logs=logs, folder=two, devices=2)
    return one, two


@pytest.mark.parametrize("name", TRAININGS)
def test_two_processes_do_what_one_does(trained: tuple[Path, Path], name: str) -> None:
    one, two = trained
    first, other = (load_file(two / f"{name}-rank-{number}.safetensors") for number in (0, 1))
    expected = load_file(one / f"{name}-rank-0.safetensors")
    assert first.keys() == other.keys() == expected.keys()
    for key, value in expected.items():
        assert torch.equal(first[key], other[key]), key
        torch.testing.assert_close(first[key], value, **CLOSE[value.dtype], msg=lambda text, key=key: f"{key}: {text}")


@pytest.mark.parametrize("name", TRAININGS)
def test_rank_0_alone_writes_what_one_process_writes(trained: tuple[Path, Path], name: str) -> None:
    one, two = (folder / name for folder in trained)
    assert {path.name for path in one.iterdir()} == {path.name for path in two.iterdir()}
    kept, seen = load_file(two / "model.safetensors"), load_file(two.parent / f"{name}-rank-0.safetensors")
    assert kept.keys() == seen.keys()
    assert all(torch.equal(value, seen[key]) for key, value in kept.items())
    if name.startswith("supernet"):
        first, second = (read_json(folder / "supernet.json")["training"] for folder in (one, two))
        assert first["steps"] >= STEPS
        assert [first[key] for key in ("steps", "row_macs", "rows_per_epoch")] == [
            second[key] for key in ("steps", "row_macs", "rows_per_epoch")
        ]
    else:
        first, second = (read_json(folder / "result.json") for folder in (one, two))
        assert first["steps"] == second["steps"] == STEPS
        assert first["val_log_loss"] == pytest.approx(second["val_log_loss"], rel=1e-4)


def test_the_tolerance_tells_weights_from_none(trained: tuple[Path, Path]) -> None:
    for name in ("supernet", "network"):
        one, other = (load_file(trained[0] / f"{kind}-rank-0.safetensors") for kind in (name, f"{name}-weighted"))
        assert not all(torch.allclose(one[key], other[key], **CLOSE[torch.float32]) for key in one)


def test_interrupted_ranks_save_one_state_and_go_on(
    logs: dict[str, PreparedSet], trained: tuple[Path, Path], tmp_path: Path
) -> None:
    """The caller launches the ranks itself, passes a signal on, and reads what rank 0 has written."""

    def stop() -> None:
        while not checkpoints.exists(tmp_path / "checkpoint"):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=stop, daemon=True)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        fit_one(logs["plain"], tmp_path, LONG, devices=2, checkpoint_every=20)
    thread.join()
    assert not (tmp_path / "result.json").exists()
    assert 20 <= checkpoints.read_state(tmp_path / "checkpoint")["tree"]["global_step"] < STEPS * BATCH // 8
    made = network(logs["plain"])
    resumed = fit_one(logs["plain"], tmp_path, LONG, made, devices=2)
    whole = read_json(trained[1] / "long" / "result.json")
    assert (resumed.steps, resumed.history) == (whole["steps"], whole["history"])
    weights = load_file(trained[1] / "long" / "model.safetensors")
    assert all(torch.equal(value, weights[name]) for name, value in made.state_dict().items())


def refused(number: int) -> None:
    if here().number == 1:
        raise UserErrors([UserError("not a number", value=number, where="x"), UserError("nor this")])
    threading.Event().wait()


def test_an_error_of_one_rank_ends_all_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(Path(__file__).parents[__name__.count(".")])])
    monkeypatch.setattr("nasrec_nni.training.launch.GRACE", 0.1)
    with pytest.raises(UserErrors, match="x: not a number, got 5\nnor this"):
        launch(refused, 2, number=5)


def with_environment(name: str) -> None:
    if here().number == 0:
        raise UserError("told", value=(os.environ[name], os.environ.get("PYTHONWARNINGS"), torch.get_num_threads()))


def test_ranks_have_the_environment_of_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not that in which the server that they are forked from was started."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(Path(__file__).parents[__name__.count(".")])])
    monkeypatch.setattr("nasrec_nni.training.launch.GRACE", 0.1)
    monkeypatch.delenv("PYTHONWARNINGS", raising=False)
    threads = max(1, torch.get_num_threads() // 2)
    for value in ("first", "second"):
        monkeypatch.setenv("NASREC_TEST", value)
        before = dict(os.environ)
        with pytest.raises(UserError, match="told") as caught:
            launch(with_environment, 2, name="NASREC_TEST")
        assert caught.value.value == (value, None, threads)
        assert dict(os.environ) == before


@pytest.mark.parametrize("name", ["fsdp", "ddp_spawn", "deepspeed"])
def test_strategies_that_do_not_see_slices_are_refused(logs: dict[str, PreparedSet], name: str) -> None:
    given = {"device": "cpu", "data": {"prepared": str(logs["plain"].folder)}}
    for allowed in ("auto", "ddp"):
        check(parse_config(given | {"strategy": allowed}))
    with pytest.raises(UserErrors, match="sampled slices") as caught:
        check(parse_config(given | {"strategy": name}))
    assert [error.where for error in caught.value.errors] == ["strategy"]


def test_a_rank_that_died_is_told_unless_a_signal_explains_it() -> None:
    receiver, sender = Pipe(duplex=False)
    sender.close()
    outcomes = _outcomes([receiver])
    with pytest.raises(RuntimeError, match="rank 0 died"):
        _judge(outcomes, [])
    with pytest.raises(KeyboardInterrupt):
        _judge(outcomes, [signal.SIGINT])
    with pytest.raises(SystemExit, match="143"):
        _judge(outcomes, [signal.SIGTERM])


@pytest.mark.parametrize("parts", [2, 3])
def test_parts_are_the_batch(logs: dict[str, PreparedSet], parts: int) -> None:
    prepared = logs["weighted"]
    whole = Batches(prepared, rows_of(prepared), BATCH, 1)
    pieces = [Batches(prepared, rows_of(prepared), BATCH, 1, part=(number, parts)) for number in range(parts)]
    for step in (0, 7, len(whole) - 1):
        found = [torch.cat(fields) for fields in zip(*(piece.batch(2, step) for piece in pieces), strict=True)]
        assert all(torch.equal(*pair) for pair in zip(found, whole.batch(2, step), strict=True))


def test_mistakes_are_told_before_any_work(logs: dict[str, PreparedSet], tmp_path: Path) -> None:
    given = {
        "device": "cpu",
        "devices": 4096,
        "data": {"prepared": str(logs["plain"].folder)},
        "supernet": {"recipe": {"batch": 4095}},
        "retrain": {"recipe": {"batch": 4097}},
    }
    with pytest.raises(UserErrors) as caught:
        check(parse_config(given))
    places = {error.where for error in caught.value.errors}
    assert places == {"devices", "supernet.recipe.batch", "retrain.recipe.batch"}
    with pytest.raises(UserError, match="split evenly"):
        fit_one(logs["plain"], tmp_path, Recipe(preset="published", batch=33), devices=2)
    with pytest.raises(UserError, match="too few training rows"):
        fit_one(logs["plain"], tmp_path, Recipe(preset="published", batch=4096), devices=2)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("model", ["lr", "mlp", "fm", "deepfm", "dlrm", "dcnv2"])
def test_mixed_precision_trains_what_float32_does(logs: dict[str, PreparedSet], model: str, tmp_path: Path) -> None:
    losses = {}
    for precision in ("32-true", "bf16-mixed"):
        made = network(logs["weighted"], model)
        found = fit_one(logs["weighted"], tmp_path / precision, RECIPE, made, precision=precision)
        losses[precision] = found.val_log_loss
        assert {value.dtype for value in made.state_dict().values()} == {torch.float32}
    assert losses["bf16-mixed"] == pytest.approx(losses["32-true"], abs=2e-3)
    assert losses["bf16-mixed"] != losses["32-true"]
    with pytest.raises(UserError, match="another training: precision differs"):
        fit_one(
            logs["weighted"], tmp_path / "32-true", RECIPE, network(logs["weighted"], model), precision="bf16-mixed"
        )


def test_mixed_precision_trains_a_supernet(logs: dict[str, PreparedSet], tmp_path: Path) -> None:
    losses = {}
    for precision in ("32-true", "bf16-mixed"):
        chosen = config(1).model_copy(update={"precision": precision})
        train_supernet(chosen, logs["weighted"], tmp_path / precision, progress=False)
        losses[precision] = load_file(tmp_path / precision / "model.safetensors")
    one, other = losses.values()
    assert {value.dtype for value in other.values()} == {torch.float32}
    distance = torch.cat([(one[name] - other[name]).flatten() for name in one]).norm()
    assert 0 < distance < 0.05 * torch.cat([value.flatten() for value in one.values()]).norm()
