"""Random search: the baseline every algorithm has to beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nasrec_nni.architecture.draw import random_architecture, stream
from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.architecture.value import Architecture
from nasrec_nni.strategies.search.interface import Excess, Options, parse_options
from nasrec_nni.strategies.search.records import Record
from nasrec_nni.strategies.search.unique import Unique

TRIES = 256


class RandomSearch:
    """Different architectures from the authors' *fixed* distribution (uniform counts).

    Args:
        space: where to search.
        seed: not negative.
        options: none are known.
        budget: not used; every prefix is the same search.
        excess: of the limits.
        earlier: only not proposed again.
    """

    def __init__(
        self,
        space: SpaceDescription,
        seed: int,
        options: Mapping[str, Any] | None = None,
        budget: int | None = None,
        *,
        excess: Excess | None = None,
        earlier: Sequence[Record] = (),
    ) -> None:
        parse_options(Options, options)
        self._space, self._seed = space, seed
        self._unique = Unique(space, excess, earlier)

    def ask(self) -> Architecture | None:
        """The next candidate; it does not depend on what was told."""
        return new_random(self._space, self._seed, self._unique)

    def tell(
        self,
        architecture: Architecture,
        value: float | None,
        failure: str | None = None,
        values: tuple[float, ...] | None = None,
    ) -> None:
        """Nothing is learnt."""


def new_random(space: SpaceDescription, seed: int, unique: Unique) -> Architecture | None:
    """A random architecture that `unique` takes as new; None if none can be found."""
    generator = stream(seed, "random candidate", len(unique))
    for _ in range(TRIES):
        architecture = random_architecture(space, generator)
        if unique.add(architecture):
            return architecture
    return unique.leftover(generator)
