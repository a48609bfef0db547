"""A search with fewer candidates than were asked for."""

from __future__ import annotations

from typing import Any

from nasrec_nni.config import Config
from nasrec_nni.errors import UserError
from nasrec_nni.pipeline.space import describe
from nasrec_nni.strategies.search import start_search

LEAST = 8


def fewer_candidates(config: Config, count: int) -> dict[str, Any] | None:
    """Changes to `config.search` that make it one of `count` candidates; None if the algorithm cannot do that.

    Where more than half of them would be the first, random population, that becomes a quarter.
    """
    if count >= config.search.candidates:
        return {}
    given = config.search.options
    if _takes(config, count // 2, given):
        return {"candidates": count}
    population = max(2, count // 4)
    options = given | {"population": population}
    if given.get("sample") is not None:
        options["sample"] = max(1, min(given["sample"], population // 2))
    if _takes(config, count, options):
        return {"candidates": count, "options": options}
    return {"candidates": count} if _takes(config, count, given) else None


def least_candidates(config: Config) -> int:
    """The fewest that are worth a search, and that its algorithm takes."""
    asked = config.search.candidates
    count = max(LEAST, config.retrain.top_k)
    while count < asked and fewer_candidates(config, count) is None:
        count *= 2
    return min(count, asked)


def _takes(config: Config, count: int, options: dict[str, Any]) -> bool:
    """Whether the algorithm can be started so."""
    search = config.search
    try:
        start_search(
            search.algorithm,
            describe(config.space),
            config.seed,
            options,
            count,
            objectives=len(search.all_objectives),
        )
    except UserError:
        return False
    return True
