"""One mutation: one key of one block drawn anew.

    block uniform -> macro or micro, one half each -> one of its keys uniform -> value from the fixed distribution

Source: NASRec, authors' implementation (SPEC section 7). Ours: what left the canonical form as it was is
drawn again, so a mutation always changes the network (theirs returns the same encoding
three times in ten, and touches unread lists).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from nasrec_nni.architecture.draw import coin, index, pick, subset
from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.architecture.value import Architecture

MACRO = ("dense_connections", "sparse_connections", "left", "right")
MICRO = ("operators", "dense_width", "sparse_rows", "dense_to_sparse", "sparse_to_dense")


def mutate(architecture: Architecture, space: SpaceDescription, generator: np.random.Generator) -> Architecture | None:
    """A neighbour with another canonical id.

    The last block's mergers always have an effect, so a draw changes the id with probability 1/(10 N)
    at the very least (N blocks): the bound below fails less than once in 10**40 mutations.

    Args:
        architecture: of the space, dead parts filled in as `random_architecture` does.
        space: whose choices.
        generator: advanced by a varying number of draws.

    Returns:
        None if no draw within the bound had an effect.
    """
    before = architecture.canonical
    for _ in range(1000 * space.blocks):
        child = _draw(architecture, space, generator)
        if child != architecture and child.canonical != before:
            return child
    return None


def _draw(architecture: Architecture, space: SpaceDescription, generator: np.random.Generator) -> Architecture:
    position = index(space.blocks, generator)
    key = pick(MACRO if coin(generator) else MICRO, generator)
    block = replace(architecture.blocks[position], **_value(key, position + 1, space, generator))
    return replace(architecture, blocks=(*architecture.blocks[:position], block, *architecture.blocks[position + 1 :]))


def _value(key: str, number: int, space: SpaceDescription, generator: np.random.Generator) -> dict[str, Any]:
    if key == "operators":
        return {
            "dense_operator": pick(space.dense_operators, generator),
            "sparse_operator": pick(space.sparse_operators, generator),
        }
    if key in ("dense_connections", "sparse_connections"):
        return {key: subset(number, space.max_connections, generator, "uniform")}
    if key in ("left", "right"):
        return {key: index(number, generator)}
    if key == "dense_width":
        return {key: pick(space.dense_widths, generator)}
    if key == "sparse_rows":
        return {key: pick(space.sparse_rows, generator)}
    return {key: coin(generator)}
