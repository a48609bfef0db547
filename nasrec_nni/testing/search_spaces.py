"""The suite of search spaces."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import ClassVar

from nasrec_nni.architecture.draw import random_architecture, stream
from nasrec_nni.architecture.json import from_json, to_json
from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.plugins import registry
from nasrec_nni.profiling import Sizes, profile
from nasrec_nni.testing.networks import check_supernet
from nasrec_nni.testing.suite import Conformance, require, suite

ARCHITECTURES, BLOCKS, BUILT = 50, 3, 3


class SearchSpaceConformance(Conformance):
    """What a space must keep; made by `search_space_conformance`."""

    group: ClassVar[str] = "search_spaces"

    @property
    def space(self) -> SpaceDescription:
        return self.load()  # type: ignore[no-any-return]

    def test_its_operators_and_mergers_can_be_used(self) -> None:
        """They are installed, and each is on its side."""
        self.space.with_sizes()
        for key, side in (("dense_to_sparse", "sparse"), ("sparse_to_dense", "dense")):
            name = getattr(self.space, key)
            found = registry("mergers").load(name).side
            require(found == side, f"{self.name}: {key} is {name}, which feeds the {found} output")
        ascending = all(list(one) == sorted(one) for one in (self.space.dense_widths, self.space.sparse_rows))
        require(ascending, f"{self.name}: dense_widths and sparse_rows must be ascending")

    def test_what_is_drawn_belongs_to_it(self) -> None:
        """Random architectures and their canonical forms pass its check, have costs, and survive a JSON file."""
        sizes = Sizes.of(self.space, 5, 4, layer_norm=True)
        ids = set()
        for number in range(ARCHITECTURES):
            architecture = random_architecture(self.space, stream(0, "conformance space", number))
            self.space.check(architecture)
            self.space.check(architecture.canonical)
            again = from_json(json.loads(json.dumps(to_json(architecture))), self.name)
            require(again == architecture, f"{self.name}: an architecture is another one after JSON")
            require(profile(architecture, sizes).live_macs > 0, f"{self.name}: an architecture costs nothing")
            ids.add(architecture.id)
        require(len(ids) > 1, f"{self.name}: it holds one function only")

    def test_samples_of_nni(self) -> None:
        """NNI's flat samples and architectures go back and forth."""
        from nasrec_nni.search_spaces.samples import from_sample, to_sample

        for number in range(ARCHITECTURES):
            architecture = random_architecture(self.space, stream(1, "conformance space", number))
            found = from_sample(to_sample(architecture, self.space), self.space)
            require(found.id == architecture.id, f"{self.name}: a sample of NNI means another architecture")

    def test_as_a_supernet(self) -> None:
        """Its operators together, at few blocks and its smallest sizes: the central invariant and costs."""
        small = replace(
            self.space,
            blocks=min(BLOCKS, self.space.blocks),
            dense_widths=self.space.dense_widths[:2],
            sparse_rows=self.space.sparse_rows[:2],
        )
        check_supernet(small, BUILT, self.name)


def search_space_conformance(name: str) -> type[SearchSpaceConformance]:
    """The suite of one space, registered in `nasrec_nni.search_spaces`."""
    return suite(SearchSpaceConformance, name)
