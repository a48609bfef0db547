"""The suite of path distributions of supernet training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from nasrec_nni.architecture.canonical import canonical_path
from nasrec_nni.architecture.draw import Counts, stream
from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.architecture.value import Path, PathBlock
from nasrec_nni.plugins import registry
from nasrec_nni.testing.networks import SMALL, check_path, check_training, supernet_of
from nasrec_nni.testing.suite import Conformance, draws_nothing, require, suite

DRAWS, TRAINED = 100, 4
COUNTS: tuple[Counts, ...] = ("binomial", "uniform")


class OneShotConformance(Conformance):
    """What a path distribution must keep; made by `one_shot_conformance`."""

    group: ClassVar[str] = "one_shot"

    def test_draws_are_a_function_of_the_generator(self) -> None:
        """Equal generators give equal paths, and no other source of chance is touched: so a resume is exact."""
        space = _space()
        for counts in COUNTS:
            for number in range(DRAWS):
                with draws_nothing(self.name):
                    one = self._draw(space, number, counts)
                require(one == self._draw(space, number, counts), f"{self.name}: equal generators, different paths")

    def test_paths_belong_to_the_space(self) -> None:
        """Sources before the block, each once and ascending; operators, widths and rows of the space; none empty."""
        for space in (_space(), replace(_space(), blocks=1), replace(_space(), max_connections=1)):
            for counts in COUNTS:
                for number in range(DRAWS):
                    path = self._draw(space, number, counts)
                    require(len(path.blocks) == space.blocks, f"{self.name}: {len(path.blocks)} blocks")
                    for at, block in enumerate(path.blocks, 1):
                        self._check_block(block, at, space)

    def _check_block(self, block: PathBlock, number: int, space: SpaceDescription) -> None:
        for key in ("dense_connections", "sparse_connections", "left", "right"):
            chosen = getattr(block, key)
            fits = bool(chosen) and list(chosen) == sorted(set(chosen)) and set(chosen) <= set(range(number))
            require(fits, f"{self.name}: {key} of block {number} is {chosen}, of sources 0 to {number - 1}")
        for key, known in (("dense_operators", space.dense_operators), ("sparse_operators", space.sparse_operators)):
            names = getattr(block, key)
            fits = bool(names) and len(set(names)) == len(names) and set(names) <= set(known)
            require(fits, f"{self.name}: {key} of block {number} is {names}, of {known}")
        sizes = block.dense_width in space.dense_widths and block.sparse_rows in space.sparse_rows
        require(sizes, f"{self.name}: sizes of block {number} are {block.dense_width}, {block.sparse_rows}")
        switches = (type(block.dense_to_sparse), type(block.sparse_to_dense)) == (bool, bool)
        require(switches, f"{self.name}: mergers of block {number} must be True or False")

    def test_a_supernet_trains_on_its_paths(self) -> None:
        """Each is exactly the network of its own, and a step on it is finite."""
        space = _space()
        supernet: Any = supernet_of(space, layer_norm=True)
        for number in range(TRAINED):
            path = self._draw(space, number, "binomial")
            require(canonical_path(canonical_path(path)) == canonical_path(path), f"{self.name}: no canonical form")
            check_training(check_path(supernet, path, self.name), self.name)

    def _draw(self, space: SpaceDescription, number: int, counts: Counts) -> Path:
        path: Path = self.load().draw(space, stream(0, "conformance paths", number), counts)
        return path


def _space() -> SpaceDescription:
    space: SpaceDescription = registry("search_spaces").load("nasrec-full")
    return space.with_sizes(**SMALL)


def one_shot_conformance(name: str) -> type[OneShotConformance]:
    """The suite of one distribution, registered in `nasrec_nni.one_shot`."""
    return suite(OneShotConformance, name)
