"""The modules of one block, and how a path runs through all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn
from torch.nn import functional as F

from nasrec_nni.architecture.canonical import Liveness, live_reads
from nasrec_nni.architecture.value import Path, PathBlock
from nasrec_nni.operators.inputs import Inputs, Rows


class Modules(Protocol):
    """A block of a network, a search space or a supernet: candidates by operator name, mergers under `on`."""

    dense_operator: Any
    sparse_operator: Any
    dense_to_sparse: Any
    sparse_to_dense: Any


class BlockModule(nn.Module):
    """Plain containers under the names that all kinds of block share, so that weights have one name."""

    def __init__(
        self,
        dense_operator: Mapping[str, nn.Module],
        sparse_operator: Mapping[str, nn.Module],
        dense_to_sparse: nn.Module | None,
        sparse_to_dense: nn.Module | None,
    ) -> None:
        super().__init__()
        self.dense_operator = nn.ModuleDict(dense_operator)
        self.sparse_operator = nn.ModuleDict(sparse_operator)
        self.dense_to_sparse = nn.ModuleDict({"on": dense_to_sparse} if dense_to_sparse is not None else {})
        self.sparse_to_dense = nn.ModuleDict({"on": sparse_to_dense} if sparse_to_dense is not None else {})


class Output(NamedTuple):
    """What a block emits; `None` where nothing reads it."""

    dense: Tensor | None
    sparse: Rows | None


def run(
    blocks: Sequence[Modules],
    path: Path,
    live: Sequence[Liveness],
    source: Output,
    dropout: float = 0.0,
) -> Output:
    """The last block's output; only live operators and mergers are computed.

    Args:
        blocks: modules of block 1..N.
        path: canonical, so that every list holds only what is read.
        live: its liveness.
        source: source 0, `dense [B, w_0]` and the embeddings `[B, E, F]`.
        dropout: on the output of dense operators; 0 in evaluation.
    """
    outputs = [source]
    for modules, block, own in zip(blocks, path.blocks, live, strict=True):
        outputs.append(_run_block(modules, block, own, outputs, dropout))
    return outputs[-1]


def _run_block(modules: Modules, block: PathBlock, live: Liveness, outputs: Sequence[Output], dropout: float) -> Output:
    inputs = _inputs(block, live, outputs)
    dense = sparse = None
    if live.dense:
        assert block.dense_width is not None
        dense = _added([modules.dense_operator[name](inputs, block.dense_width) for name in block.dense_operators])
        if dropout:
            dense = F.dropout(dense, dropout)
    if live.sparse:
        assert block.sparse_rows is not None
        sparse = _added([modules.sparse_operator[name](inputs, block.sparse_rows) for name in block.sparse_operators])
    dense_out, sparse_out = None, None
    if live.dense_out:
        assert dense is not None
        dense_out = dense
        if block.sparse_to_dense:
            dense_out = dense + modules.sparse_to_dense["on"](sparse, dense.shape[1])
    if live.sparse_out:
        assert sparse is not None
        sparse_out = Rows(sparse, modules.dense_to_sparse["on"](dense) if block.dense_to_sparse else None)
    return Output(dense_out, sparse_out)


def _added(results: list[Tensor]) -> Tensor:
    total = results[0]
    for result in results[1:]:
        total = total + result
    return total


def _inputs(block: PathBlock, live: Liveness, outputs: Sequence[Output]) -> Inputs:
    read = live_reads(block, live)

    def dense(sources: tuple[int, ...]) -> dict[int, Tensor]:
        found = {source: outputs[source].dense for source in sources}
        return {source: x for source, x in found.items() if x is not None}

    def sparse(sources: tuple[int, ...]) -> dict[int, Rows]:
        found = {source: outputs[source].sparse for source in sources}
        return {source: x for source, x in found.items() if x is not None}

    return Inputs(
        dense=dense(block.dense_connections) if "dense" in read else {},
        sparse=sparse(block.sparse_connections) if "sparse" in read else {},
        left=tuple(dense(block.left).values()) if "left" in read else (),
        right=tuple(dense(block.right).values()) if "right" in read else (),
    )
