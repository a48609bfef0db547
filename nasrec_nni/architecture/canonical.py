"""Liveness and canonical form: what of a path can reach the output.

Only the last block feeds the head, so an operator's half of a block may be dead (SPEC section 1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from nasrec_nni.architecture.description import List, Operator
from nasrec_nni.architecture.value import Path, PathBlock
from nasrec_nni.plugins import registry


@dataclass
class Liveness:
    """What of one block reaches the head.

    `dense` and `sparse` are the operators' outputs d and s; `dense_out` and `sparse_out` what the block
    emits. A merger is live if it is on and the output it feeds is live.
    """

    dense_out: bool = False
    sparse_out: bool = False
    dense: bool = False
    sparse: bool = False


def operators(names: tuple[str, ...]) -> list[Operator]:
    """The descriptions of registered operators."""
    return [registry("operators").load(name) for name in names]


def reads(names: tuple[str, ...]) -> frozenset[List]:
    """The connection lists that at least one of these operators reads."""
    return frozenset().union(*(operator.reads for operator in operators(names)))


def live_reads(block: PathBlock, live: Liveness) -> frozenset[List]:
    """The connection lists of a block that its live operators read."""
    dense = reads(block.dense_operators) if live.dense else frozenset()
    return dense | (reads(block.sparse_operators) if live.sparse else frozenset())


@lru_cache(maxsize=4096)
def liveness(path: Path) -> tuple[Liveness, ...]:
    """Liveness of every block, block 1 first, found from the head backwards."""
    live = [Liveness() for _ in path.blocks]
    live[-1].dense_out = live[-1].sparse_out = True
    for index in reversed(range(len(live))):
        block, own = path.blocks[index], live[index]
        own.dense = own.dense_out or (own.sparse_out and block.dense_to_sparse)
        own.sparse = own.sparse_out or (own.dense_out and block.sparse_to_dense)
        read = live_reads(block, own)
        for name in ("dense_connections", "left", "right"):
            if name.removesuffix("_connections") in read:
                for source in getattr(block, name):
                    if source:
                        live[source - 1].dense_out = True
        if "sparse" in read:
            for source in block.sparse_connections:
                if source:
                    live[source - 1].sparse_out = True
    return tuple(live)


def canonical_path(path: Path) -> Path:
    """Lists sorted and without repeats; what has no effect on the output emptied."""
    return Path(tuple(_canonical_block(block, live) for block, live in zip(path.blocks, liveness(path), strict=True)))


def _canonical_block(block: PathBlock, live: Liveness) -> PathBlock:
    read = live_reads(block, live)
    left = _sorted(block.left) if "left" in read else ()
    right = _sorted(block.right) if "right" in read else ()
    if live.dense and all(op.symmetric for op in operators(block.dense_operators) if op.reads & {"left", "right"}):
        left, right = min(left, right), max(left, right)
    return replace(
        block,
        dense_operators=tuple(sorted(block.dense_operators)) if live.dense else (),
        dense_width=block.dense_width if live.dense else None,
        sparse_operators=tuple(sorted(block.sparse_operators)) if live.sparse else (),
        sparse_rows=block.sparse_rows if live.sparse else None,
        dense_connections=_sorted(block.dense_connections) if "dense" in read else (),
        sparse_connections=_sorted(block.sparse_connections) if "sparse" in read else (),
        left=left,
        right=right,
        dense_to_sparse=block.dense_to_sparse and live.sparse_out,
        sparse_to_dense=block.sparse_to_dense and live.dense_out,
    )


def _sorted(sources: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(set(sources)))
