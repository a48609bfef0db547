"""What of an architecture is drawn, and which of it is live: the facts behind a drawing, without geometry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from nasrec_nni.architecture.canonical import liveness
from nasrec_nni.architecture.value import Architecture, Block
from nasrec_nni.plugins import registry

Side = Literal["dense", "sparse"]


@dataclass(frozen=True)
class Read:
    """One source that a half reads: its output of `side`; `label` is written at the box."""

    source: int
    side: Side
    label: str


@dataclass(frozen=True)
class Half:
    """One operator of one block, or an input (block 0).

    Args:
        block: 0 for the input.
        side: dense or sparse.
        operator: registered name, None where the architecture leaves it out.
        size: width or rows, None if not known.
        live: whether the operator reaches the output.
        reads: what the operator reads.
        merger: whether the merger into this half's output is on.
        merger_live: whether that merger reaches the output.
    """

    block: int
    side: Side
    operator: str | None
    size: int | None
    live: bool
    reads: tuple[Read, ...]
    merger: bool
    merger_live: bool


def diagram(architecture: Architecture, inputs: tuple[int, int] | None) -> list[tuple[Half, Half]]:
    """Dense and sparse half of the sources 0..N; `inputs` are dense columns and sparse fields if known."""
    columns, fields = inputs or (None, None)
    rows = [
        (
            Half(0, "dense", None, columns, True, (), False, False),
            Half(0, "sparse", None, fields, True, (), False, False),
        )
    ]
    for number, (block, live) in enumerate(zip(architecture.blocks, liveness(architecture.path), strict=True), 1):
        into_dense, into_sparse = bool(block.sparse_to_dense), bool(block.dense_to_sparse)
        dense = Half(
            number, "dense", block.dense_operator, block.dense_width, live.dense,
            tuple(_reads(block, block.dense_operator)), into_dense, into_dense and live.dense_out,
        )  # fmt: skip
        sparse = Half(
            number, "sparse", block.sparse_operator, block.sparse_rows, live.sparse,
            tuple(_reads(block, block.sparse_operator)), into_sparse, into_sparse and live.sparse_out,
        )  # fmt: skip
        rows.append((dense, sparse))
    return rows


def _reads(block: Block, operator: str | None) -> Iterator[Read]:
    """Only what the operator reads: its other lists have no effect."""
    if operator is None:
        return
    read = registry("operators").load(operator).reads
    for name in ("left", "right"):
        source = getattr(block, name)
        if name in read and source is not None:
            yield Read(source, "dense", f"{name} {source}")
    sides: tuple[Side, Side] = ("dense", "sparse")
    for side in sides:
        if side in read:
            for source in sorted(getattr(block, f"{side}_connections") or ()):
                yield Read(source, side, str(source))
