"""Children: of one parent by mutation, of two by taking each block from either."""

from __future__ import annotations

import numpy as np

from nasrec_nni.architecture.draw import coin
from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.architecture.value import Architecture
from nasrec_nni.strategies.search.mutation import mutate
from nasrec_nni.strategies.search.unique import Unique

TRIES = 256


def new_child(
    parent: Architecture, mutations: int, space: SpaceDescription, unique: Unique, generator: np.random.Generator
) -> Architecture | None:
    """A mutated parent that `unique` takes as new; None if none can be found.

    A child that was seen is mutated `mutations` times more, on top: a random walk until new. One beyond the limits
    is dropped, and the walk begins again at the last architecture within them.

    Args:
        parent: within the limits, unless the caller has none that is.
        mutations: how many, at least 1.
        space: whose choices.
        unique: of the search.
        generator: advanced by a varying number of draws.
    """
    child = within = parent
    for step in range(1, TRIES * mutations + 1):
        mutated = mutate(child, space, generator)
        if mutated is None:
            break
        child = mutated
        if step % mutations == 0:
            if unique.add(child):
                return child
            within = child = child if unique.fits(child) else within
    return unique.leftover(generator)


def crossed(one: Architecture, other: Architecture, generator: np.random.Generator) -> Architecture:
    """Each block from either parent (uniform crossover): a block reads earlier sources by number, so all fit."""
    pairs = zip(one.blocks, other.blocks, strict=True)
    return Architecture(one.space, tuple(left if coin(generator) else right for left, right in pairs))
