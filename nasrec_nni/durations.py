"""Spans of time as people write them: `90s`, `30m`, `1h30m`."""

from __future__ import annotations

import math
import re

UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}
FORM = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")
LEAST = 1.0  # seconds
WHAT = "must be a span of time such as 90s, 30m, 2h or 1h30m"


def seconds_of(text: object) -> float:
    """Seconds of a span.

    Raises:
        ValueError: it is none, is shorter than a second, or has no unit.
    """
    if isinstance(text, bool) or not isinstance(text, (str, int, float)):
        raise ValueError(WHAT)
    if not isinstance(text, str):
        raise ValueError(f"{WHAT}: without a letter it could be {text}s, {text}m or {text}h")
    found = FORM.fullmatch(text.strip().lower().replace(" ", ""))
    if found is None or not any(found.groups()):
        raise ValueError(WHAT)
    total = sum(float(number) * unit for number, unit in zip(found.groups(), UNITS.values(), strict=True) if number)
    if not LEAST <= total < math.inf:
        raise ValueError(f"{WHAT}, and at least {LEAST:.0f}s")
    return total


def written(seconds: float) -> str:
    """The same span again, to a thousandth of a second; `seconds_of` reads it."""
    thousandths = round(seconds * 1000)
    hours, rest = divmod(thousandths, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    parts = [f"{hours}h" if hours else "", f"{minutes}m" if minutes else "", f"{rest / 1000:g}s" if rest else ""]
    return "".join(parts) or "0s"


def shown(seconds: float) -> str:
    """For people: tenths below ten seconds, whole seconds up to a day."""
    return f"{seconds:.1f}s" if 0 < seconds < 10 else written(float(round(seconds)))
