"""Limits on what a candidate costs: known before it is evaluated, so it is not even proposed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.architecture.value import Architecture
from nasrec_nni.errors import UserError
from nasrec_nni.profiling import Profile, Sizes, profile
from nasrec_nni.strategies.search.random_search import new_random
from nasrec_nni.strategies.search.unique import Unique

COSTS: dict[str, Callable[[Profile], int]] = {
    "max_macs": lambda costs: costs.live_macs,
    "max_parameters": lambda costs: costs.live_parameters,
}
WORDS = {"max_macs": "live MACs", "max_parameters": "live parameters"}


class CostLimits:
    """The excess of an architecture over limits: the sum of what it is beyond each, in parts of it.

    Args:
        limits: by their keys, those of `COSTS`; None is no limit.
        sizes: what data and space fix, as candidates are profiled.
    """

    def __init__(self, limits: Mapping[str, float | None], sizes: Sizes) -> None:
        self._limits = {key: limit for key, limit in limits.items() if limit is not None}
        self._sizes = sizes

    def __bool__(self) -> bool:
        return bool(self._limits)

    def __call__(self, architecture: Architecture) -> float:
        return self._beyond(profile(architecture, self._sizes))

    def check(self, space: SpaceDescription, seed: int) -> None:
        """Find one architecture that keeps them: every one is tried of a small space, random descents of a large one.

        Raises:
            UserError: there is none, or none can be found.
        """
        least: dict[str, int] = {}

        def watched(architecture: Architecture) -> float:
            costs = profile(architecture, self._sizes)
            least.update({key: min(COSTS[key](costs), least.get(key, COSTS[key](costs))) for key in self._limits})
            return self._beyond(costs)

        if new_random(space, seed, Unique(space, watched)) is not None:
            return
        raise UserError(
            "no architecture of this space keeps these limits",
            value={key: _plain(limit) for key, limit in self._limits.items()},
            where="search.limits",
            allowed="the cheapest found: " + ", ".join(f"{count:,} {WORDS[key]}" for key, count in least.items()),
            hint="Raise the limits, or give the space smaller widths: space.dense_widths, space.sparse_rows",
        )

    def _beyond(self, costs: Profile) -> float:
        return sum(max(0.0, COSTS[key](costs) / limit - 1) for key, limit in self._limits.items())


def _plain(limit: float) -> Any:
    return int(limit) if limit == int(limit) else limit
