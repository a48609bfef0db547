"""Evolution for several objectives, with the selection of NSGA-II and no generations.

    population --two tournaments by (front, room)--> parents --crossover, mutation--> child --tell--> population + 1
                                                   the last of the last front, by room, leaves <------------'

Source: Deb et al., NSGA-II (IEEE TEC 2002). Ours: steady state, so that no worker waits for a generation; no
candidate twice; of one objective it is a plain evolution in which the worst leaves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import Field

from nasrec_nni.architecture.draw import coin, index, stream
from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.architecture.value import Architecture
from nasrec_nni.errors import UserError
from nasrec_nni.strategies.search.interface import Excess, Options, parse_options
from nasrec_nni.strategies.search.offspring import crossed, new_child
from nasrec_nni.strategies.search.pareto import by_merit
from nasrec_nni.strategies.search.random_search import new_random
from nasrec_nni.strategies.search.records import Record
from nasrec_nni.strategies.search.unique import Unique


class Nsga2Options(Options):
    """Sizes and shares."""

    population: Annotated[int, Field(ge=2)] = Field(24, description="first random candidates, and how many live")
    crossover: Annotated[float, Field(ge=0, le=1)] = Field(0.9, description="share of children of two parents")
    mutations: Annotated[int, Field(ge=1)] = Field(1, description="of each child")


class _Member(NamedTuple):
    architecture: Architecture
    point: tuple[float, ...]


class Nsga2:
    """Keeps a population spread along the Pareto front.

    Args:
        space: where to search.
        seed: not negative.
        options: see `Nsga2Options`.
        budget: candidates that will be asked.
        excess: of the limits.
        earlier: successes join the first population; so many fewer are random.

    Raises:
        UserErrors: unknown or wrong options, or a budget that only fills the first population.
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
        self._options = parse_options(Nsga2Options, options)
        self._space, self._seed = space, seed
        self._unique = Unique(space, excess, earlier)
        members = [_Member(record.architecture, record.point) for record in earlier if record.point is not None]
        _check(self._options.population, budget, len(members))
        self._population: list[_Member] = []  # best first
        self._select(members)
        self._first = len(earlier) + max(0, self._options.population - len(members))  # seen before the first child

    @property
    def population(self) -> tuple[tuple[Architecture, tuple[float, ...]], ...]:
        """Who can become a parent, best first."""
        return tuple(self._population)

    def ask(self) -> Architecture | None:
        """The next candidate, new by canonical id; None when the space has nothing new left."""
        number = len(self._unique)
        if number < self._first or not self._population:
            return new_random(self._space, self._seed, self._unique)
        generator = stream(self._seed, "nsga2", number)
        parent = self._winner(generator)
        if coin(generator, self._options.crossover):
            child = crossed(parent, self._winner(generator), generator)
            parent = child if self._unique.fits(child) else parent
        return new_child(parent, self._options.mutations, self._space, self._unique, generator)

    def tell(
        self,
        architecture: Architecture,
        value: float | None,
        failure: str | None = None,
        values: tuple[float, ...] | None = None,
    ) -> None:
        """A success joins, and if the population is full the worst leaves, which may be this one."""
        if value is not None:
            self._select([*self._population, _Member(architecture, values or (value,))])

    def _select(self, members: Sequence[_Member]) -> None:
        order = by_merit([member.point for member in members])
        self._population = [members[row] for row in order[: self._options.population]]

    def _winner(self, generator: np.random.Generator) -> Architecture:
        """The better of two."""
        size = len(self._population)
        return self._population[min(index(size, generator), index(size, generator))].architecture


def _check(population: int, budget: int | None, earlier: int) -> None:
    if budget is not None and budget + earlier <= population:
        raise UserError(
            "the candidates only fill the first random population, so nothing would evolve",
            value=budget,
            where="search.candidates",
            allowed=f"more than search.options.population ({population})",
            hint=f"Set search.options.population={max(2, budget // 4)}, or search.algorithm=random",
        )
