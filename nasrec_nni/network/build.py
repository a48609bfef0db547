"""From a path to the modules of its blocks, at the path's own sizes or at a space's largest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import nn

from nasrec_nni.architecture.canonical import liveness
from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.architecture.value import Path, PathBlock
from nasrec_nni.errors import UserError
from nasrec_nni.network.block import BlockModule
from nasrec_nni.network.head import Head
from nasrec_nni.operators.inputs import Limits
from nasrec_nni.plugins import OWN, registry
from nasrec_nni.profiling import Sizes


def build_operator(name: str, limits: Limits) -> nn.Module:
    """The torch module of a registered operator."""
    return _built("operators", name, limits)


def build_merger(name: str, limits: Limits) -> nn.Module:
    """The torch module of a registered merger."""
    return _built("mergers", name, limits)


def _built(group: str, name: str, limits: Limits) -> nn.Module:
    make = registry(group).implementation(name)
    try:
        module = make(limits)
    except Exception as error:
        if (package := registry(group).owner(name)) == OWN:
            raise
        raise UserError(
            f"{group} {name!r} of package {package} cannot be built: {type(error).__name__}: {error}",
            hint="Mend or uninstall that package; its conformance test tells more (docs/plugins.md)",
        ) from error
    if not isinstance(module, nn.Module):
        raise UserError(
            f"{group} {name!r} of package {registry(group).owner(name)} builds no torch module",
            value=type(module).__name__,
            hint="Mend or uninstall that package",
        )
    return module


def block_limits(
    dense: Mapping[int, int], sparse: Mapping[int, tuple[int, int]], widest: int, sizes: Sizes, elastic: bool
) -> Limits:
    """Limits of one block, `out` still 0."""
    return Limits(dense, sparse, widest, 0, sizes.embedding, sizes.heads, sizes.layer_norm, elastic)


def space_limits(space: SpaceDescription, sizes: Sizes, number: int) -> Limits:
    """Largest sizes block `number` of a supernet sees: every source at its widest, `out` still 0."""
    width, rows = max(space.dense_widths), max(space.sparse_rows)
    dense = {0: sizes.dense} | dict.fromkeys(range(1, number), width)
    sparse = {0: (sizes.fields, 0)} | dict.fromkeys(range(1, number), (rows, sizes.merger_rows))
    return block_limits(dense, sparse, max(dense.values()), sizes, elastic=True)


def path_blocks(path: Path, sizes: Sizes) -> list[BlockModule]:
    """Modules of a canonical path's live parts, each exactly as large as used."""
    columns = [sizes.dense]
    rows = [(sizes.fields, 0)]
    blocks = []
    for block, live in zip(path.blocks, liveness(path), strict=True):
        sources = (*block.left, *block.right)
        limits = block_limits(
            {source: columns[source] for source in block.dense_connections},
            {source: rows[source] for source in block.sparse_connections},
            max((columns[source] for source in sources), default=0),
            sizes,
            elastic=False,
        )
        blocks.append(_path_block(block, limits, sizes))
        columns.append(block.dense_width or 0 if live.dense_out else 0)
        rows.append((block.sparse_rows or 0, sizes.merger_rows if block.dense_to_sparse else 0))
    return blocks


def _path_block(block: PathBlock, limits: Limits, sizes: Sizes) -> BlockModule:
    dense = replace(limits, out=block.dense_width or 0)
    sparse = replace(limits, out=block.sparse_rows or 0)
    return BlockModule(
        {name: build_operator(name, dense) for name in block.dense_operators},
        {name: build_operator(name, sparse) for name in block.sparse_operators},
        build_merger(sizes.dense_to_sparse, dense) if block.dense_to_sparse else None,
        build_merger(sizes.sparse_to_dense, dense) if block.sparse_to_dense else None,
    )


def path_head(path: Path, sizes: Sizes) -> Head:
    """The head of a canonical path."""
    last = path.blocks[-1]
    assert last.dense_width is not None and last.sparse_rows is not None
    merger_rows = sizes.merger_rows if last.dense_to_sparse else 0
    return Head(last.dense_width, last.sparse_rows, merger_rows, sizes.embedding)


def space_head(space: SpaceDescription, sizes: Sizes) -> Head:
    """The head of a supernet."""
    return Head(max(space.dense_widths), max(space.sparse_rows), sizes.merger_rows, sizes.embedding)
