"""Counts of a prepared set in the words of its page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SOME_DRIFT, STRONG_DRIFT = 0.1, 0.25  # the usual rule of thumb for the population stability index
GROUPS, SAMPLED = 20, 100_000  # groups of values and rows of a split that the index is made from, at most
LONGEST = 80  # characters of a value that are shown
MOSTLY_MISSING, MUCH_UNSEEN, MOSTLY_RARE = 0.5, 0.1, 0.5


def share(value: float | None) -> str:
    """`12.3 %`; what is next to nothing or to everything is not rounded to it."""
    if value is None:
        return "–"
    percent = 100 * value
    if percent in (0, 100):
        return f"{percent:.0f} %"
    if percent < 0.01:
        return "< 0.01 %"
    if 99.99 < percent < 100:
        return "> 99.99 %"
    return f"{percent:.2f} %" if percent < 1 or percent > 99 else f"{percent:.1f} %"


def part(counts: Mapping[str, int] | None, split: str, splits: Mapping[str, Mapping[str, int]]) -> float | None:
    """The share of a split's rows that is counted; None if it is not, or the split has no row."""
    rows = splits.get(split, {}).get("rows")
    found = (counts or {}).get(split)
    return None if found is None or not rows else found / rows


def counted(column: Mapping[str, Any], key: str, split: str, splits: Mapping[str, Mapping[str, int]]) -> str:
    """How often a split's cells are so: a share of its rows, or a number of values where a cell has several."""
    found = (column.get(key) or {}).get(split)
    if column.get("separator") and found is not None:
        return f"{found:,} value{'' if found == 1 else 's'}"
    return share(part(column.get(key), split, splits))


def drift_word(column: Mapping[str, Any], splits: Mapping[str, Mapping[str, int]]) -> str | None:
    """`none`, `some`, `strong`, or `unclear` where so few rows would show as much by chance; None if not measured."""
    value = column.get("drift")
    if value is None:
        return None
    if value < SOME_DRIFT:
        return "none"
    if value <= _by_chance(column, splits):
        return "unclear"
    return "some" if value <= STRONG_DRIFT else "strong"


def _by_chance(column: Mapping[str, Any], splits: Mapping[str, Mapping[str, int]]) -> float:
    """What the index of two samples of one distribution exceeds one time in twenty.

    It is (1 / n + 1 / m) times chi-square of one degree less than there are groups (Yurdakul 2018).
    """
    from scipy.special import chdtri

    rows = [splits.get(split, {}).get("rows", 0) for split in ("train", "val")]
    if not all(rows):
        return float("inf")
    distinct = column.get("distinct")
    freedom = GROUPS if distinct is None else min(GROUPS, distinct + 1)
    return float(sum(1 / min(count, SAMPLED) for count in rows) * chdtri(freedom, 0.05))


def drift(column: Mapping[str, Any], splits: Mapping[str, Mapping[str, int]]) -> str:
    """The index and its word."""
    word = drift_word(column, splits)
    return "–" if word is None else f"{word} ({column['drift']:.3f})"


def number(value: float | None) -> str:
    """Up to five digits."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:,.5g}"


def cell(value: object) -> str:
    """A value of the log: shortened, and in quotes where spaces or control characters would hide."""
    text = str(value)
    text = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return text if text.isprintable() and text.strip() == text and text else repr(text)


def size(count: int) -> str:
    """Bytes as people read them."""
    for unit, bytes_ in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= bytes_:
            return f"{count / bytes_:,.1f} {unit}"
    return f"{count} bytes"


def stored(column: Mapping[str, Any]) -> str:
    """How the values of a column are kept."""
    if column["role"] == "numeric":
        return str(column.get("transform") or "number")
    words = [str(column.get("encoding") or "vocabulary")]
    if column.get("bins"):
        words.insert(0, "log2_bins")
    if words[-1] == "vocabulary" and column.get("min_count"):
        words[-1] += f" (min. {column['min_count']:,} row{'s' if column['min_count'] > 1 else ''})"
    if column.get("separator"):
        words.append(f"several values by {column['separator']!r}, at most {column.get('length', 1)}")
    return ", ".join(words)


def remarkable(column: Mapping[str, Any], splits: Mapping[str, Mapping[str, int]]) -> list[str]:
    """What a reader should look at in one column."""
    found = []
    single = not column.get("separator")  # where cells have several values, counts of them are no shares of rows
    if (missing := part(column.get("missing"), "train", splits) or 0.0) >= MOSTLY_MISSING:
        found.append(f"{share(missing)} of the training rows have no value")
    if single and (rare := part(column.get("rare"), "train", splits) or 0.0) >= MOSTLY_RARE:
        found.append(f"{share(rare)} of the training rows hold a value too rare for an id of its own")
    if single and (unseen := part(column.get("unseen"), "val", splits) or 0.0) >= MUCH_UNSEEN:
        found.append(f"{share(unseen)} of the validation rows hold a value that the training rows never had")
    if drift_word(column, splits) == "strong":
        found.append(f"training and validation rows differ strongly (drift {column['drift']:.2f})")
    if column.get("truncated"):
        found.append(f"{column['truncated']:,} cells held more values than are kept")
    return found
