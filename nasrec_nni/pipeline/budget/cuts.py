"""What a retraining leaves out, one thing after another, until it fits into its time. Pure values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

ORDER = (
    "random architectures, then epochs down to half, then seeds down to one, then epochs down to a quarter, then the "
    "searched networks down to one, then hand-made models (the slowest first), then epochs down to one"
)


@dataclass(frozen=True)
class Trainings:
    """What is trained from scratch.

    Args:
        epochs: most of each training.
        seeds: how many.
        top_k: searched networks.
        random: architectures beside them.
        baselines: hand-made models by name.
    """

    epochs: int
    seeds: int
    top_k: int
    random: int
    baselines: tuple[str, ...]


Cost = Callable[[Trainings], float]


def cut(asked: Trainings, seconds: float, cost: Cost) -> Trainings:
    """The first of the ever smaller trainings that takes no longer than `seconds`; the least if none does."""
    found = asked
    for found in smaller(asked, cost):
        if cost(found) <= seconds:
            return found
    return found


def least(asked: Trainings, cost: Cost) -> Trainings:
    """With everything left out that may be."""
    return list(smaller(asked, cost))[-1]


def smaller(asked: Trainings, cost: Cost) -> Iterator[Trainings]:
    """As asked, then less and less in the stated `ORDER`.

    Args:
        asked: the beginning.
        cost: seconds, which say what hand-made model is the slowest.
    """
    at = asked
    yield at
    for count in range(asked.random - 1, -1, -1):
        at = replace(at, random=count)
        yield at
    for epochs in _down(at.epochs, math.ceil(asked.epochs / 2)):
        at = replace(at, epochs=epochs)
        yield at
    for count in _down(at.seeds, 1):
        at = replace(at, seeds=count)
        yield at
    for epochs in _down(at.epochs, math.ceil(asked.epochs / 4)):
        at = replace(at, epochs=epochs)
        yield at
    for count in _down(at.top_k, 1):
        at = replace(at, top_k=count)
        yield at
    while len(at.baselines) > (0 if at.top_k else 1):
        slowest = max(at.baselines, key=lambda name: cost(replace(at, top_k=0, random=0, baselines=(name,))))
        at = replace(at, baselines=tuple(name for name in at.baselines if name != slowest))
        yield at
    for epochs in _down(at.epochs, 1):
        at = replace(at, epochs=epochs)
        yield at


def _down(start: int, end: int) -> range:
    return range(start - 1, end - 1, -1)
