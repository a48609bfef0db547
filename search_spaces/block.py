"""The choice block: NNI mutables over elastic operators, and its one-shot form."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import nni
from nni.mutable import Mutable, label_scope
from nni.nas.nn.pytorch import LayerChoice, MutableModule
from nni.nas.oneshot.pytorch.supermodule.base import BaseSuperNetModule
from torch import nn

from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.architecture.value import PathBlock
from nasrec_nni.network.build import build_merger, build_operator, space_limits
from nasrec_nni.profiling import Sizes
from nasrec_nni.search_spaces.connections import SubsetChoice
from nasrec_nni.search_spaces.samples import KEYS, label


class Off(nn.Module):
    """A merger that is not there; it is never called."""


class ChoiceBlock(MutableModule):  # type: ignore[misc]
    """Block `number` of a space: every choice a labelled mutable, every operator elastic.

    ```
    sources 0..i-1 ─ dense_connections, left, right ─ dense_operator, dense_width ─┬─ + ─ dense_out
                                                            sparse_to_dense (FM) ─┘
                   ─ sparse_connections ───────────── sparse_operator, sparse_rows ─┬─ concat ─ sparse_out
                                                     dense_to_sparse (8 rows) ─────┘
    ```
    It is a container; the space runs all blocks of a path together, since which half of a block is live is
    known only from the blocks behind it.
    """

    def __init__(self, number: int, space: SpaceDescription, sizes: Sizes) -> None:
        super().__init__()
        self.number = number
        limits = space_limits(space, sizes, number)
        dense = replace(limits, out=max(space.dense_widths))
        sparse = replace(limits, out=max(space.sparse_rows))
        most = min(space.max_connections, number)
        with label_scope(f"block{number}"):
            self.dense_operator = LayerChoice(
                {name: build_operator(name, dense) for name in space.dense_operators}, label="dense_operator"
            )
            self.add_mutable(nni.choice("dense_width", list(space.dense_widths)))
            self.sparse_operator = LayerChoice(
                {name: build_operator(name, sparse) for name in space.sparse_operators}, label="sparse_operator"
            )
            self.add_mutable(nni.choice("sparse_rows", list(space.sparse_rows)))
            self.dense_connections = SubsetChoice(number, most, "none", label="dense_connections")
            self.sparse_connections = SubsetChoice(number, most, "none", label="sparse_connections")
            self.left = SubsetChoice(number, 1, "none", label="left")
            self.right = SubsetChoice(number, 1, "none", label="right")
            self.dense_to_sparse = LayerChoice(
                {"on": build_merger(space.dense_to_sparse, dense), "off": Off()}, label="dense_to_sparse"
            )
            self.sparse_to_dense = LayerChoice(
                {"on": build_merger(space.sparse_to_dense, dense), "off": Off()}, label="sparse_to_dense"
            )


class SuperBlock(BaseSuperNetModule):  # type: ignore[misc]
    """One block of a supernet: the same operators, and the path block it runs now."""

    def __init__(self, block: ChoiceBlock) -> None:
        super().__init__()
        self.number = block.number
        self.dense_operator = nn.ModuleDict(dict(block.dense_operator.candidates))
        self.sparse_operator = nn.ModuleDict(dict(block.sparse_operator.candidates))
        self.dense_to_sparse = nn.ModuleDict({"on": block.dense_to_sparse["on"]})
        self.sparse_to_dense = nn.ModuleDict({"on": block.sparse_to_dense["on"]})
        self.current: PathBlock | None = None
        leaves: dict[str, Mutable] = {leaf.label: leaf for leaf in block.leaf_mutables(lambda _: True)}
        for key in KEYS:
            self.add_mutable(leaves[label(self.number, key)])

    @classmethod
    def mutate(cls, module: nn.Module, name: str, memo: dict[str, Any], kwargs: dict[str, Any]) -> Any:
        """NNI's mutation hook: replaces a choice block, and no further hook looks at it."""
        return (cls(module), True) if isinstance(module, ChoiceBlock) else None

    def resample(self, memo: dict[str, Any]) -> dict[str, Any]:
        """Run what the memo says; what it leaves out is drawn by NNI's rule."""
        sample = dict(memo)
        for mutable in self.mutables:
            if mutable.label not in sample:
                mutable.random(sample)
        own = {key: sample[label(self.number, key)] for key in KEYS}
        self.current = PathBlock(
            dense_operators=(own["dense_operator"],),
            dense_width=own["dense_width"],
            sparse_operators=(own["sparse_operator"],),
            sparse_rows=own["sparse_rows"],
            dense_connections=tuple(own["dense_connections"]),
            sparse_connections=tuple(own["sparse_connections"]),
            left=tuple(own["left"]),
            right=tuple(own["right"]),
            dense_to_sparse=own["dense_to_sparse"] == "on",
            sparse_to_dense=own["sparse_to_dense"] == "on",
        )
        return {label(self.number, key): value for key, value in own.items()}

    def export(self, memo: dict[str, Any]) -> dict[str, Any]:
        """What a single draw gives; picking the best architecture is the search's work."""
        return self.resample(memo)

    def freeze(self, sample: dict[str, Any]) -> nn.Module:
        raise TypeError("a block is frozen with its whole space: call freeze on the supernet")
