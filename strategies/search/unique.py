"""What was proposed already, by canonical id; and the rest of a space that is small enough to list."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

from nasrec_nni.architecture.draw import pick
from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.architecture.value import Architecture, Block

MOST_LISTED = 4096


class Unique:
    """Remembers the ids of one search.

    Args:
        space: where the search runs.
    """

    def __init__(self, space: SpaceDescription) -> None:
        self._space = space
        self._ids: set[str] = set()
        self._all: dict[str, Architecture] | None = None

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, architecture: Architecture, identity: str | None = None) -> bool:
        """Whether it is new; from now on it is not.

        Args:
            architecture: a candidate.
            identity: its id, where the caller has it.
        """
        before = len(self._ids)
        self._ids.add(identity or architecture.id)
        return len(self._ids) > before

    def leftover(self, generator: np.random.Generator) -> Architecture | None:
        """A new one after chance found none: uniform over the unseen rest of a small space.

        None if nothing is left, or if the space has more than 4,096 encodings and cannot be listed.
        """
        if self._all is None:
            small = encodings(self._space) <= MOST_LISTED
            self._all = {item.id: item for item in listed(self._space)} if small else {}
        unseen = [item for identity, item in self._all.items() if identity not in self._ids]
        if not unseen:
            return None
        found = pick(unseen, generator)
        self.add(found)
        return found


def encodings(space: SpaceDescription) -> int:
    """How many architectures the space holds, dead and unread parts told apart."""
    micro = len(space.dense_operators) * len(space.sparse_operators)
    micro *= len(space.dense_widths) * len(space.sparse_rows) * 4
    total = 1
    for number in range(1, space.blocks + 1):
        lists = sum(math.comb(number, count) for count in range(1, min(number, space.max_connections) + 1))
        total *= micro * lists**2 * number**2
    return total


def listed(space: SpaceDescription) -> Iterator[Architecture]:
    """Every architecture of the space."""
    for blocks in itertools.product(*(_blocks(space, number) for number in range(1, space.blocks + 1))):
        yield Architecture(space.name, blocks)


def _blocks(space: SpaceDescription, number: int) -> list[Block]:
    most = min(number, space.max_connections)
    lists = [chosen for count in range(1, most + 1) for chosen in itertools.combinations(range(number), count)]
    switch = (False, True)
    keys = (space.dense_operators, space.dense_widths, space.sparse_operators, space.sparse_rows)
    macro = (lists, lists, range(number), range(number))
    return [Block(*choice) for choice in itertools.product(*keys, *macro, switch, switch)]
