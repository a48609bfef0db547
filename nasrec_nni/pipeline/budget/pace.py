"""How fast this run goes, by a short piece of its real work: steps of the supernet, candidates, a training."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from nasrec_nni.config import Config
from nasrec_nni.pipeline.context import Context
from nasrec_nni.pipeline.models import Model, build
from nasrec_nni.strategies.sampling.sampler import architectures

FEW = 8  # steps of an epoch
STEPS = 24  # most that are timed
CANDIDATES = 4
STREAM = 0x70616365  # the architectures timed are not those that a search begins with


@dataclass(frozen=True)
class Pace:
    """Seconds of repeated work.

    Args:
        start: before and behind it.
        each: of one piece.
    """

    start: float
    each: float


def of_steps(run: Callable[[int], None], most: int, seconds: float) -> Pace:
    """Seconds of a step, as the difference of two short trainings; an even shorter one has loaded what they need.

    Args:
        run: trains so many steps from nothing.
        most: steps of the real training.
        seconds: that may be spent here, about.
    """
    most = max(3, min(STEPS, most))
    run(1)
    one = _timed(run, 1)
    few = _timed(run, 3)
    each = max(0.0, few - one) / 2
    count = most if each == 0 else max(3, min(most, int(seconds / each)))
    many = _timed(run, count) if count > 3 else few
    each = max(1e-6, (many - one) / (count - 1))
    return Pace(max(0.0, one - each), each)


def supernet(context: Context, steps: int, seconds: float) -> Pace:
    """Pace of the supernet's training: a miniature of it, with the same share of warm-up."""
    from nasrec_nni.strategies.one_shot.train import train_supernet

    def run(count: int) -> None:
        with _scratch(context) as folder:
            config = with_steps(context.config, count)
            train_supernet(config, context.prepared, folder, progress=False)

    return of_steps(run, steps, seconds)


def with_steps(config: Config, steps: int) -> Config:
    """The same, with a supernet trained for so many steps."""
    return config.model_copy(update={"supernet": config.supernet.model_copy(update={"max_steps": steps})})


def candidates(context: Context, seconds: float) -> Pace:
    """Pace of the search: random architectures, scored and forgotten."""
    from nasrec_nni.pipeline.search import scorer
    from nasrec_nni.strategies.search import CandidateFailed

    began = time.monotonic()
    score = scorer(context, [])
    drawn = architectures(context.space, context.config.seed ^ STREAM, 1 + CANDIDATES)
    taken: list[float] = []
    for number, architecture in enumerate(drawn):
        if number == 1:
            start = time.monotonic() - began  # with the first, which loads the data
        begin = time.monotonic()
        try:
            score(architecture)
        except CandidateFailed:
            continue
        taken.append(time.monotonic() - begin)
        if len(taken) > 2 and sum(taken) > seconds:
            break
    later = taken[1:] or taken or [1e-3]
    each = sum(later) / len(later)
    return Pace(max(0.0, start - each), each)


def training(context: Context, model: Model, seconds: float) -> tuple[Pace, bool]:
    """Pace of one model's training from scratch: of a step; or, where an epoch has few, of an epoch (True)."""
    from nasrec_nni.training.fit import fit

    prepared, config = context.prepared, context.config
    given = config.retrain.recipe
    rows, val = prepared.rows("train"), prepared.rows("val")
    whole = len(rows) // given.batch < FEW

    def run(count: int) -> None:
        recipe = given.model_copy(update={"epochs": count if whole else 1, "monitor": "log_loss", "patience": count})
        with _scratch(context) as folder:
            fit(
                build(model, context, 0),
                prepared,
                recipe,
                seed=0,
                folder=folder,
                train_rows=rows if whole else rows[: count * given.batch],
                val_rows=val if whole else val[:1],
                progress=False,
                device=config.device,
                devices=config.devices,
                precision=config.precision,
            )

    return of_steps(run, given.epochs if whole else len(rows) // given.batch, seconds), whole


def _timed(run: Callable[[int], None], count: int) -> float:
    begin = time.monotonic()
    run(count)
    return time.monotonic() - begin


@contextmanager
def _scratch(context: Context) -> Iterator[Path]:
    with TemporaryDirectory(dir=context.folder.path, prefix=".pace-") as folder:
        yield Path(folder)
