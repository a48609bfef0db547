"""An optimizer that reads and writes only what a step used, with one clip over all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from nasrec_nni.operators.optimizers.exchange import exchange
from nasrec_nni.operators.optimizers.gradients import Block, chunks, collect, total_norm
from nasrec_nni.operators.ranks import ranks
from nasrec_nni.operators.slices import SliceTape

CHUNK = 1 << 21  # elements, 8 MiB of float32: what one list operation may hold as temporaries


class NotFiniteError(ArithmeticError):
    """A gradient is infinite or not a number; nothing was updated."""


class TouchedOptimizer(torch.optim.Optimizer):
    """Base of `Adagrad` and `Adam`: dense, sliced and row gradients in one step.

    Args:
        parameters: as for any torch optimizer; a group may set `lr` and `l2`.
        defaults: of the groups.
        clip: largest global norm of the gradients, 0 for none.
        tape: where the slices of this step's weights are, if the model runs on slices.

    One step: sum the gradients of equal rows; with several processes, take the mean over them; add `l2 · w` for the
    used part; take the norm over everything used; scale it down to `clip` as `torch.nn.utils.clip_grad_norm_` does;
    update. L2 comes **before** the clip, because the
    penalty is a part of the loss (torch's `weight_decay` behind `clip_grad_norm_` would come after it). Unused rows
    and slices have a gradient of zero, so the norm is that of the dense gradient, save for their L2.

    `norm` is the norm before clipping. It is always taken: on the CPU a step with a gradient that is not finite
    raises NotFiniteError before anything is changed; on a GPU that would wait for the device at each step.

    State tensors are of the size of their parameter and made at its first use; on the CPU their memory pages stay
    unused until a row or slice is touched. Numbers are plain ints and floats, so a state can be stored anywhere.
    """

    states: tuple[str, ...] = ()

    def __init__(
        self, parameters: Iterable[Any], defaults: dict[str, Any], *, clip: float = 0.0, tape: SliceTape | None = None
    ) -> None:
        super().__init__(parameters, {"l2": 0.0} | defaults)
        self.clip = clip
        self.tape = tape
        self.norm: Tensor | None = None

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update what has a gradient.

        Raises:
            NotFiniteError: see the class.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        found = [(group, list(collect(group["params"], self.tape))) for group in self.param_groups]
        if ranks() > 1:
            exchange(block for _, blocks in found for block in blocks)
        found = [(group, [b for b in blocks if b.rows is None or len(b.rows)]) for group, blocks in found]
        gradients = [self._with_l2(group, block) for group, blocks in found for block in blocks]
        if gradients:
            self._clip(gradients)
        for group, blocks in found:
            for some in chunks(blocks, CHUNK):
                self._update_blocks(group, some)
        if self.tape is not None:
            self.tape.clear()
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients, those on the tape included."""
        super().zero_grad(set_to_none)
        if self.tape is not None:
            self.tape.zero_grad()

    def _with_l2(self, group: dict[str, Any], block: Block) -> Tensor:
        if group["l2"]:
            block.gradient.add_(block.part(block.parameter), alpha=group["l2"])
        return block.gradient

    def _clip(self, gradients: list[Tensor]) -> None:
        self.norm = norm = total_norm(gradients)
        if norm.is_cuda:
            if self.clip:
                torch._foreach_mul_(gradients, (self.clip / (norm + 1e-6)).clamp(max=1.0))
            return
        size = norm.item()
        if not np.isfinite(size):
            raise NotFiniteError(f"the norm of the gradients is {size}")
        if self.clip and size > self.clip:
            # the scale in the gradients' own precision, as clip_grad_norm_ has it
            torch._foreach_mul_(gradients, (self.clip / (norm + 1e-6)).clamp(max=1.0))

    def _update_blocks(self, group: dict[str, Any], blocks: list[Block]) -> None:
        wholes = [self._state(block) for block in blocks]
        parts = {name: [b.part(whole[name]) for b, whole in zip(blocks, wholes, strict=True)] for name in self.states}
        weights = [block.part(block.parameter) for block in blocks]
        self.update(group, blocks, wholes, weights, parts)
        for index, block in enumerate(blocks):
            if block.rows is not None:
                block.put_back(block.parameter, weights[index])
                for name in self.states:
                    block.put_back(wholes[index][name], parts[name][index])

    def _state(self, block: Block) -> dict[str, Any]:
        state: dict[str, Any] = self.state[block.parameter]
        if not state:
            state["step"] = 0
            for name in self.states:
                state[name] = _zeros_like(block.parameter)
        state["step"] += 1
        return state

    def update(
        self,
        group: dict[str, Any],
        blocks: list[Block],
        wholes: list[dict[str, Any]],
        weights: list[Tensor],
        parts: dict[str, list[Tensor]],
    ) -> None:
        """Change `weights` and `parts` in place by `blocks[i].gradient`.

        Args:
            group: the parameter group.
            blocks: what is used.
            wholes: the state of each parameter, its `step` already counted.
            weights: the used part of each weight.
            parts: for each name of `states`, the used part of that state.
        """
        raise NotImplementedError


def _zeros_like(parameter: Tensor) -> Tensor:
    """Zeros whose pages the system provides on first use, where numpy has the dtype."""
    if parameter.device.type != "cpu" or parameter.dtype not in (torch.float32, torch.float64):
        return torch.zeros_like(parameter, memory_format=torch.contiguous_format)
    dtype = np.float32 if parameter.dtype == torch.float32 else np.float64
    return torch.from_numpy(np.zeros(parameter.shape, dtype))
