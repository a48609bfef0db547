"""Hill climbing with restarts: children of the best candidate, until it has had enough of them without a better one.

random first ones ─ best ─ mutate ─► child ─ better? it is the new best ─ too many in vain? a new random one
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from nasrec_nni.authoring import (
    Architecture,
    Options,
    Record,
    SpaceDescription,
    Unique,
    mutate,
    new_random,
    parse_options,
    stream,
)

TRIES = 64
Positive = Annotated[int, Field(gt=0)]


class HillClimbingOptions(Options):
    """What `search.options` of a config may hold."""

    first: Positive = Field(8, description="random candidates before the first climb")
    patience: Positive = Field(16, description="children in vain before a restart")


class HillClimbing:
    """Ask/tell; lower values are better. The next candidate is a function of the seed and of what was told.

    Args:
        space: where to search.
        seed: not negative.
        options: see `HillClimbingOptions`.
        budget: not used.
        excess: of the limits; `Unique` lets nothing beyond them through.
        earlier: results to start from.
    """

    def __init__(
        self,
        space: SpaceDescription,
        seed: int,
        options: Mapping[str, Any] | None = None,
        budget: int | None = None,
        *,
        excess: Any = None,
        earlier: Sequence[Record] = (),
    ) -> None:
        self._options = parse_options(HillClimbingOptions, options)
        self._space, self._seed = space, seed
        self._unique = Unique(space, excess, earlier)
        self._best: tuple[float, Architecture] | None = None
        self._random = self._options.first  # random candidates still to come
        self._in_vain = 0
        for record in earlier:
            self._learn(record.architecture, record.value)

    def ask(self) -> Architecture | None:
        """The next candidate; None for ever once the space has nothing new."""
        if self._random > 0 or self._best is None:
            self._random -= 1
            return new_random(self._space, self._seed, self._unique)
        generator = stream(self._seed, "hill climbing", len(self._unique))
        for _ in range(TRIES):
            child = mutate(self._best[1], self._space, generator)
            if child is not None and self._unique.add(child):
                return child
        return new_random(self._space, self._seed, self._unique)

    def tell(self, architecture: Architecture, value: float | None, failure: str | None = None) -> None:
        """Climb on success; after too many children in vain begin anew elsewhere."""
        if self._learn(architecture, value):
            self._in_vain = 0
            return
        self._in_vain += 1
        if self._in_vain >= self._options.patience:
            self._best, self._random, self._in_vain = None, self._options.first, 0

    def _learn(self, architecture: Architecture, value: float | None) -> bool:
        better = value is not None and (self._best is None or value < self._best[0])
        if value is not None and better:
            self._best = (value, architecture)
        return better
