"""Random situations that one operator can be in: what it was built for in a supernet, and what one path asks of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from nasrec_nni.architecture.description import Operator, Shape
from nasrec_nni.architecture.draw import pick, stream, subset
from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.network.build import block_limits, build_operator, space_limits
from nasrec_nni.operators.inputs import Inputs, Limits, Rows
from nasrec_nni.plugins import registry
from nasrec_nni.profiling import Sizes

CASES = 24
WIDTHS, ROWS = (4, 8, 16, 32, 64), (3, 4, 8, 12)
DENSE, FIELDS = (1, 5, 8, 16, 40), (2, 3, 6)
EMBEDDINGS = ((8, 4), (4, 1), (16, 8))  # E, heads
MOST = 4


@dataclass(frozen=True)
class Case:
    """One situation.

    Args:
        name: the operator.
        whole: sizes of the supernet's operator.
        own: sizes of the same operator of the path's own network.
        shape: those that its description is asked for.
        inputs: what it reads, `[B, w]` and `[B, E, r]` in float64.
        out: `D` or `S`.
    """

    name: str
    whole: Limits
    own: Limits
    shape: Shape
    inputs: Inputs
    out: int

    def supernets(self) -> nn.Module:
        """The elastic operator, every weight random."""
        return randomised(build_operator(self.name, self.whole))

    def alone(self) -> nn.Module:
        """The operator of these sizes only."""
        return build_operator(self.name, self.own).double()

    def told(self) -> str:
        """The case in words, for errors."""
        lists = {key: sorted(getattr(self.inputs, key)) for key in ("dense", "sparse") if getattr(self.inputs, key)}
        lists |= {key: [x.shape[1] for x in getattr(self.inputs, key)] for key in ("left", "right")}
        return f"{self.name} with output {self.out}, sources {lists}, layer norm {self.own.layer_norm}"


def randomised(module: nn.Module) -> nn.Module:
    """In float64, with noise on every weight: biases and norms that start at 0 or 1 would hide a wrong slice."""
    module = module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return module


@cache
def cases(name: str) -> tuple[Case, ...]:
    """The situations of one operator; a function of its name and what it reads."""
    operator = registry("operators").load(name)
    return tuple(_case(operator, number) for number in range(CASES))


def _case(operator: Operator, number: int) -> Case:
    generator = stream(0, "conformance", number)
    embedding, heads = pick(EMBEDDINGS, generator)
    space = SpaceDescription(
        "conformance",
        (operator.name,),
        (operator.name,),
        dense_widths=_some(WIDTHS, generator),
        sparse_rows=_some(ROWS, generator),
        embedding=embedding,
        heads=heads,
    )
    sizes = Sizes.of(space, pick(DENSE, generator), pick(FIELDS, generator), layer_norm=bool(number % 2))
    sources = 1 + number % 5
    columns = {0: sizes.dense} | {source: pick(space.dense_widths, generator) for source in range(1, sources)}
    rows = {0: (sizes.fields, 0)}
    for source in range(1, sources):
        rows[source] = (pick(space.sparse_rows, generator), pick((0, sizes.merger_rows), generator))
    dense, sparse = (subset(sources, MOST, generator, "uniform") for _ in range(2))
    several = 1 if number % 3 else 2  # full paths have several left and right sources
    left, right = (subset(sources, several, generator, "uniform") for _ in range(2))
    widths = space.dense_widths if operator.side == "dense" else space.sparse_rows
    out = pick(widths, generator)
    widest = max(columns[source] for source in (*left, *right))
    own = block_limits(
        {source: columns[source] for source in dense}, {source: rows[source] for source in sparse}, widest, sizes, False
    )
    return Case(
        operator.name,
        replace(space_limits(space, sizes, sources), out=max(widths)),
        replace(own, out=out),
        Shape(
            {source: columns[source] for source in dense},
            {source: sum(rows[source]) for source in sparse},
            max(columns[source] for source in left),
            max(columns[source] for source in right),
            out,
            embedding,
            sizes.layer_norm,
        ),
        random_inputs(operator, columns, rows, (dense, sparse, left, right), embedding, 1 + number % 3),
        out,
    )


def _some(values: tuple[int, ...], generator: np.random.Generator) -> tuple[int, ...]:
    return tuple(values[at] for at in subset(len(values), 3, generator, "uniform"))


def random_inputs(
    operator: Operator,
    columns: dict[int, int],
    rows: dict[int, tuple[int, int]],
    lists: tuple[tuple[int, ...], ...],
    embedding: int,
    batch: int,
) -> Inputs:
    """What the operator reads, and nothing else; in float64.

    Args:
        operator: says what it reads.
        columns: `w_j` of each source.
        rows: operator rows and merger rows of each source.
        lists: sources of dense, sparse, left and right.
        embedding: `E`.
        batch: `B`.
    """
    dense, sparse, left, right = lists
    read = operator.reads

    def column(source: int) -> Tensor:
        return torch.randn(batch, columns[source], dtype=torch.float64)

    def row(source: int) -> Rows:
        own, merged = (torch.randn(batch, embedding, count, dtype=torch.float64) for count in rows[source])
        return Rows(own, merged if rows[source][1] else None)

    return Inputs(
        {source: column(source) for source in dense} if "dense" in read else {},
        {source: row(source) for source in sparse} if "sparse" in read else {},
        tuple(column(source) for source in left) if "left" in read else (),
        tuple(column(source) for source in right) if "right" in read else (),
    )


def tensors(inputs: Inputs) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of the inputs with the list that it is in."""
    yield from (("dense", x) for x in inputs.dense.values())
    yield from (("sparse", part) for x in inputs.sparse.values() for part in x.parts)
    yield from (("left", x) for x in inputs.left)
    yield from (("right", x) for x in inputs.right)


def changed(inputs: Inputs, change: Callable[[Tensor], Tensor]) -> Inputs:
    """The inputs with every tensor passed through a function."""
    return Inputs(
        {source: change(x) for source, x in inputs.dense.items()},
        {source: Rows(*map(change, x.parts)) for source, x in inputs.sparse.items()},
        tuple(map(change, inputs.left)),
        tuple(map(change, inputs.right)),
    )
