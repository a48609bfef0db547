"""An optimizer that reads and writes only what a step used, with one clip over all of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from nasrec_nni.operators.optimizers.exchange import exchange
from nasrec_nni.operators.optimizers.fused import Parts, fits
from nasrec_nni.operators.optimizers.gradients import Block, chunks, collect, of_slices, total_norm
from nasrec_nni.operators.optimizers.rules import RULES, Rule
from nasrec_nni.operators.ranks import ranks
from nasrec_nni.operators.slices import SliceTape

CHUNK = 1 << 21  # elements, 8 MiB of float32: what one list operation may hold as temporaries


class NotFiniteError(ArithmeticError):
    """A gradient is infinite or not a number; nothing was updated."""


@dataclass(slots=True)
class _Work:
    """What a step does to one group: the blocks that kernels know, and the others."""

    group: dict[str, Any]
    fast: Parts | None
    others: list[Block]


class TouchedOptimizer(torch.optim.Optimizer):
    """Base of `Adagrad`, `RowwiseAdagrad` and `Adam`: dense, sliced and row gradients in one step.

    Args:
        parameters: as for any torch optimizer; a group may set `lr`, `l2`, a `rule` of its own and what that one needs.
        rule: a name in `RULES`.
        defaults: of the groups.
        clip: largest global norm of the gradients, 0 for none.
        tape: where the slices of this step's weights are, if the model runs on slices.

    One step: sum the gradients of equal rows; with several processes, take the mean over them; add `l2 · w` for the
    used part; take the norm over everything used; scale it down to `clip` as `torch.nn.utils.clip_grad_norm_` does;
    update. L2 comes **before** the clip, because the
    penalty is a part of the loss (torch's `weight_decay` behind `clip_grad_norm_` would come after it). Unused rows
    and slices have a gradient of zero, so the norm is that of the dense gradient, save for their L2.

    Float32 on the CPU is updated by compiled kernels, all else by torch's list operations; both are the same up to
    rounding. Gradients are this optimizer's to overwrite.

    `norm` is the norm before clipping. It is always taken: on the CPU a step with a gradient that is not finite
    raises NotFiniteError before anything is changed; on a GPU that would wait for the device at each step.

    State tensors are of the size of their parameter, or of its rows, and made at its first use; on the CPU their
    memory pages stay unused until a row or slice is touched. Numbers are plain ints and floats, so a state can be
    stored anywhere.
    """

    def __init__(
        self,
        parameters: Iterable[Any],
        rule: str,
        defaults: dict[str, Any],
        *,
        clip: float = 0.0,
        tape: SliceTape | None = None,
    ) -> None:
        self.rule = rule
        super().__init__(parameters, {"l2": 0.0, "rule": rule} | defaults)
        self.clip = clip
        self.tape = tape
        self.norm: Tensor | None = None

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As torch's; a group with a rule of its own takes that rule's values where it says nothing."""
        rule = param_group.get("rule", self.rule)
        if rule not in RULES:
            raise ValueError(f"no update rule {rule!r}; there are {', '.join(RULES)}")
        if rule != self.rule:
            param_group = RULES[rule].values | param_group
        super().add_param_group(param_group)

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
        sliced = of_slices(self.tape)
        found = [(group, list(collect(group["params"], sliced))) for group in self.param_groups]
        if ranks() > 1:
            exchange(block for _, blocks in found for block in blocks)
        works = [_work(group, [b for b in blocks if b.gradient.numel()]) for group, blocks in found]
        for work in works:
            _add_l2(work)
        scale = self._clip(works)
        for work in works:
            if work.fast is not None:
                rule, states = self._rule(work.group), [self._state(work.group, block) for block in work.fast.blocks]
                work.fast.find_states(states, rule.states)
                rule.fused(work.group, work.fast, states, scale)
            for some in chunks(work.others, CHUNK):
                self._update_blocks(work.group, some)
        if self.tape is not None:
            self.tape.clear()
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients, those on the tape included."""
        super().zero_grad(set_to_none)
        if self.tape is not None:
            self.tape.zero_grad()

    def _clip(self, works: list[_Work]) -> float:
        """Take the norm and scale the gradients of the other blocks; what the kernels have to scale theirs by."""
        gradients = [block.gradient for work in works for block in work.others]
        fast = [work.fast for work in works if work.fast is not None]
        if not gradients and not fast:
            return 1.0
        if not fast:
            norm = total_norm(gradients)
        else:
            squares = sum(parts.squares() for parts in fast)
            squares += total_norm(gradients).item() ** 2 if gradients else 0.0
            norm = torch.tensor(math.sqrt(squares))
        self.norm = norm
        if norm.is_cuda:
            if self.clip:
                torch._foreach_mul_(gradients, self._scale(norm))
            return 1.0
        size = norm.item()
        if not math.isfinite(size):
            raise NotFiniteError(f"the norm of the gradients is {size}")
        if not self.clip or size <= self.clip:
            return 1.0
        scale = self._scale(norm)
        if gradients:
            torch._foreach_mul_(gradients, scale)
        return scale.item()

    def _scale(self, norm: Tensor) -> Tensor:
        """In the gradients' own precision, as clip_grad_norm_ has it."""
        return (self.clip / (norm + 1e-6)).clamp(max=1.0)

    def _update_blocks(self, group: dict[str, Any], blocks: list[Block]) -> None:
        rule = self._rule(group)
        wholes = [self._state(group, block) for block in blocks]
        parts = {name: [b.part(whole[name]) for b, whole in zip(blocks, wholes, strict=True)] for name in rule.states}
        weights = [block.part(block.parameter) for block in blocks]
        rule.update(group, blocks, wholes, weights, parts)
        for index, block in enumerate(blocks):
            if block.rows is not None:
                block.put_back(block.parameter, weights[index])
                for name in rule.states:
                    block.put_back(wholes[index][name], parts[name][index])

    def _rule(self, group: dict[str, Any]) -> Rule:
        return RULES[group.get("rule", self.rule)]  # a state stored by an earlier version names none

    def _state(self, group: dict[str, Any], block: Block) -> dict[str, Any]:
        state: dict[str, Any] = self.state[block.parameter]
        if not state:
            rule = self._rule(group)
            state["step"] = 0
            for name in rule.states:
                state[name] = _zeros(rule.state_shape(block.parameter), block.parameter)
        state["step"] += 1
        return state


def _work(group: dict[str, Any], blocks: list[Block]) -> _Work:
    fast: list[Block] = []
    others: list[Block] = []
    for block in blocks:
        (fast if fits(block) else others).append(block)
    return _Work(group, Parts.of(fast) if fast else None, others)


def _add_l2(work: _Work) -> None:
    l2 = work.group["l2"]
    if not l2:
        return
    if work.fast is not None:
        work.fast.add_l2(l2)
    for block in work.others:
        block.gradient.add_(block.part(block.parameter), alpha=l2)


def _zeros(shape: torch.Size, parameter: Tensor) -> Tensor:
    """Zeros beside a parameter, whose pages the system provides on first use where numpy has the dtype."""
    if parameter.device.type != "cpu" or parameter.dtype not in (torch.float32, torch.float64):
        return torch.zeros(shape, dtype=parameter.dtype, device=parameter.device)
    return torch.from_numpy(np.zeros(shape, np.float32 if parameter.dtype == torch.float32 else np.float64))
