"""The standalone network of a path: only its live part, only the sizes it uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from nasrec_nni.architecture.canonical import Liveness, canonical_path, liveness
from nasrec_nni.architecture.value import Architecture, Path
from nasrec_nni.network.block import Output, run
from nasrec_nni.network.build import path_blocks, path_head
from nasrec_nni.network.head import features
from nasrec_nni.operators.embedding import FusedEmbedding
from nasrec_nni.operators.inputs import Rows
from nasrec_nni.profiling import Sizes


@dataclass(frozen=True)
class TableSettings:
    """The embedding table of a network.

    Args:
        rows_per_field: rows of each field, reserved ids included.
        sparse_gradients: gradients of the touched rows only.
        init: `xavier`, or the standard deviation of a normal distribution.
        max_rows_per_field: rarer values of a field share the row of unseen ones.
        lengths: columns of ids of each field, None for one a field.
    """

    rows_per_field: tuple[int, ...]
    sparse_gradients: bool = True
    init: Literal["xavier"] | float = "xavier"
    max_rows_per_field: int | None = None
    lengths: tuple[int, ...] | None = None

    def build(self, width: int, weight: Tensor | None = None) -> FusedEmbedding:
        """The table, with a new weight unless one is given."""
        return FusedEmbedding(
            self.rows_per_field,
            width,
            sparse=self.sparse_gradients,
            init=self.init,
            max_rows_per_field=self.max_rows_per_field,
            lengths=self.lengths,
            weight=weight,
        )


class NASRecNetwork(nn.Module):
    """Logits of a path; dead operators do not exist in it.

    Args:
        path: any path or architecture; its canonical form is built.
        sizes: what data and space fix.
        table: the embedding table.
        dropout: on the output of dense operators while training (ours).
        embedding: an existing table to share instead of a new one.

    Every parameter is the leading block of the supernet's parameter of the same name.
    """

    def __init__(
        self,
        path: Path | Architecture,
        sizes: Sizes,
        table: TableSettings,
        dropout: float = 0.0,
        embedding: FusedEmbedding | None = None,
    ) -> None:
        super().__init__()
        if len(table.rows_per_field) != sizes.fields:
            raise ValueError(f"{len(table.rows_per_field)} tables for {sizes.fields} sparse fields")
        self.path = canonical_path(path.path if isinstance(path, Architecture) else path)
        self.live = liveness(self.path)
        self.sizes = sizes
        self.dropout = dropout
        self.embedding = table.build(sizes.embedding) if embedding is None else embedding
        self.blocks = nn.ModuleList(path_blocks(self.path, sizes))
        self.head = path_head(self.path, sizes)

    def last_block(self, dense: Tensor, sparse: Tensor) -> tuple[Tensor, Rows]:
        """Output of the last block for `dense [B, w_0]` and ids `sparse [B, C]`."""
        return last_block(self, self.path, self.live, dense, sparse, self.dropout if self.training else 0.0)

    def features(self, dense: Tensor, sparse: Tensor) -> Tensor:
        """What the head reads, `[B, w_N + E r_N]`."""
        return features(*self.last_block(dense, sparse))

    def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
        """`dense [B, w_0]`, ids `sparse [B, C]` to logits `[B]`."""
        return self.head(*self.last_block(dense, sparse))  # type: ignore[no-any-return]


def last_block(
    model: Any, path: Path, live: Sequence[Liveness], dense: Tensor, sparse: Tensor, dropout: float
) -> tuple[Tensor, Rows]:
    """Run a canonical path through any model that has `embedding` and `blocks`."""
    rows = model.embedding(sparse).transpose(1, 2).contiguous()
    result = run(model.blocks, path, live, Output(dense, Rows(rows)), dropout)
    assert result.dense is not None and result.sparse is not None
    return result.dense, result.sparse


@torch.no_grad()
def copy_slices(weights: Mapping[str, Tensor], network: nn.Module) -> None:
    """Set every parameter of a network to the leading block of the weight of the same name."""
    for name, parameter in network.named_parameters():
        source = weights[name]
        parameter.copy_(source[tuple(slice(size) for size in parameter.shape)])
