"""Learning rates over time, and when to stop."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from nasrec_nni.config import Recipe

LOWEST = 1e-8  # lr_min of NASRec, authors' implementation
CUT = 0.1  # what a plateau does to the learning rate


def warmup_steps(share: float, steps: int) -> int:
    """Steps of the linear rise: the share, rounded down (10 % of 71,625 are 7,162)."""
    return math.floor(share * steps + 1e-9)


def cosine_rate(step: int, peak: float, warmup: int, steps: int) -> float:
    """Learning rate of optimizer step `step`, from 0 (NASRec, authors' implementation; SPEC section 6).

    Rises linearly from 1e-8 over `warmup` steps and falls by half a cosine from `peak` to 1e-8 at `steps`.
    """
    if step < warmup:
        share = step / warmup
    else:
        share = (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, steps - warmup)))) / 2
    return LOWEST + (peak - LOWEST) * share


def build_schedule(optimizer: Optimizer, recipe: Recipe, steps: int) -> LambdaLR | None:
    """The per-step schedule of a recipe over `steps` optimizer steps; None if the rate does not follow the step.

    Each parameter group has its own peak. Step it after each optimizer step.
    """
    if recipe.schedule != "cosine":
        return None
    warmup = warmup_steps(recipe.lr_warmup, steps)

    def factor(step: int, peak: float) -> float:
        return cosine_rate(step, peak, warmup, steps) / peak

    return LambdaLR(optimizer, [partial(factor, peak=group["lr"]) for group in optimizer.param_groups])


@dataclass
class Judge:
    """Follows a recipe's validation figure over epochs: which is best, when to cut the rate, when to stop.

    `cosine` never stops; `constant` stops after `patience` epochs in a row without gain; `plateau` cuts the rate to a
    tenth after each epoch without gain and stops with cut number `patience`, gains in between or not.

    Attributes:
        recipe: names the schedule, the patience and the monitored figure.
        best: figure of the best epoch so far.
        best_epoch: its number from 0, -1 before the first.
        waited: epochs without gain since the best (`constant`).
        cuts: of the learning rate so far (`plateau`).
        stopped: training is over.
    """

    recipe: Recipe
    best: float = math.inf
    best_epoch: int = -1
    waited: int = 0
    cuts: int = 0
    stopped: bool = False
    _kept: tuple[str, ...] = field(default=("best", "best_epoch", "waited", "cuts", "stopped"), repr=False)

    def see(self, epoch: int, figure: float, optimizer: Optimizer) -> bool:
        """Judge one epoch; True if it is the best so far. May cut the optimizer's rates."""
        value = -figure if self.recipe.monitor == "auc" else figure
        if value < self.best:
            self.best, self.best_epoch, self.waited = value, epoch, 0
            return True
        self.waited += 1
        if self.recipe.schedule == "constant":
            self.stopped = self.waited >= self.recipe.patience
        elif self.recipe.schedule == "plateau":
            self.cuts += 1
            self.stopped = self.cuts >= self.recipe.patience
            for group in optimizer.param_groups:
                group["lr"] *= CUT
        return False

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._kept}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name in self._kept:
            setattr(self, name, state[name])
