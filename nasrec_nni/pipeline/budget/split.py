"""Divides a span of time over stages that each want some. Pure numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SPARE = "spare"
HALVINGS = 200


@dataclass(frozen=True)
class Want:
    """Seconds that one stage wants.

    Args:
        least: with everything cut that may be cut.
        full: with nothing cut.
        weight: how much of the scarce time goes here, against the weights of the other stages.
    """

    least: float
    full: float
    weight: float = 1.0


def split(seconds: float, wants: Mapping[str, Want]) -> dict[str, float]:
    """Seconds of each stage, and `spare` for what none of them wants; their sum is `seconds`.

    Where all wants fit, each stage has its own. Otherwise each has a share in proportion to its weight, but never
    less than its least and never more than it wants (water-filling). If not even the least fit, each has its least
    in proportion: nothing here refuses.
    """
    if not wants:
        return {SPARE: seconds}
    seconds = max(0.0, seconds)
    full, least = sum(want.full for want in wants.values()), sum(want.least for want in wants.values())
    if full <= seconds:
        return {name: want.full for name, want in wants.items()} | {SPARE: seconds - full}
    if least >= seconds:
        part = seconds / least if least else 0.0
        return {name: want.least * part for name, want in wants.items()} | {SPARE: 0.0}
    low, high = 0.0, max(want.full / want.weight for want in wants.values())
    for _ in range(HALVINGS):
        level = (low + high) / 2
        if sum(_at(level, want) for want in wants.values()) > seconds:
            high = level
        else:
            low = level
    found = {name: _at(low, want) for name, want in wants.items()}
    return found | {SPARE: seconds - sum(found.values())}


def _at(level: float, want: Want) -> float:
    return min(want.full, max(want.least, level * want.weight))
