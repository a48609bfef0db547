"""Elastic linear maps: one weight per source, every size read off the tensors.

`ColumnMap` mixes dense columns, `RowMap` mixes sparse rows (the same map for each embedding coordinate).
Both end in a layer norm over the active width, or have a bias; a ReLU behind it costs least if asked of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasrec_nni.operators.inputs import Rows
from nasrec_nni.operators.slices import take

LAYER_NORM_EPS = 1e-5
KERNEL_ROWS = (
    4096  # from which our layer norm gains more by its loops than it loses by its call: sparse rows, not dense
)
LARGE_PRODUCT = 1 << 27  # multiply-accumulates: 512 rows by a weight of 512 × 512
LARGE_WEIGHT = 1 << 13  # numbers: 512 × 16


def xavier(shape: tuple[int, ...], inputs: int, outputs: int) -> nn.Parameter:
    """A weight, Xavier-uniform for a map of that many inputs and outputs (NASRec, authors' implementation)."""
    bound = math.sqrt(6 / (inputs + outputs))
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound))


class Norm(nn.Module):
    """Layer norm over the last axis, whose active width is read off the tensor."""

    def __init__(self, width: int, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((width,), weight))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor, relu: bool = False) -> Tensor:
        width = x.shape[-1]
        return layer_norm(x, take(self.weight, width), take(self.bias, width), relu)


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, relu: bool = False) -> Tensor:
    """Layer norm over the last axis, and a ReLU if asked: `[..., D]` to `[..., D]`."""
    if kernels_serve(x.numel() // max(1, x.shape[-1]), x, weight):
        from nasrec_nni.operators.kernels.norm import LayerNorm  # numba takes half a second to import

        return LayerNorm.apply(x, weight, bias, LAYER_NORM_EPS, relu)  # type: ignore[no-any-return,no-untyped-call]
    normed = F.layer_norm(x, weight.shape, weight, bias, LAYER_NORM_EPS)
    return normed.relu_() if relu else normed  # in place: the result is nobody else's


def kernels_serve(size: int, *tensors: Tensor, least: int = KERNEL_ROWS) -> bool:
    """Whether compiled kernels and numpy serve: float32 on the CPU; autocast and export take torch's operations.

    Args:
        size: of the work; rows where `least` is not said.
        tensors: that it reads.
        least: size from which they gain.
    """
    if torch.compiler.is_compiling() or size < least or torch.is_autocast_enabled("cpu"):  # in this order: a
        return False  # traced size that is compared would become a limit of the program
    return all(one.is_cpu and one.dtype == torch.float32 for one in tensors)


class Tail(nn.Module):
    """What follows a linear map: a bias, or a layer norm."""

    def __init__(self, width: int, layer_norm: bool) -> None:
        super().__init__()
        self.norm = Norm(width) if layer_norm else None
        self.bias = None if layer_norm else nn.Parameter(torch.zeros(width))

    def start(self, width: int) -> Tensor | None:
        """What the accumulation of products starts from."""
        return None if self.bias is None else take(self.bias, width)

    def forward(self, x: Tensor, relu: bool = False) -> Tensor:
        if self.norm is not None:
            return self.norm(x, relu)  # type: ignore[no-any-return]
        return torch.relu(x) if relu else x


def multiply_add(total: Tensor | None, x: Tensor, weight: Tensor) -> Tensor:
    """`total + x @ weight` for matrices; `total` may be None, a bias or a running sum, which is then written over."""
    if _is_large(x, weight):
        from nasrec_nni.operators.kernels.product import Product

        product: Tensor = Product.apply(x, weight)  # type: ignore[no-untyped-call]
        return product if total is None else product.add_(total)
    if total is None:
        return x @ weight
    if total.dim() == 1 or total.dtype != weight.dtype:  # a bias; autocast, which knows no product in place
        return torch.addmm(total, x, weight)
    return total.addmm_(x, weight)


def _is_large(x: Tensor, weight: Tensor) -> bool:
    """Whether numpy's product is the faster one."""
    numbers = weight.numel()
    if not kernels_serve(x.shape[0] * numbers, x, weight, least=LARGE_PRODUCT) or numbers < LARGE_WEIGHT:
        return False
    from nasrec_nni.operators.kernels.product import gains  # llvmlite, as numba, is imported when it is needed

    return gains()


class ColumnMap(nn.Module):
    """`LN(Σ_j x_j W_j)` or `Σ_j x_j W_j + b`: `[B, w_j]` each to `[B, D]`."""

    def __init__(self, columns: Mapping[int, int], out: int, layer_norm: bool) -> None:
        super().__init__()
        total = sum(columns.values())
        self.weight = nn.ParameterDict({str(j): xavier((w, out), total, out) for j, w in columns.items()})
        self.tail = Tail(out, layer_norm)

    def forward(self, sources: Mapping[int, Tensor], out: int, relu: bool = False) -> Tensor:
        total = self.tail.start(out)
        for source, x in sources.items():
            total = multiply_add(total, x, take(self.weight[str(source)], x.shape[1], out))
        assert total is not None
        return self.tail(total, relu)  # type: ignore[no-any-return]


class RowMap(nn.Module):
    """`LN(Q X)` or `Q X + q` on rows: `[B, E, r_j]` each to `[B, E, S]`.

    A source has two weight slots: the leading operator rows, and the merger's rows.
    """

    def __init__(self, rows: Mapping[int, tuple[int, int]], out: int, layer_norm: bool) -> None:
        super().__init__()
        total = sum(operator + merger for operator, merger in rows.values())
        self.weight = nn.ParameterDict({str(j): xavier((n, out), total, out) for j, (n, _) in rows.items()})
        self.merger = nn.ParameterDict({str(j): xavier((m, out), total, out) for j, (_, m) in rows.items() if m})
        self.tail = Tail(out, layer_norm)

    def forward(self, sources: Mapping[int, Rows], out: int, relu: bool = False) -> Tensor:
        xs = [part for rows in sources.values() for part in rows.parts]
        maps = [
            take(weights[str(source)], x.shape[2], out)
            for source, rows in sources.items()
            for weights, x in zip((self.weight, self.merger), rows.parts, strict=False)
        ]
        shape, norm = xs[0].shape[:2], self.tail.norm  # multiplied below: its `numel` would fix the rows of an export
        if norm is not None and kernels_serve(shape[0] * shape[1], *xs, *maps):
            from nasrec_nni.operators.kernels.mix import MixedRows  # numba takes half a second to import

            weight, bias = take(norm.weight, out), take(norm.bias, out)
            return MixedRows.apply(relu, LAYER_NORM_EPS, weight, bias, *xs, *maps)  # type: ignore[no-any-return,no-untyped-call]
        total = self.tail.start(out)
        for x, weight in zip(xs, maps, strict=True):
            total = multiply_add(total, x.reshape(-1, x.shape[2]), weight)
        assert total is not None
        return self.tail(total, relu).view(*shape, out)  # type: ignore[no-any-return]
