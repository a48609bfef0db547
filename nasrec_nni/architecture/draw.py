"""Random choices over a space, from a seeded generator: what sampling and search both draw from.

Distributions are those of NASRec, authors' implementation (SPEC section 5); the seeded generator is ours.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeVar

import numpy as np

from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.architecture.value import Architecture, Block, PathBlock

Counts = Literal["binomial", "uniform"]
T = TypeVar("T")


class Macro(NamedTuple):
    """The sources one block reads, each list ascending."""

    dense: tuple[int, ...]
    sparse: tuple[int, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]


class Micro(NamedTuple):
    """Operators, sizes and mergers of one block; operators in the order of the space."""

    dense_operators: tuple[str, ...]
    dense_width: int
    sparse_operators: tuple[str, ...]
    sparse_rows: int
    dense_to_sparse: bool
    sparse_to_dense: bool


def stream(seed: int, purpose: str, number: int) -> np.random.Generator:
    """The generator of one numbered draw: a function of its arguments only, so resuming is exact.

    Args:
        seed: of the run, not negative.
        purpose: keeps draws of different kinds at one seed independent.
        number: step or candidate, from 0.
    """
    return np.random.default_rng([seed, zlib.crc32(purpose.encode()), number])


def index(size: int, generator: np.random.Generator) -> int:
    """Uniform on 0..size-1, to 2**-53; several times faster than a scalar `integers`."""
    return int(generator.random() * size)


def pick(values: Sequence[T], generator: np.random.Generator) -> T:
    """One of the values, uniform."""
    return values[int(generator.random() * len(values))]


def coin(generator: np.random.Generator, probability: float = 0.5) -> bool:
    """True with the given probability."""
    return generator.random() < probability


def subset(size: int, most: int, generator: np.random.Generator, counts: Counts) -> tuple[int, ...]:
    """A non-empty subset of 0..size-1, ascending: its size drawn first, then uniform among those of that size.

    Args:
        size: how many there are to choose from.
        most: bound on the subset's size.
        counts: `binomial`: 1 + Binomial(min(size, most) - 1, 1/2); `uniform`: 1..min(size, most).
    """
    random, bound, count = generator.random, min(size, most), 1
    if counts == "uniform":
        count += int(random() * bound)
    else:
        for _ in range(bound - 1):
            count += random() < 0.5
    if count == size:
        return tuple(range(size))
    left = list(range(size))
    chosen = [left.pop(int(random() * (size - taken))) for taken in range(count)]
    chosen.sort()
    return tuple(chosen)


def any_macro(space: SpaceDescription, number: int, generator: np.random.Generator, counts: Counts) -> Macro:
    """Any-path: subsets for dense and sparse, one source each for left and right, all independent."""
    return Macro(
        subset(number, space.max_connections, generator, counts),
        subset(number, space.max_connections, generator, counts),
        (index(number, generator),),
        (index(number, generator),),
    )


def single_micro(space: SpaceDescription, generator: np.random.Generator) -> Micro:
    """Single-path: every choice uniform and independent."""
    return Micro(
        (pick(space.dense_operators, generator),),
        pick(space.dense_widths, generator),
        (pick(space.sparse_operators, generator),),
        pick(space.sparse_rows, generator),
        coin(generator),
        coin(generator),
    )


def path_block(macro: Macro, micro: Micro) -> PathBlock:
    """One block of a path from its two parts."""
    return PathBlock(
        micro.dense_operators,
        micro.dense_width,
        micro.sparse_operators,
        micro.sparse_rows,
        *macro,
        micro.dense_to_sparse,
        micro.sparse_to_dense,
    )


def random_architecture(
    space: SpaceDescription, generator: np.random.Generator, counts: Counts = "uniform"
) -> Architecture:
    """One architecture, dead parts included: any-path macro with single-path micro.

    With uniform counts this is the authors' *fixed* distribution, which their search starts from.
    """
    blocks = []
    for number in range(1, space.blocks + 1):
        macro, micro = any_macro(space, number, generator, counts), single_micro(space, generator)
        (dense_operator,), (sparse_operator,) = micro.dense_operators, micro.sparse_operators
        blocks.append(
            Block(
                dense_operator,
                micro.dense_width,
                sparse_operator,
                micro.sparse_rows,
                macro.dense,
                macro.sparse,
                macro.left[0],
                macro.right[0],
                micro.dense_to_sparse,
                micro.sparse_to_dense,
            )
        )
    return Architecture(space.name, tuple(blocks))
