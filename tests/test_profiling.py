"""The profiler against SPEC's table of the six published networks, and against the built networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nasrec_nni.architecture.draw import random_architecture
from nasrec_nni.architecture.json import load_architecture
from nasrec_nni.network import NASRecNetwork, TableSettings
from nasrec_nni.plugins import registry
from nasrec_nni.profiling import Sizes, live_macs, profile

PUBLISHED = Path(__file__).parent / "published"
INPUTS = {"criteo": (13, 26), "avazu": (1, 23), "kdd": (3, 10)}
# live MACs, all MACs, live and all net parameters, in millions, to the digits of SPEC section 10.
TABLE = {
    "criteo_autoctr": (2.2078, 2.4154, 1.7433, 1.7797),
    "criteo_xlarge": (1.4483, 3.1619, 0.7498, 2.2173),
    "avazu_autoctr": (3.0856, 3.1839, 2.7402, 2.8386),
    "avazu_xlarge": (1.8668, 3.7908, 1.4773, 3.1791),
    "kdd_autoctr": (3.4828, 3.6139, 2.5983, 2.6065),
    "kdd_xlarge": (1.0798, 1.1811, 0.4029, 0.4385),
}


@pytest.mark.parametrize("name", TABLE)
def test_published_networks(name: str) -> None:
    dense, fields = INPUTS[name.partition("_")[0]]
    found = profile(load_architecture(PUBLISHED / f"{name}.json"), Sizes(dense, fields))
    millions = (found.live_macs, found.all_macs, found.live_parameters, found.all_parameters)
    assert tuple(round(count / 1e6, 4) for count in millions) == TABLE[name]


@pytest.mark.parametrize("space", ["nasrec-small", "nasrec-full", "nasrec-plus"])
def test_live_macs_alone_are_the_profiles(space: str) -> None:
    description = registry("search_spaces").load(space)
    sizes = Sizes.of(description, 13, 26, True)
    for seed in range(20):
        path = random_architecture(description, np.random.default_rng(seed)).path
        assert live_macs(path, sizes) == profile(path, sizes).live_macs


@pytest.mark.parametrize("layer_norm", [True, False])
@pytest.mark.parametrize("space", ["nasrec-small", "nasrec-full", "nasrec-plus"])
def test_parameters_equal_those_of_the_built_network(space: str, layer_norm: bool) -> None:
    description = registry("search_spaces").load(space)
    generator = np.random.default_rng(0)
    sizes = Sizes(13, 4, layer_norm=layer_norm)
    for _ in range(10):
        architecture = random_architecture(description, generator)
        network = NASRecNetwork(architecture, sizes, TableSettings((3, 3, 3, 3)))
        built = sum(p.numel() for name, p in network.named_parameters() if not name.startswith("embedding."))
        assert profile(architecture, sizes).live_parameters == built
        assert profile(architecture.canonical, sizes).all_parameters == built
