"""What all suites share: a class with a plug-in's name, words for what is wrong, tolerances."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar

import numpy as np
import pytest
import torch
from torch import Tensor

from nasrec_nni.plugins import registry

TOLERANCE = 1e-9  # float64, relative and absolute
S = TypeVar("S", bound="Conformance")


class Conformance:
    """Base of the suites.

    Attributes:
        group: of the plug-in.
        name: as registered.
    """

    group: ClassVar[str]
    name: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _seeded(self) -> Iterator[None]:
        """Each check by itself, whichever ran before, and with torch's usual type."""
        torch.manual_seed(0)
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float32)
        yield
        torch.set_default_dtype(before)

    def load(self) -> Any:
        """The plug-in, found and checked as in a run."""
        return registry(self.group).load(self.name)

    def test_is_in_the_list_without_a_problem(self) -> None:
        """`nasrec ls` shows it as usable: interface, type and attributes are right, nobody else has the name."""
        found = [plugin for plugin in registry(self.group).list() if plugin.name == self.name]
        require(bool(found), f"no {self.group} plug-in {self.name!r} is installed: pip install the package first")
        problems = [plugin.problem for plugin in found if plugin.problem is not None]
        require(not problems, "; ".join(map(str, problems)))


def suite(base: type[S], name: str, **attributes: Any) -> type[S]:
    """The test class of one plug-in."""
    return type(f"Test_{name}", (base,), {"name": name, "__module__": base.__module__, **attributes})


def require(holds: bool, otherwise: str) -> None:
    """An assertion with words of its own."""
    if not holds:
        raise AssertionError(otherwise)


def close(found: Tensor, expected: Tensor, what: str, rtol: float = TOLERANCE, atol: float = TOLERANCE) -> None:
    """Equal to rounding, or an error that names what differs and by how much."""
    torch.testing.assert_close(found, expected, rtol=rtol, atol=atol, msg=lambda told: f"{what}: {told}")


@contextmanager
def draws_nothing(what: str) -> Iterator[None]:
    """Inside the block the global generators of torch, numpy and Python stay where they are."""
    before = (torch.get_rng_state(), str(np.random.get_state()), random.getstate())
    yield
    after = (torch.get_rng_state(), str(np.random.get_state()), random.getstate())
    same = torch.equal(before[0], after[0]) and before[1:] == after[1:]
    require(same, f"{what} draws from a global generator, so a run cannot be repeated or resumed")
