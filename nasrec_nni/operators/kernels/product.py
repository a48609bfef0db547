"""Large matrix products by numpy's library: float32 in one thread, on AMD's processors without AVX-512.

There numpy's OpenBLAS takes a twentieth to a fifth less time than torch's MKL, and a third less where the result has a
number of columns that 16 does not divide, as the pairs of a dot product have (benchmarks/products.py). Many rows by
small weights are the other way round. In several threads torch's is left alone: OpenBLAS's threads would wait beside
torch's, and take their cores.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from llvmlite import binding
from torch import Tensor

from nasrec_nni.threads import one_thread

PROCESSORS = ("znver1", "znver2", "znver3")


def gains() -> bool:
    """Whether numpy's products are the faster ones, here and now."""
    return _processor_gains() and one_thread()


@cache
def _processor_gains() -> bool:
    return binding.get_host_cpu_name() in PROCESSORS and bool(torch.backends.mkl.is_available())  # type: ignore[no-untyped-call]


class Product(torch.autograd.Function):
    """`x W`: `[N, K]`, `[K, D]` to `[N, D]`."""

    @staticmethod
    def forward(context: Any, x: Tensor, weight: Tensor) -> Tensor:
        context.save_for_backward(x, weight)
        return _product(x.detach(), weight.detach())

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = context.saved_tensors
        for_x, for_weight = context.needs_input_grad
        gradient = gradient.contiguous()
        return (
            _product(gradient, weight.t()) if for_x else None,
            _product(x.t(), gradient) if for_weight else None,
        )


def _product(left: Tensor, right: Tensor) -> Tensor:
    out = left.new_empty(left.shape[0], right.shape[1])
    np.matmul(left.numpy(), right.numpy(), out=out.numpy())
    return out
