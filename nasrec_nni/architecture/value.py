"""`Architecture` and `Path`: what a network computes, as frozen values without torch or NNI.

Blocks are numbered 1..N and read sources 0..i-1; source 0 is the raw input. A path may hold several
operators and sources a list; an architecture is a path with one operator a side.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

from nasrec_nni.files import fingerprint

T = TypeVar("T")


@dataclass(frozen=True)
class Block:
    """One block of an architecture. `None` stands for what has no effect on the output."""

    dense_operator: str | None
    dense_width: int | None
    sparse_operator: str | None
    sparse_rows: int | None
    dense_connections: tuple[int, ...] | None
    sparse_connections: tuple[int, ...] | None
    left: int | None
    right: int | None
    dense_to_sparse: bool | None
    sparse_to_dense: bool | None


@dataclass(frozen=True)
class PathBlock:
    """One block of a path. An empty tuple, `None` or `False` is not there.

    Several operators of a side are added; several left (right) sources are padded to the widest
    and added.
    """

    dense_operators: tuple[str, ...]
    dense_width: int | None
    sparse_operators: tuple[str, ...]
    sparse_rows: int | None
    dense_connections: tuple[int, ...]
    sparse_connections: tuple[int, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    dense_to_sparse: bool
    sparse_to_dense: bool


@dataclass(frozen=True)
class Path:
    """What one supernet step runs: a block choice each, sets of operators and sources."""

    blocks: tuple[PathBlock, ...]


@dataclass(frozen=True)
class Architecture:
    """One network of a search space.

    Args:
        space: name of the search space it was drawn from.
        blocks: block 1 first.
    """

    space: str
    blocks: tuple[Block, ...]

    @property
    def path(self) -> Path:
        """The same network as a path."""
        return Path(tuple(_path_block(block) for block in self.blocks))

    @cached_property
    def canonical(self) -> Architecture:
        """Lists sorted, everything without effect on the output `None`. Idempotent."""
        from nasrec_nni.architecture.canonical import canonical_path, liveness

        path = canonical_path(self.path)
        outputs = [(live.dense_out, live.sparse_out) for live in liveness(path)]
        blocks = tuple(_block(block, *live) for block, live in zip(path.blocks, outputs, strict=True))
        return replace(self, blocks=blocks)

    @cached_property
    def id(self) -> str:
        """16 hex digits of the canonical form. Equal id: equal function in one supernet."""
        from nasrec_nni.architecture.json import block_to_json

        return fingerprint([block_to_json(block) for block in self.canonical.blocks])


def _one(value: T | None) -> tuple[T, ...]:
    return () if value is None else (value,)


def _single(values: tuple[T, ...]) -> T | None:
    return values[0] if values else None


def _path_block(block: Block) -> PathBlock:
    return PathBlock(
        dense_operators=_one(block.dense_operator),
        dense_width=block.dense_width,
        sparse_operators=_one(block.sparse_operator),
        sparse_rows=block.sparse_rows,
        dense_connections=block.dense_connections or (),
        sparse_connections=block.sparse_connections or (),
        left=_one(block.left),
        right=_one(block.right),
        dense_to_sparse=bool(block.dense_to_sparse),
        sparse_to_dense=bool(block.sparse_to_dense),
    )


def _block(block: PathBlock, dense_out: bool, sparse_out: bool) -> Block:
    return Block(
        dense_operator=_single(block.dense_operators),
        dense_width=block.dense_width,
        sparse_operator=_single(block.sparse_operators),
        sparse_rows=block.sparse_rows,
        dense_connections=block.dense_connections or None,
        sparse_connections=block.sparse_connections or None,
        left=_single(block.left),
        right=_single(block.right),
        dense_to_sparse=block.dense_to_sparse if sparse_out else None,
        sparse_to_dense=block.sparse_to_dense if dense_out else None,
    )
