"""The algorithm keeps what nasrec-nni asks of every search algorithm, and climbs."""

from __future__ import annotations

from nasrec_hill_climbing import HillClimbing

from nasrec_nni.authoring import Architecture, SpaceDescription
from nasrec_nni.testing import search_conformance

TestHillClimbing = search_conformance("hill-climbing", options={"first": 4, "patience": 6})


def width(architecture: Architecture) -> float:
    return -float(sum(block.dense_width or 0 for block in architecture.canonical.blocks))


def test_it_climbs() -> None:
    space = SpaceDescription("nasrec-small", ("fc", "dp"), ("efc",), blocks=3)
    search, values = HillClimbing(space, 0), []
    for _ in range(60):
        architecture = search.ask()
        assert architecture is not None
        values.append(width(architecture))
        search.tell(architecture, values[-1])
    assert min(values[8:]) < min(values[:8])
