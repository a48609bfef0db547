"""The rule of slices, for operators and mergers: a part of the supernet's weights is the weights of the part."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nasrec_nni.network import copy_slices
from nasrec_nni.operators.slices import SliceTape
from nasrec_nni.testing.suite import close, require

Run = Callable[[nn.Module], Tensor]


class Ran(NamedTuple):
    """Output and gradients of one run."""

    output: Tensor
    gradients: dict[str, Tensor]


def ran(module: nn.Module, run: Run, weights: Tensor | None = None) -> Ran:
    """Run a module and take the gradients of a random weighting of its output; a weight not used has a zero one."""
    module.zero_grad(set_to_none=True)
    output = run(module)
    if output.requires_grad:  # an operator may have no weight at some sizes
        (output * (torch.ones_like(output) if weights is None else weights)).sum().backward()  # type: ignore[no-untyped-call]
    found = {name: _gradient(parameter) for name, parameter in module.named_parameters()}
    return Ran(output.detach(), found)


def _gradient(parameter: Tensor) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.clone()


def check_slices(whole: nn.Module, alone: nn.Module, run: Run, told: str) -> None:
    """The supernet's module and the sliced one agree in output and gradients, and nothing else has a gradient.

    Args:
        whole: elastic.
        alone: of the active sizes, its weights are set here.
        run: calls a module with the same inputs.
        told: the situation, for errors.
    """
    check_names(whole, alone, told)
    copy_slices(dict(whole.named_parameters()), alone)
    weights = torch.randn_like(run(alone).detach())
    for mode in (True, False):
        one, other = ran(whole.train(mode), run, weights), ran(alone.train(mode), run, weights)
        close(one.output, other.output, f"{told}: supernet and network differ in their output")
        _compare(one.gradients, other.gradients, told)
    _check_tape(whole, run, weights, other.gradients, told)


def check_names(whole: nn.Module, alone: nn.Module, told: str) -> None:
    """Each weight of the network is a leading block of the supernet's of the same name."""
    shapes = {name: parameter.shape for name, parameter in whole.named_parameters()}
    for name, parameter in alone.named_parameters():
        require(name in shapes, f"{told}: the network has a weight {name}, the supernet has none of this name")
        fits = len(shapes[name]) == parameter.dim() and all(
            size <= most for size, most in zip(parameter.shape, shapes[name], strict=True)
        )
        shape = (tuple(parameter.shape), tuple(shapes[name]))
        require(fits, f"{told}: {name} {shape[0]} is no leading block of the supernet's {shape[1]}")


def _compare(whole: dict[str, Tensor], alone: dict[str, Tensor], told: str) -> None:
    for name, gradient in whole.items():
        rest = gradient.clone()
        if name in alone:
            block = tuple(slice(size) for size in alone[name].shape)
            close(gradient[block], alone[name], f"{told}: gradients of {name} differ")
            rest[block] = 0
        require(not rest.any(), f"{told}: {name} has a gradient outside of what the path uses")


def _check_tape(whole: nn.Module, run: Run, weights: Tensor, expected: dict[str, Tensor], told: str) -> None:
    """Where a weight is sliced, it is sliced by `take`: then its gradient has the size of the slice."""
    whole.zero_grad(set_to_none=True)
    tape = SliceTape()
    with tape.recording():
        output = run(whole)
        if output.requires_grad:
            (output * weights).sum().backward()  # type: ignore[no-untyped-call]
    sliced = dict(tape.gradients())
    for name, parameter in whole.named_parameters():
        if parameter.grad is not None and bool(parameter.grad.any()):
            require(parameter not in sliced, f"{told}: {name} is used both through `take` and without")
            full = name in expected and expected[name].shape == parameter.shape
            require(full, f"{told}: {name} is sliced without `take`, so its gradient has the size of the whole weight")
        elif parameter in sliced and name in expected:
            gradient = sliced[parameter]
            block = tuple(slice(size) for size in gradient.shape)
            close(gradient, expected[name][block], f"{told}: the gradient of the slice of {name} differs")


def check_round_trip(module: nn.Module, fresh: nn.Module, run: Run, told: str) -> None:
    """The state goes through a safetensors file into a newly built module, and the output is the same to the bit."""
    from safetensors.torch import load, save

    state = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
    fresh.load_state_dict(load(save(state)), strict=True)
    require(torch.equal(run(fresh), run(module)), f"{told}: the output is another one after the state was stored")
