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
        # By number and shape. Not kept from step to step: that saves a hundredth of a step, and thousands of small
        # leaves between large gradients cost a hundred MiB of memory that the heap cannot join again.
        self._used: dict[tuple[int, tuple[int, ...]], tuple[nn.Parameter, Tensor]] = {}

    def take(self, parameter: nn.Parameter, shape: tuple[int, ...]) -> Tensor:
        """A leaf that shares storage with `parameter[:shape]`, the same one throughout a step.

        Raises:
            ValueError: the parameter is smaller than that.
        """
        key = (id(parameter), shape)
        known = self._used.get(key)
        if known is None:
            known = self._used[key] = (parameter, _leaf(parameter, shape))
        return known[1]

    def gradients(self) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """(weight, gradient) of every weight used; the gradient covers the leading block of its own shape.

        A weight of which several slices were taken in the step gives one gradient over the smallest block that holds
        all of them.
        """
        found: dict[int, tuple[nn.Parameter, list[Tensor]]] = {}
        for (number, _), (parameter, leaf) in self._used.items():
            if leaf.grad is not None:
                found.setdefault(number, (parameter, []))[1].append(leaf.grad)
        for parameter, gradients in found.values():
            yield parameter, gradients[0] if len(gradients) == 1 else _sum(gradients)

    def zero_grad(self) -> None:
        """Forget gradients but not what was used: Lightning zeroes between the forward and the backward pass."""
        for _, leaf in self._used.values():
            leaf.grad = None

    def clear(self) -> None:
        """Forget the step; the optimizer does so at its end."""
        self._used.clear()

    @contextmanager
    def recording(self) -> Iterator[None]:
        """`take` hands out leaves of this tape inside the block (only while gradients are on)."""
        token = _active.set(self)
        try:
            yield
        finally:
            _active.reset(token)


def _leaf(parameter: nn.Parameter, shape: tuple[int, ...]) -> Tensor:
    if any(size > most for size, most in zip(shape, parameter.shape, strict=True)):
        raise ValueError(f"a weight of {tuple(parameter.shape)} has no leading block of {shape}")
    whole = parameter.detach()  # one view by strides is cheaper than a slice an axis
    return whole.as_strided(shape, whole.stride(), whole.storage_offset()).requires_grad_()


def _sum(gradients: list[Tensor]) -> Tensor:
    """Of leading blocks: over the smallest one that holds them all."""
    total = gradients[0].new_zeros([max(sizes) for sizes in zip(*(one.shape for one in gradients), strict=True)])
    for gradient in gradients:
        total[tuple(slice(size) for size in gradient.shape)] += gradient
    return total


def take(parameter: nn.Parameter, *shape: int) -> Tensor:
    """The leading block of a weight; the weight itself where the block is all of it and no tape records."""
    tape = _active.get()
    if tape is not None and torch.is_grad_enabled() and parameter.requires_grad:
        return tape.take(parameter, shape)
    if tuple(parameter.shape) == shape:
        return parameter
    return parameter[tuple(slice(size) for size in shape)]
