"""One-shot strategies run with NNI's own Lightning evaluator and engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nni
import pytest
import torch
from nni.nas.evaluator.pytorch import Lightning, LightningModule, Trainer
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.space import RawFormatModelSpace
from nni.nas.strategy import RandomOneShot
from torch import Tensor

from nasrec_nni.config import Recipe
from nasrec_nni.data.batch import Batch
from nasrec_nni.search_spaces.samples import from_sample
from nasrec_nni.search_spaces.space import NASRecFull
from nasrec_nni.strategies.one_shot.strategies import (
    AnyOperatorAnyConnection,
    Full,
    PathStrategy,
    SingleOperatorAnyConnection,
    SingleOperatorSingleConnection,
)
from nasrec_nni.strategies.one_shot.training import SupernetTraining

ROWS = (7, 5, 11)
SIZES: dict[str, Any] = {"blocks": 3, "dense_widths": (16, 32), "sparse_rows": (4, 8)}
STRATEGIES = [SingleOperatorAnyConnection, SingleOperatorSingleConnection, AnyOperatorAnyConnection, Full]


class Batches:
    """So many random batches of 8 rows; a plain list would be several loaders to Lightning."""

    def __init__(self, count: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.batches = [
            Batch(
                torch.randn(8, 5, generator=generator),
                torch.stack([torch.randint(rows, (8,), generator=generator) for rows in ROWS], 1),
                torch.randint(2, (8,), generator=generator).float(),
            )
            for _ in range(count)
        ]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.batches)


def trainer(folder: Path, **options: Any) -> Any:
    return Trainer(
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        accelerator="cpu",
        **options,
    )


def train(strategy: Any, module: LightningModule, folder: Path, space: NASRecFull | None = None, **options: Any) -> Any:
    torch.manual_seed(0)
    space = space or NASRecFull(dense=5, rows_per_field=ROWS, **SIZES)
    evaluator = Lightning(module, trainer(folder, **options), train_dataloaders=Batches(12), val_dataloaders=Batches(2))
    strategy(RawFormatModelSpace(space, evaluator), SequentialExecutionEngine())
    return strategy.supernet


@pytest.mark.parametrize("kind", STRATEGIES)
def test_strategies_train_with_nnis_evaluator(kind: type[PathStrategy], tmp_path: Path) -> None:
    start = {n: p.clone() for n, p in _fresh_weights().items()}
    strategy = kind(counts="uniform", warmup_steps=4, seed=3)
    supernet = train(strategy, SupernetTraining(Recipe(schedule="constant"), 12), tmp_path)
    assert supernet.is_supernet
    moved = {name for name, p in supernet.named_parameters() if not torch.equal(p, start[name])}
    expected = _used(strategy, supernet)
    assert moved <= expected
    assert len(moved) >= 0.9 * len(expected)


def _fresh_weights() -> dict[str, Tensor]:
    torch.manual_seed(0)
    space = SingleOperatorAnyConnection().mutate_model(NASRecFull(dense=5, rows_per_field=ROWS, **SIZES))
    return dict(space.named_parameters())


def _used(strategy: PathStrategy, supernet: NASRecFull) -> set[str]:
    sampler = strategy._sampler(supernet.description)
    return {
        name
        for step in range(12)
        for path, _ in sampler.draw(step)
        for name, _parameter in supernet.network(path).named_parameters()
    }


def test_only_sampled_slices_move(tmp_path: Path) -> None:
    """One step along one path leaves every other weight, and every other part of a used weight, as it was."""
    start = {n: p.clone() for n, p in _fresh_weights().items()}
    strategy = SingleOperatorAnyConnection(seed=5)
    supernet = train(strategy, SupernetTraining(Recipe(schedule="constant"), 1), tmp_path, limit_train_batches=1)
    path = strategy._sampler(supernet.description).draw(0)[0][0]
    used = {name: p.shape for name, p in supernet.network(path).named_parameters()}
    for name, parameter in supernet.named_parameters():
        changed = (parameter != start[name]).nonzero()
        if name not in used:
            assert not len(changed), name
        elif len(changed):
            assert all(changed.amax(0) < torch.tensor(used[name])), name


def test_draws_follow_optimizer_steps_not_validation(tmp_path: Path) -> None:
    seen: list[Any] = []

    class Spy(SupernetTraining):  # type: ignore[misc,valid-type]
        def training_step(self, batch: Batch, batch_index: int) -> Tensor:
            seen.append(self.model.active_path)
            return super().training_step(batch, batch_index)

    strategy = SingleOperatorAnyConnection(seed=1)
    supernet = train(strategy, Spy(Recipe(schedule="constant"), 12), tmp_path, val_check_interval=3)
    sampler = strategy._sampler(supernet.description)
    assert seen == [sampler.draw(step)[0][0] for step in range(12)]


def test_a_users_module_and_torch_optimizer_work(tmp_path: Path) -> None:
    """Without a slice tape, gradients are full-size and any optimizer of torch takes them."""

    @nni.trace
    class Plain(LightningModule):
        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.model.parameters(), 0.1)

        def training_step(self, batch: Batch, batch_index: int) -> Tensor:
            return torch.nn.functional.binary_cross_entropy_with_logits(
                self.model(batch.dense, batch.sparse), batch.label
            )

        def validation_step(self, batch: Batch, batch_index: int) -> None:
            self.log("val", self.training_step(batch, batch_index))

    space = NASRecFull(dense=5, rows_per_field=ROWS, sparse_gradients=False, **SIZES)
    for strategy in (SingleOperatorAnyConnection(), RandomOneShot()):
        supernet = train(strategy, Plain(), tmp_path, space)
        assert supernet.is_supernet
        space = NASRecFull(dense=5, rows_per_field=ROWS, sparse_gradients=False, **SIZES)


def test_exported_sample_is_in_the_space(tmp_path: Path) -> None:
    strategy = SingleOperatorAnyConnection()
    supernet = train(strategy, SupernetTraining(Recipe(schedule="constant"), 12), tmp_path)
    sample = strategy.oneshot_module.export()
    assert from_sample(sample, supernet.description).blocks
    assert supernet.freeze(sample)(torch.randn(2, 5), torch.zeros(2, 3, dtype=torch.long)).shape == (2,)
