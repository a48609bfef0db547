"""Prefix slices of weights: how one elastic weight serves every width.

The rule of the whole house: the network of a path holds, under the same name, the leading block
`[:a, :b, …]` of each supernet weight it uses. `take` is the one place where an operator asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn

_active: ContextVar[SliceTape | None] = ContextVar("slice_tape", default=None)


class SliceTape:
    """Hands out leaf views of weights for one step, so that gradients have the slice's size.

    Indexing a parameter inside autograd makes a gradient of the full weight; a leaf view does not.
    An optimizer built with the tape reads `gradients()` in its step and clears the tape at its end.
    """

    def __init__(self) -> None:
        self._leaves: dict[nn.Parameter, list[Tensor]] = {}

    def take(self, parameter: nn.Parameter, shape: tuple[int, ...]) -> Tensor:
        """A leaf that shares storage with `parameter[:shape]`.

        Raises:
            ValueError: the parameter is smaller than that.
        """
        if any(size > most for size, most in zip(shape, parameter.shape, strict=True)):
            raise ValueError(f"a weight of {tuple(parameter.shape)} has no leading block of {shape}")
        whole = parameter.detach()  # one view by strides is cheaper than a slice an axis
        leaf = whole.as_strided(shape, whole.stride(), whole.storage_offset()).requires_grad_()
        self._leaves.setdefault(parameter, []).append(leaf)
        return leaf

    def gradients(self) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """(weight, gradient) of every weight used; the gradient covers the leading block of its own shape.

        A weight taken more than once in the step gives one gradient over the smallest block that holds
        all of its slices.
        """
        for parameter, leaves in self._leaves.items():
            gradients = [leaf.grad for leaf in leaves if leaf.grad is not None]
            if len(gradients) == 1:
                yield parameter, gradients[0]
            elif gradients:
                shape = [max(sizes) for sizes in zip(*(gradient.shape for gradient in gradients), strict=True)]
                total = gradients[0].new_zeros(shape)
                for gradient in gradients:
                    total[tuple(slice(size) for size in gradient.shape)] += gradient
                yield parameter, total

    def zero_grad(self) -> None:
        """Forget gradients but not leaves: Lightning zeroes between the forward and the backward pass."""
        for leaves in self._leaves.values():
            for leaf in leaves:
                leaf.grad = None

    def clear(self) -> None:
        """Forget the leaves; the optimizer does so at the end of its step."""
        self._leaves.clear()

    @contextmanager
    def recording(self) -> Iterator[None]:
        """`take` hands out leaves of this tape inside the block (only while gradients are on)."""
        token = _active.set(self)
        try:
            yield
        finally:
            _active.reset(token)


def take(parameter: nn.Parameter, *shape: int) -> Tensor:
    """The leading block of a weight; the weight itself where the block is all of it and no tape records."""
    tape = _active.get()
    if tape is not None and torch.is_grad_enabled() and parameter.requires_grad:
        return tape.take(parameter, shape)
    if tuple(parameter.shape) == shape:
        return parameter
    return parameter[tuple(slice(size) for size in shape)]
