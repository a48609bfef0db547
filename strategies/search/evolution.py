"""Regularised (aging) evolution over canonical architectures.

    population (told, oldest first) --sample--> best of the sample --m mutations--> child --tell--> newest
                                                                    oldest leaves <--'

Source: NASRec, authors' implementation (SPEC section 7). Ours: duplicates are found on the canonical form
and include the first population, every mutation has an effect, and by default each child chooses its
parent anew (steady state), so that no worker waits for a generation.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from nasrec_nni.architecture.draw import stream
from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.architecture.value import Architecture
from nasrec_nni.errors import UserError, UserErrors
from nasrec_nni.strategies.search.interface import Excess, Options, parse_options
from nasrec_nni.strategies.search.offspring import new_child
from nasrec_nni.strategies.search.random_search import new_random
from nasrec_nni.strategies.search.records import Record
from nasrec_nni.strategies.search.unique import Unique

Positive = Annotated[int, Field(gt=0)]
CHILDREN = 8  # of one generation, by which progress g is counted


class EvolutionOptions(Options):
    """Defaults are the authors', but for the steady state."""

    population: Positive = Field(128, description="first random candidates, and how many live at once")
    sample: Positive | None = Field(
        None, description="drawn from the population, the best becomes the parent; half of the population if unset"
    )
    generations: Positive | None = Field(None, description="G; from the budget if unset, 240 without one")
    generation_size: Positive | None = Field(
        None, description="children of one parent; authors: 8; unset: steady state"
    )


class Member(NamedTuple):
    """A told candidate."""

    architecture: Architecture
    value: float


class RegularizedEvolution:
    """Aging evolution; lower values are better.

    The first `population` asks are random. Later asks mutate a parent `m(g) = (G - g) // max(20, G // 5) + 1`
    times, g being the generation, that is children told // 8 (or // `generation_size`). With a budget and no
    `generations`, G = ceil((budget - population) / 8), so that steps shrink over the search really run; a search
    that may be prolonged later should set `generations`. Result: the best of all told candidates (the authors
    take the best two of each generation, and leave the first population out).

    Args:
        space: where to search.
        seed: not negative.
        options: see `EvolutionOptions`.
        budget: candidates that will be asked.
        excess: of the limits.
        earlier: successes join the first population, in their order; so many fewer are random.

    Raises:
        UserErrors: unknown or wrong options, or sizes with which nothing would evolve.
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
        self._options = parse_options(EvolutionOptions, options)
        self._sample = self._options.sample or max(1, self._options.population // 2)
        members = [Member(record.architecture, record.value) for record in earlier if record.value is not None]
        _check(self._options, budget, len(members))
        self._space, self._seed = space, seed
        self._unique = Unique(space, excess, earlier)
        self._population: deque[Member] = deque(members, maxlen=self._options.population)
        self._first = len(earlier) + max(0, self._options.population - len(members))  # seen before the first child
        self._told = len(earlier)
        self._children = 0  # told, failed ones included
        self._size = self._options.generation_size or CHILDREN
        drawn = self._first - len(earlier)
        self.generations = self._options.generations or _generations(budget, drawn, self._size)
        self._parent: tuple[Architecture, int] | None = None
        self._of_parent = 0

    @property
    def population(self) -> tuple[Member, ...]:
        """Who can become a parent, oldest first."""
        return tuple(self._population)

    def ask(self) -> Architecture | None:
        """The next candidate, new by canonical id; None when the space has nothing new left."""
        if len(self._unique) < self._first or not self._population:
            return new_random(self._space, self._seed, self._unique)
        return self._child()

    def tell(
        self,
        architecture: Architecture,
        value: float | None,
        failure: str | None = None,
        values: tuple[float, ...] | None = None,
    ) -> None:
        """A success becomes the newest member and the oldest leaves; a failure only counts as told. Of several
        objectives the first counts.
        """
        member = Member(architecture, value) if value is not None else None
        if self._told >= self._first:
            self._children += 1
        self._told += 1
        if member is not None:
            self._population.append(member)

    def _child(self) -> Architecture | None:
        number = len(self._unique)
        parent, mutations = self._choose_parent(number)
        generator = stream(self._seed, "mutations", number)
        return new_child(parent, mutations, self._space, self._unique, generator)

    def _choose_parent(self, number: int) -> tuple[Architecture, int]:
        """The parent of child `number` and how often to mutate it; one pair a generation if so asked."""
        if self._parent is not None and self._of_parent < (self._options.generation_size or 1):
            self._of_parent += 1
            return self._parent
        # fewer may live than were asked: failures never do, and with several in flight some are not told yet
        size = min(self._sample, len(self._population))
        drawn = stream(self._seed, "parent", number).choice(len(self._population), size, replace=False)
        # Of equal values the younger wins: newer members came from later, better parents.
        parent = min((self._population[int(at)].value, -int(at)) for at in drawn)
        mutations = mutation_count(self._children // self._size, self.generations)
        self._parent = self._population[-parent[1]].architecture, mutations
        self._of_parent = 1
        return self._parent


def _check(options: EvolutionOptions, budget: int | None, earlier: int) -> None:
    problems = []
    if options.sample is not None and options.sample > options.population:
        allowed = f"at most the population ({options.population})"
        problems.append(
            UserError("more than there are", value=options.sample, where="search.options.sample", allowed=allowed)
        )
    if budget is not None and budget + earlier <= options.population:
        problems.append(
            UserError(
                "the candidates only fill the first random population, so nothing would evolve",
                value=budget,
                where="search.candidates",
                allowed=f"more than search.options.population ({options.population})"
                + (f" less the {earlier} of search.warm_start" if earlier else ""),
                hint=f"Set search.options.population={max(2, budget // 4)}, or search.algorithm=random",
            )
        )
    if problems:
        raise UserErrors(problems)


def mutation_count(generation: int, generations: int) -> int:
    """`m(g) = (G - g) // max(20, G // 5) + 1`, and 1 beyond the last generation."""
    return max(0, generations - generation) // max(20, generations // 5) + 1


def _generations(budget: int | None, drawn: int, size: int) -> int:
    if budget is None:
        return 240
    return max(1, math.ceil((budget - drawn) / size))
