"""Saves a training's state as it goes, at its end and when it is interrupted, and puts it back exactly."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback, Checkpoint

from nasrec_nni.data.shuffle import ORDER
from nasrec_nni.errors import UserError
from nasrec_nni.operators.optimizers import NotFiniteError
from nasrec_nni.training import checkpoint as checkpoints
from nasrec_nni.training.loader import ResumableLoader

SIGNALS = (signal.SIGINT, signal.SIGTERM)
LOOK_EVERY = 16  # steps between two looks of several processes at each other's signals


class Interrupted(BaseException):
    """SIGINT or SIGTERM came and the state is saved. Not a KeyboardInterrupt: Lightning turns that into exit 1."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class CheckpointKeeper(Checkpoint):
    """Writes the checkpoint every `every` optimizer steps and after each epoch, and resumes the loader.

    It runs after all other callbacks and after the module's own `on_train_epoch_end`, so what they keep in
    `state_dict` or `on_save_checkpoint` is of the same moment. A step that ends an epoch is saved by the epoch only,
    after its validation: Lightning's restart between the two would skip what belongs to the end of the epoch.

    A first SIGINT or SIGTERM waits for the end of the step (of the validation, if one runs), saves and raises
    Interrupted; a second one stops at once, with the last checkpoint kept. Several processes of one training agree on
    the step, at every 16th.

    Args:
        path: the checkpoint's folder.
        loader: the training loader.
        every: optimizer steps between two checkpoints inside an epoch.
        identity: plain values that say which training this is; a checkpoint of another one is refused.
    """

    def __init__(self, path: Path, loader: ResumableLoader, every: int, identity: dict[str, Any] | None = None) -> None:
        self.path = path
        self.loader = loader
        self.every = every
        self.identity = (identity or {}) | {"order": ORDER}
        self._position = (0, 0)
        self._signal: int | None = None
        self._handlers: dict[int, Any] = {}

    def resume_from(self) -> Path | None:
        """What to give to `trainer.fit(ckpt_path=…)`.

        Raises:
            UserError: the checkpoint is damaged or of another training.
        """
        if not checkpoints.exists(self.path):
            return None
        found = checkpoints.read_state(self.path)["tree"]["callbacks"][self.state_key]["identity"]
        if not same_training(found, self.identity):
            raise other_training(self.path, found, self.identity)
        return self.path

    def saved_steps(self) -> int | None:
        """Optimizer steps of the checkpoint, None without one."""
        if not checkpoints.exists(self.path):
            return None
        return int(checkpoints.read_state(self.path)["tree"]["global_step"])

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self._position[0], "step": self._position[1], "identity": self.identity}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._position = (state_dict["epoch"], state_dict["step"])
        self.loader.epoch, self.loader.start = self._position

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if threading.current_thread() is threading.main_thread():
            self._handlers = {number: signal.signal(number, self._note) for number in SIGNALS}

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if self.loader.at != (trainer.current_epoch, batch_idx):
            place = (trainer.current_epoch, batch_idx)
            raise RuntimeError(f"batch {self.loader.at} was read where Lightning counts {place}")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx + 1 == trainer.num_training_batches:
            return
        due = trainer.global_step % self.every == 0
        look = trainer.world_size == 1 or trainer.global_step % LOOK_EVERY == 0
        if due or (look and self._asked(trainer)):
            self._position = (trainer.current_epoch, batch_idx + 1)
            self._save(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._position = (trainer.current_epoch + 1, 0)
        self._save(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._release()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._release()

    def _save(self, trainer: Trainer) -> None:
        trainer.save_checkpoint(self.path, weights_only=False)
        if number := self._asked(trainer):
            raise Interrupted(number)

    def _asked(self, trainer: Trainer) -> int:
        """The signal that has come to any process of this training, 0 for none; every one must ask."""
        number = self._signal or 0
        if trainer.world_size == 1:
            return number
        return int(trainer.strategy.reduce(torch.tensor(number, device=trainer.strategy.root_device), reduce_op="max"))

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._signal is not None:
            raise Interrupted(number)
        self._signal = number

    def _release(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}


class StepSeed(Callback):
    """Seeds torch before each step by (seed, step), so that dropout is the same after a resume.

    Ours: otherwise the state of every device's generator would have to be stored. Each rank has numbers of its own.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        number = (
            self.seed * 0x9E3779B97F4A7C15 + trainer.global_step + trainer.global_rank * 0xD1B54A32D192ED03
        ) % 2**63
        # not torch.manual_seed: where CUDA is not in use it records a stack trace each time, half a millisecond
        torch.default_generator.manual_seed(number)
        if pl_module.device.type == "cuda":
            torch.cuda.manual_seed(number)


class Diverged(UserError):
    """A training whose loss or gradients ceased to be numbers."""


@contextmanager
def guarded(path: Path) -> Iterator[None]:
    """Around `trainer.fit`: interrupts and gradients that are not finite in the words of the command line.

    Args:
        path: the checkpoint's folder, for the message.

    Raises:
        KeyboardInterrupt, SystemExit: (143) after SIGINT, SIGTERM; the state is saved.
        Diverged: the loss or gradients are no numbers any more; nothing was updated by the bad step.
    """
    try:
        yield
    except Interrupted as interrupt:
        if interrupt.number == signal.SIGTERM:
            raise SystemExit(128 + signal.SIGTERM) from None
        raise KeyboardInterrupt from None
    except NotFiniteError as error:
        kept = f"The last good state is kept in {path}. " if checkpoints.exists(path) else ""
        raise Diverged(
            f"the training diverged: {error}", where="recipe.learning_rate", hint=f"{kept}Try a lower learning rate"
        ) from None


def same_training(found: Any, wanted: Any) -> bool:
    """Whether what is stored names the wanted training; it may say more, as an earlier version did."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        return all(name in found and same_training(found[name], value) for name, value in wanted.items())
    return bool(found == wanted)


def other_training(place: Path, found: Any, wanted: dict[str, Any]) -> UserError:
    """The error of a folder that holds something else than what is asked for."""
    known = found if isinstance(found, dict) else {}
    differing = [name for name, value in wanted.items() if not same_training(known.get(name), value)]
    return UserError(
        f"the folder holds another training: {', '.join(differing) or 'identity'} differs",
        where=str(place),
        hint="Remove it, or use another folder",
    )
