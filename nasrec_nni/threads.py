"""CPU threads of torch and of numpy's matrix products, which are set together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any


def set_threads(count: int) -> None:
    """So many from now on, in this process."""
    import torch

    torch.set_num_threads(count)
    for library in _numpy_libraries():
        library.set_num_threads(count)


@contextmanager
def using_threads(count: int | None) -> Iterator[None]:
    """So many inside the block; as many as before if None."""
    import torch

    before = torch.get_num_threads(), [library.get_num_threads() for library in _numpy_libraries()]
    if count is not None:
        set_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        for library, own in zip(_numpy_libraries(), before[1], strict=True):
            library.set_num_threads(own)


def one_thread() -> bool:
    """Whether torch and numpy both work in one thread, and numpy's products are OpenBLAS's, as in its wheels."""
    import torch

    libraries = _numpy_libraries()
    return bool(libraries) and torch.get_num_threads() == 1 and all(one.get_num_threads() == 1 for one in libraries)


@cache
def _numpy_libraries() -> tuple[Any, ...]:
    import numpy  # noqa: F401  # loads its library
    from threadpoolctl import ThreadpoolController

    found = ThreadpoolController().select(internal_api="openblas").lib_controllers
    return tuple(library for library in found if "numpy" in library.filepath)
