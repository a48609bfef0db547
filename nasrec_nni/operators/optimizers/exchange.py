"""The mean of a step's gradients over the processes of a data-parallel training.

Ours, in place of torch's DistributedDataParallel, which neither sees the leaves of a `SliceTape` nor adds sparse
gradients without one exchange a table, and which would wait for gradients of weights that a path does not use.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor

from nasrec_nni.operators.optimizers.gradients import Block, distinct_rows
from nasrec_nni.operators.ranks import ranks


def exchange(blocks: Iterable[Block]) -> None:
    """Put the mean over ranks in place of each block's gradient; rows become those that any rank has used.

    Every rank must have the same blocks of leading parts, in the same order: all ranks draw the same path. Tables must
    be used by all ranks; their rows may differ. Afterwards every rank has the same bits: an all-reduce makes each sum
    once, and gathered rows are added in the order of ranks, by which the parts of a batch stand in the batch.
    """
    leading = []
    for block in blocks:
        if block.rows is None:
            leading.append(block.gradient)
        else:
            block.rows, block.gradient = _gather(block.rows, block.gradient)
    for kind in sorted({gradient.dtype for gradient in leading}, key=str):
        _average([gradient for gradient in leading if gradient.dtype == kind])


def _average(gradients: list[Tensor]) -> None:
    """One all-reduce of all of them, in place."""
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    dist.all_reduce(flat)
    flat /= ranks()
    parts = torch.split(flat, [gradient.numel() for gradient in gradients])
    torch._foreach_copy_(gradients, [part.view(g.shape) for part, g in zip(parts, gradients, strict=True)])


def _gather(rows: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Distinct rows of all ranks, and the mean of their gradients, zero where a rank has not used a row."""
    counts = [rows.new_zeros(1) for _ in range(ranks())]
    dist.all_gather(counts, rows.new_tensor([len(rows)]))
    sizes = [int(count) for count in counts]
    gathered = [_all_gather(part, sizes) for part in (rows, values)]
    found, merged = distinct_rows(*gathered)
    return found, merged / ranks()


def _all_gather(part: Tensor, sizes: list[int]) -> Tensor:
    """Parts of different lengths, one behind the other: backends want equal shapes, so the shorter ones are padded."""
    padded = part.new_zeros(max(sizes), *part.shape[1:])
    padded[: len(part)] = part
    found = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather(found, padded)
    return torch.cat([one[:size] for one, size in zip(found, sizes, strict=True)])
