"""What a stage of a run took."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StageTime:
    """One stage that is done.

    Args:
        stage: name.
        seconds: by the clock.
        cpu_seconds: of the processor, in the process of the command.
        told: what it came to, in a few words.
    """

    stage: str
    seconds: float
    cpu_seconds: float
    told: str = ""
