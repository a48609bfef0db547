"""How a kernel is compiled, and run on several threads."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

import numba
import torch

F = TypeVar("F", bound=Callable[..., Any])

# Sums may be taken in another order, so that they fill vector registers. Infinities keep their meaning.
REORDER = {"contract", "reassoc", "nsz", "arcp"}
_pools: dict[int, ThreadPoolExecutor] = {}  # by number of threads
os.register_at_fork(after_in_child=_pools.clear)  # a child has none of its parent's threads


def compiled(function: F) -> F:
    """Compiled for this processor at its first call, without Python's lock, and kept on disk for the next process."""
    return _compiled(function, REORDER)


def compiled_for_numbers(function: F) -> F:
    """The same, where any result will do once something is not a number: a maximum can be vectorised only so."""
    return _compiled(function, REORDER | {"nnan"})


def _compiled(function: F, freedom: set[str]) -> F:
    settings: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": freedom}
    try:
        return cast(F, numba.njit(cache=True, **settings)(function))
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        return cast(F, numba.njit(**settings)(function))


def inlined(function: F) -> F:
    """Compiled into each kernel that calls it."""
    return cast(F, numba.njit(fastmath=REORDER, error_model="numpy", inline="always")(function))


def in_parts(kernel: Callable[[int, int], object], count: int) -> None:
    """`kernel(begin, end)` over the parts of `0 .. count`, one for each of torch's threads."""
    threads = min(torch.get_num_threads(), count)
    if threads <= 1:
        kernel(0, count)
        return
    if threads not in _pools:
        _pools[threads] = ThreadPoolExecutor(threads, "kernel")
    bounds = [count * part // threads for part in range(threads + 1)]
    list(_pools[threads].map(kernel, bounds[:-1], bounds[1:]))
