"""The gradients of one step as a list of blocks: whole weights, leading slices of weights, rows of tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nasrec_nni.operators.slices import SliceTape


@dataclass(slots=True)
class Block:
    """The part of one parameter that the step used.

    Attributes:
        parameter: the whole weight.
        gradient: of the used part only.
        rows: table rows the gradient is for, each once; None for a leading block (which may be all of it).
        dense: an ordinary gradient of the whole weight, made by autograd.
    """

    parameter: nn.Parameter
    gradient: Tensor
    rows: Tensor | None
    dense: bool

    def part(self, tensor: Tensor) -> Tensor:
        """The used part of the weight, or of a state of its size or its rows: a view, or a copy for rows."""
        if self.rows is not None:
            return tensor.index_select(0, self.rows)
        shape = self.gradient.shape[: tensor.dim()]
        if tensor.shape == shape:
            return tensor
        return tensor.as_strided(shape, tensor.stride(), tensor.storage_offset())

    def put_back(self, tensor: Tensor, part: Tensor) -> None:
        """Store a changed part; a view needs nothing."""
        if self.rows is not None:
            tensor.index_copy_(0, self.rows, part)


def merge_rows(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """A sparse COO gradient `[N, E]` as distinct rows `[k]` and their summed values `[k, E]`.

    Each sum is taken in the order of the batch, the same at each run. Float32 on the CPU has a kernel of its own, and
    its rows come in the order of first use; else one `unique` and one `index_add_`, with rows in rising order.
    """
    if gradient.sparse_dim() != 1:
        raise ValueError(f"a sparse gradient must index rows only, got {gradient.sparse_dim()} sparse dimensions")
    indices, values = gradient._indices()[0], gradient._values()
    if gradient.is_coalesced():
        return indices, values
    return distinct_rows(indices, values)


def distinct_rows(indices: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """The same for rows `[n]` and their values `[n, E]`."""
    if values.is_cpu and values.dtype == torch.float32 and values.dim() == 2:
        from nasrec_nni.operators.kernels.rows import distinct

        return distinct(indices, values)
    if indices.is_cpu:
        rows, inverse = map(torch.from_numpy, np.unique(indices.numpy(), return_inverse=True))
    else:
        rows, inverse = torch.unique(indices, return_inverse=True)
    return rows, values.new_zeros(len(rows), *values.shape[1:]).index_add_(0, inverse, values)


def of_slices(tape: SliceTape | None) -> dict[int, Tensor]:
    """The tape's gradients by the weight's `id`; a tensor's own hash is that too, and takes ten times as long."""
    return {} if tape is None else {id(parameter): leading for parameter, leading in tape.gradients()}


def collect(parameters: Iterable[nn.Parameter], sliced: Mapping[int, Tensor]) -> Iterator[Block]:
    """Every block of the step, at most one a parameter; one of rows may have none.

    Args:
        parameters: of a group.
        sliced: as of `of_slices`.

    Raises:
        ValueError: one parameter has a gradient of its own and one on the tape in the same step.
    """
    for parameter in parameters:
        gradient = parameter.grad
        leading = sliced.get(id(parameter))
        if gradient is None:
            if leading is not None:
                yield Block(parameter, leading, None, False)
            continue
        if leading is not None:
            raise ValueError("a weight was used both whole and by slices in one step")
        if gradient.is_sparse:
            rows, values = merge_rows(gradient)
            yield Block(parameter, values, rows, False)
        else:
            yield Block(parameter, gradient, None, True)


def chunks(blocks: list[Block], elements: int) -> Iterator[list[Block]]:
    """The blocks in order, cut into lists of about so many elements: bounds the temporaries of a list operation."""
    taken: list[Block] = []
    size = 0
    for block in blocks:
        taken.append(block)
        size += block.gradient.numel()
        if size >= elements:
            yield taken
            taken, size = [], 0
    if taken:
        yield taken


def total_norm(gradients: list[Tensor]) -> Tensor:
    """Euclidean norm of all gradients together, a scalar tensor."""
    norms: Any = torch._foreach_norm(gradients)
    total: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    return total
