"""What may still be proposed: new by canonical id and within the limits; by chance, by list, or by shrinking."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np

from nasrec_nni.architecture.draw import pick, random_architecture
from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.architecture.value import Architecture, Block
from nasrec_nni.strategies.search.interface import Excess
from nasrec_nni.strategies.search.mutation import mutate
from nasrec_nni.strategies.search.records import Record

MOST_LISTED = 4096
DESCENTS, STEPS = 3, 400


class Unique:
    """Remembers the ids of one search.

    Args:
        space: where the search runs.
        excess: how far an architecture is beyond the limits, if there are any.
        earlier: candidates of another search that are not to be proposed again; they count as seen.
    """

    def __init__(self, space: SpaceDescription, excess: Excess | None = None, earlier: Sequence[Record] = ()) -> None:
        self._space, self._excess = space, excess
        self._ids = {record.id for record in earlier}
        self._all: dict[str, Architecture] | None = None

    def __len__(self) -> int:
        return len(self._ids)

    def fits(self, architecture: Architecture) -> bool:
        """Whether it keeps the limits."""
        return self._excess is None or self._excess(architecture) <= 0

    def add(self, architecture: Architecture, identity: str | None = None) -> bool:
        """Whether it is new and keeps the limits; from now on it is not new.

        Args:
            architecture: a candidate.
            identity: its id, where the caller has it.
        """
        found = identity or architecture.id
        if found in self._ids or not self.fits(architecture):
            return False
        self._ids.add(found)
        return True

    def leftover(self, generator: np.random.Generator) -> Architecture | None:
        """A new one after chance found none.

        Uniform over the unseen rest of a small space. Of a space with more than 4,096 encodings, which cannot be
        listed: None, or where there are limits what random steps towards them find.
        """
        if encodings(self._space) > MOST_LISTED:
            return None if self._excess is None else self._shrunk(self._excess, generator)
        if self._all is None:
            self._all = {item.id: item for item in listed(self._space) if self.fits(item)}
        unseen = [item for identity, item in self._all.items() if identity not in self._ids]
        if not unseen:
            return None
        found = pick(unseen, generator)
        self.add(found)
        return found

    def _shrunk(self, excess: Excess, generator: np.random.Generator) -> Architecture | None:
        """Random descents on the excess: a mutation is kept unless it is further beyond the limits."""
        for _ in range(DESCENTS):
            architecture = random_architecture(self._space, generator)
            beyond = excess(architecture)
            for _ in range(STEPS):
                if beyond <= 0 and self.add(architecture):
                    return architecture
                mutated = mutate(architecture, self._space, generator)
                if mutated is None:
                    break
                if (after := excess(mutated)) <= beyond:
                    architecture, beyond = mutated, after
        return None


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
