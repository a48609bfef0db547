"""The path distributions a supernet can be trained with (SPEC section 5).

    draw = macro part (which sources every block reads) + micro part (operators, sizes, mergers)

| distribution                      | macro       | micro       |
|-----------------------------------|-------------|-------------|
| single-operator any-connection    | any-path    | single-path |  the method
| single-operator single-connection | single-path | single-path |
| any-operator any-connection       | any-path    | any-path    |
| full                              | full        | full        |

Source: NASRec, authors' implementation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nasrec_nni.architecture.draw import Counts, Macro, Micro, any_macro, coin, index, path_block, pick, subset
from nasrec_nni.architecture.draw import single_micro as _single_micro
from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.architecture.value import Path

MacroDraw = Callable[[SpaceDescription, int, np.random.Generator, Counts], Macro]
MicroDraw = Callable[[SpaceDescription, np.random.Generator, Counts], Micro]


@dataclass(frozen=True)
class Distribution:
    """How one training step draws its path.

    Args:
        name: as registered in the group `nasrec_nni.one_shot`.
        macro: draws the sources of block `number`, counted from 1.
        micro: draws operators, sizes and mergers of a block.
        warms_up: whether full paths may stand in during warm-up.
    """

    name: str
    macro: MacroDraw
    micro: MicroDraw
    warms_up: bool = True

    def draw(self, space: SpaceDescription, generator: np.random.Generator, counts: Counts) -> Path:
        """One path: the macro parts of all blocks first, then the micro parts."""
        macros = [self.macro(space, number, generator, counts) for number in range(1, space.blocks + 1)]
        return Path(tuple(path_block(macro, self.micro(space, generator, counts)) for macro in macros))


def single_macro(space: SpaceDescription, number: int, generator: np.random.Generator, counts: Counts) -> Macro:
    """One source a list, uniform."""
    one, two, three, four = (index(number, generator) for _ in range(4))
    return Macro((one,), (two,), (three,), (four,))


def full_macro(space: SpaceDescription, number: int, generator: np.random.Generator, counts: Counts) -> Macro:
    """All sources in all four lists; the bound on connections does not hold here."""
    sources = tuple(range(number))
    return Macro(sources, sources, sources, sources)


def single_micro(space: SpaceDescription, generator: np.random.Generator, counts: Counts) -> Micro:
    """One operator a side; every choice uniform."""
    return _single_micro(space, generator)


def any_micro(space: SpaceDescription, generator: np.random.Generator, counts: Counts) -> Micro:
    """A subset of the operators a side, its size drawn like a connection count; the rest uniform."""
    return Micro(
        _operators(space.dense_operators, generator, counts),
        pick(space.dense_widths, generator),
        _operators(space.sparse_operators, generator, counts),
        pick(space.sparse_rows, generator),
        coin(generator),
        coin(generator),
    )


def _operators(names: tuple[str, ...], generator: np.random.Generator, counts: Counts) -> tuple[str, ...]:
    return tuple(names[position] for position in subset(len(names), len(names), generator, counts))


def full_micro(space: SpaceDescription, generator: np.random.Generator, counts: Counts) -> Micro:
    """All operators at the largest sizes, both mergers on."""
    return Micro(
        space.dense_operators, max(space.dense_widths), space.sparse_operators, max(space.sparse_rows), True, True
    )


SINGLE_OPERATOR_ANY_CONNECTION = Distribution("single-operator-any-connection", any_macro, single_micro)
SINGLE_OPERATOR_SINGLE_CONNECTION = Distribution("single-operator-single-connection", single_macro, single_micro)
ANY_OPERATOR_ANY_CONNECTION = Distribution("any-operator-any-connection", any_macro, any_micro)
FULL = Distribution("full", full_macro, full_micro, warms_up=False)
