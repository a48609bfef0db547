"""MACs and parameters of a network from its operators' facts, without building it.

Counts as SPEC section 10: multiply-accumulates per example, embedding look-ups 0, parameters without
embeddings. `live_*` covers what reaches the output, `all_*` every operator and merger as written.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from nasrec_nni.architecture.canonical import canonical_path, operators
from nasrec_nni.architecture.description import Merger, MergerShape, Shape
from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.architecture.value import Architecture, Path, PathBlock
from nasrec_nni.plugins import registry


@dataclass(frozen=True)
class Sizes:
    """What the data and the space fix for every network.

    Args:
        dense: `w_0`, dense input columns; 1 where a column of zeros stands in.
        fields: `F`, sparse fields.
        embedding: `E`.
        heads: attention heads.
        layer_norm: layer norm behind linear maps, and no bias in them.
        dense_to_sparse: merger plug-in that adds rows.
        sparse_to_dense: merger plug-in that adds to the columns.
    """

    dense: int
    fields: int
    embedding: int = 16
    heads: int = 8
    layer_norm: bool = False
    dense_to_sparse: str = "projection"
    sparse_to_dense: str = "fm"

    @classmethod
    def of(cls, space: SpaceDescription, dense: int, fields: int, layer_norm: bool) -> Sizes:
        """The sizes all networks of a space have on given data."""
        constants = (space.embedding, space.heads, layer_norm, space.dense_to_sparse, space.sparse_to_dense)
        return cls(dense, fields, *constants)

    @property
    def merger_rows(self) -> int:
        """Rows that the dense→sparse merger adds."""
        rows: int = registry("mergers").load(self.dense_to_sparse).rows
        return rows


@dataclass(frozen=True)
class Profile:
    """Costs of one network; MACs per example, parameters without embeddings."""

    live_macs: int
    all_macs: int
    live_parameters: int
    all_parameters: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def profile(network: Architecture | Path, sizes: Sizes) -> Profile:
    """Costs of an architecture or a path at the given sizes."""
    path = network.path if isinstance(network, Architecture) else network
    live_macs, live_parameters = _cost(canonical_path(path), sizes)
    all_macs, all_parameters = _cost(path, sizes)
    return Profile(live_macs, all_macs, live_parameters, all_parameters)


def live_macs(path: Path, sizes: Sizes) -> int:
    """The profile's `live_macs` alone, in a third of its time: training counts them at each step."""
    return _cost(canonical_path(path), sizes)[0]


def widths(path: Path, sizes: Sizes) -> tuple[list[int], list[int]]:
    """`w_j` and `r_j` of the sources 0..N; 0 for an output that a canonical path leaves out."""
    columns, rows = [sizes.dense], [sizes.fields]
    for block in path.blocks:
        columns.append(block.dense_width or 0)
        rows.append((block.sparse_rows or 0) + (sizes.merger_rows if block.dense_to_sparse else 0))
    return columns, rows


def _cost(path: Path, sizes: Sizes) -> tuple[int, int]:
    columns, rows = widths(path, sizes)
    macs = parameters = 0
    for block in path.blocks:
        for names, out in ((block.dense_operators, block.dense_width), (block.sparse_operators, block.sparse_rows)):
            for operator in operators(names):
                shape = operator_shape(block, columns, rows, out or 0, sizes)
                macs += operator.macs(shape)
                parameters += operator.parameters(shape)
        for merger in _mergers(block, sizes):
            merger_shape = MergerShape(
                block.dense_width or 0, block.sparse_rows or 0, sizes.embedding, sizes.layer_norm
            )
            macs += merger.macs(merger_shape)
            parameters += merger.parameters(merger_shape)
    head = columns[-1] + rows[-1] * sizes.embedding
    return macs + head, parameters + head + 1


def operator_shape(block: PathBlock, columns: list[int], rows: list[int], out: int, sizes: Sizes) -> Shape:
    """The active sizes that the operators of a block see."""
    return Shape(
        dense={source: columns[source] for source in block.dense_connections},
        sparse={source: rows[source] for source in block.sparse_connections},
        left=max((columns[source] for source in block.left), default=0),
        right=max((columns[source] for source in block.right), default=0),
        out=out,
        embedding=sizes.embedding,
        layer_norm=sizes.layer_norm,
    )


def _mergers(block: PathBlock, sizes: Sizes) -> list[Merger]:
    names = [sizes.dense_to_sparse] * block.dense_to_sparse + [sizes.sparse_to_dense] * block.sparse_to_dense
    return [registry("mergers").load(name) for name in names]
