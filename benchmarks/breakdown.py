"""What fills a step: shares of the time that torch.profiler sees, by kind of operation.

The profiler costs time itself at each operation, so these are shares; the times of a step are measured without it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

PYTHON, OPTIMIZER, OTHER = "Python", "optimizer", "other operations"
# Parts of an operation's name, by kind; the first that fits counts.
KINDS = {
    "attention": ("scaled_dot_product", "attention", "softmax"),
    "matrix products": ("mm", "addmv", "mv", "dot", "linear"),
    "layer norm": ("layer_norm", "layernorm"),
    "embedding": ("embedding", "index_select", "index_add", "sparse"),
    "copies": ("copy", "cat", "clone", "slice", "contiguous", "zero", "fill", "pad"),
    "elementwise and sums": (
        *("add", "mul", "sub", "div", "relu", "threshold", "clamp", "sigmoid", "pow", "sum", "where", "cross_entropy"),
        *("scatter", "gather", "index", "sqrt", "neg", "exp", "log", "gelu", "lerp"),
    ),
}
# By autograd's names.
OURS = {
    "HeadsOfTwo": "attention",
    "LayerNorm": "layer norm",
    "MixedRows": "mixing of rows",
    "PairProducts": "matrix products",
    "PairsOfRows": "matrix products",
    "Product": "matrix products",
    "SumsOfPairs": "elementwise and sums",
}
VIEWS = ("aten::t", "aten::view", "aten::transpose", "aten::as_strided", "aten::detach", "aten::reshape", "aten::empty")


def kind_of(name: str) -> str:
    """The kind of an operation by its name."""
    for own, kind in OURS.items():
        if name.startswith(own):
            return kind
    lowered = name.lower()
    if not lowered.startswith("aten::") or name in VIEWS:
        return OTHER
    plain = lowered.removeprefix("aten::")
    for kind, parts in KINDS.items():
        if any(part in plain for part in parts):
            return kind
    return OTHER


def profiled(work: Callable[[], object]) -> Any:
    """torch.profiler's record of some work; what no operation of torch takes is Python's own time in it."""
    cpu = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=cpu) as profiler, torch.profiler.record_function(PYTHON):
        work()
    return profiler


def shares(profiler: Any) -> dict[str, float]:
    """Of the profiled time by kind, largest first: they add up to 1."""
    times: dict[str, float] = {}
    for event in profiler.events():
        kind = PYTHON if event.name == PYTHON else kind_of(event.name)
        if _in_optimizer(event):
            kind = OPTIMIZER
        times[kind] = times.get(kind, 0.0) + event.self_cpu_time_total
    total = sum(times.values())
    return {kind: time / total for kind, time in sorted(times.items(), key=lambda entry: -entry[1])}


def added(several: list[dict[str, float]]) -> dict[str, float]:
    """The mean of shares of several works, largest first."""
    kinds = {kind for one in several for kind in one}
    means = {kind: sum(one.get(kind, 0.0) for one in several) / len(several) for kind in kinds}
    return dict(sorted(means.items(), key=lambda entry: -entry[1]))


def in_words(found: dict[str, float]) -> str:
    return ", ".join(f"{kind} {share:.0%}" for kind, share in found.items() if share >= 0.005)


def _in_optimizer(event: Any) -> bool:
    while event is not None:
        if event.name.startswith("Optimizer."):
            return True
        event = event.cpu_parent
    return False
