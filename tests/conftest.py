"""One thread of torch for all tests: small tensors gain nothing from more, and a shared machine loses."""

from __future__ import annotations

import os
from collections.abc import Iterable

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

torch.set_num_threads(1)


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    """Tests that take minutes run when they are asked for."""
    if os.environ.get("NASREC_LONG") == "1":
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="takes minutes: NASREC_LONG=1 runs it"))
