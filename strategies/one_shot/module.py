"""The one-shot Lightning module: draws paths, trains the supernet along them, validates fixed ones."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from nni.nas.evaluator.pytorch import LightningModule
from nni.nas.oneshot.pytorch.base_lightning import BaseOneShotLightningModule
from torch import Tensor

from nasrec_nni.architecture.value import Path
from nasrec_nni.operators.ranks import ranks
from nasrec_nni.operators.slices import SliceTape
from nasrec_nni.profiling import live_macs
from nasrec_nni.strategies.sampling.sampler import PathSampler, architectures


class PathModule(BaseOneShotLightningModule):  # type: ignore[misc]
    """Wraps the evaluator's module. One draw a step gives a list of (path, role); their losses are added.

    `row_macs` is the work so far, rows × live MACs of each path, by which strategies can be compared at equal cost.

    Args:
        training_module: the evaluator's module. If it has a `slice_tape`, its optimizer reads slice gradients
            from it, and the step's work on weights is that of the sampled slices only.
        make_sampler: from the space's description to the sampler.
        validation_paths: how many fixed random architectures are validated.
        seed: of those architectures.
    """

    def __init__(
        self,
        training_module: LightningModule,
        make_sampler: Callable[[Any], PathSampler],
        validation_paths: int,
        seed: int,
    ) -> None:
        super().__init__(training_module)
        self.row_macs = 0
        self._make_sampler = make_sampler
        self._validation_paths = validation_paths
        self._seed = seed

    @property
    def automatic_optimization(self) -> bool:
        """Lightning runs the one optimizer."""
        return True

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        space = model.description
        self.sampler = self._make_sampler(space)
        self.validation_paths: list[Path] = [
            architecture.path for architecture in architectures(space, self._seed, self._validation_paths)
        ]

    def resample(self) -> dict[str, Any]:
        """Activate the first path of the current step's draw (for NNI's own callers); returns nothing to merge."""
        self.model.activate(self.sampler.draw(self.trainer.global_step)[0][0])
        return {}

    def training_step(self, batch: Any, batch_index: int) -> Tensor:
        tape: SliceTape | None = getattr(self.training_module, "slice_tape", None)
        total: Tensor | None = None
        with tape.recording() if tape is not None else nullcontext():
            for path, _role in self.sampler.draw(self.trainer.global_step):
                self.model.activate(path)
                self.row_macs += ranks() * len(batch.label) * live_macs(path, self.model.sizes)
                loss = self.training_module.training_step(batch, batch_index)
                total = loss if total is None else total + loss
        assert total is not None
        return total

    def validation_step(self, batch: Any, batch_index: int) -> None:
        for path in self.validation_paths:
            self.model.activate(path)
            self.training_module.validation_step(batch, batch_index)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["row_macs"] = self.row_macs

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.row_macs = checkpoint["row_macs"]

    def on_validation_epoch_end(self) -> None:
        """NNI's wrapper does not forward this hook."""
        self.training_module.on_validation_epoch_end()
