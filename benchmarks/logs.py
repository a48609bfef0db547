"""Click logs in Criteo's format to measure with: a file said many times over, or one whose vocabulary grows.

python benchmarks/logs.py replicated --file criteo_10k.tsv --times 100 --out criteo_1m.tsv
python benchmarks/logs.py growing --rows 16000000 --out growing_16m.tsv
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

REFERENCE_ROWS = 16_000_000  # `distinct` is reached at this length, whatever the length asked for
BLOCK = 65_536  # rows drawn and written at once
CLICK_RATE = 0.25
# Distinct values of each categorical column of Criteo's log (SPEC section 9).
CARDINALITIES = (
    *(1461, 584, 10131227, 2202609, 306, 25, 12518, 634, 4, 93146, 5684, 8351593, 3195),
    *(28, 14993, 5461307, 11, 5653, 2174, 5, 7046548, 19, 16, 286182, 106, 142573),
)
# Shares of missing cells, rounded; columns that are not named have none.
MISSING = dict.fromkeys((2, 3, 11, 15, 20, 23), 0.035) | {5: 0.13, 21: 0.8} | dict.fromkeys((18, 19, 24, 25), 0.45)
# Per integer column: share missing, share negative, median and spread (sigma of the logarithm) of the others.
INTEGERS = (
    *((0.45, 0, 1, 1.3), (0, 0.1, 4, 2.5), (0.2, 0, 7, 1.6), (0.2, 0, 4, 1.2), (0.05, 0, 2500, 2.2)),
    *((0.25, 0, 40, 1.6), (0.05, 0, 3, 1.8), (0, 0, 7, 1.3), (0.05, 0, 40, 1.6), (0.45, 0, 0.5, 0.6)),
    *((0.05, 0, 1.5, 1.0), (0.75, 0, 0.2, 0.9), (0.2, 0, 5, 1.3)),
)
DIGITS = 7  # longest integer, sign included
INTEGER_TABLE = 1 << 16  # an integer is one of so many quantiles of its column


@dataclass(frozen=True)
class LogFacts:
    """What a log holds, by count.

    Args:
        rows: lines.
        bytes: size of the text.
        distinct: different categorical values, summed over the columns; None if not counted.
    """

    rows: int
    bytes: int
    distinct: int | None = None


def replicated(source_file: Path, times: int, out: Path) -> LogFacts:
    """Write a file's lines `times` times over: any length, the same vocabulary."""
    text = source_file.read_bytes()
    if not text.endswith(b"\n"):
        text += b"\n"
    with out.open("wb") as stream:
        for _ in range(times):
            stream.write(text)
    return LogFacts(text.count(b"\n") * times, len(text) * times)


def growing(rows: int, out: Path, distinct: int = 10_000_000, seed: int = 0) -> LogFacts:
    """Write a log whose vocabulary grows with its rows; a shorter one is the beginning of a longer one.

    A value of a column with `V` values is `floor((V + 1)^u)`, `u` uniform: Zipf's law with exponent 1, so some values
    fill several percent of the rows and new ones never cease to come. `V` is in proportion to Criteo's own columns.

    Args:
        rows: lines to write.
        out: the file.
        distinct: different values over all columns to expect at `REFERENCE_ROWS` rows.
        seed: of everything.
    """
    sizes = vocabulary_sizes(distinct)
    seen = [np.zeros(size + 1, np.bool_) for size in sizes]
    integers = [_integer_table(*column) for column in INTEGERS]
    with out.open("wb") as stream:
        for number, first in enumerate(range(0, rows, BLOCK)):
            text = _block(np.random.default_rng([seed, number]), min(BLOCK, rows - first), sizes, integers, seen)
            stream.write(text.tobytes().translate(None, b"\0"))
        written = stream.tell()
    return LogFacts(rows, written, sum(int(column.sum()) for column in seen))


def vocabulary_sizes(distinct: int) -> list[int]:
    """Values of each column, so that `REFERENCE_ROWS` rows are expected to show `distinct` of them in all."""
    low, high = 1e-6, 1e3
    for _ in range(60):
        scale = math.sqrt(low * high)
        if _expected(_scaled(scale)) < distinct:
            low = scale
        else:
            high = scale
    return _scaled(scale)


def _scaled(scale: float) -> list[int]:
    return [max(3, round(size * scale)) for size in CARDINALITIES]


def _expected(sizes: list[int]) -> float:
    """Distinct values that `REFERENCE_ROWS` rows are expected to show."""
    total = 0.0
    for column, size in enumerate(sizes):
        edges = np.unique(np.geomspace(1, size + 1, 2000).round())
        values = np.diff(edges)
        share = np.diff(np.log(edges)) / math.log(size + 1) / values
        draws = REFERENCE_ROWS * (1 - MISSING.get(column, 0))
        total += float(np.sum(values * -np.expm1(-draws * share)))
    return total


def _integer_table(missing: float, negative: float, median: float, spread: float) -> NDArray[np.uint8]:
    """`[INTEGER_TABLE, DIGITS]` texts of a column's quantiles, zero bytes behind."""
    from statistics import NormalDist

    texts = []
    none, below = round(missing * INTEGER_TABLE), round(negative * INTEGER_TABLE)
    texts += [b""] * none
    texts += [b"-1" if index % 5 else b"-2" for index in range(below)]
    rest = INTEGER_TABLE - len(texts)
    normal = NormalDist(math.log(median + 0.5), spread)
    top = 10**DIGITS - 1
    texts += [b"%d" % min(top, int(math.exp(normal.inv_cdf((index + 0.5) / rest)))) for index in range(rest)]
    return np.array(texts, f"S{DIGITS}").view(np.uint8).reshape(INTEGER_TABLE, DIGITS)


def _block(
    rng: np.random.Generator,
    rows: int,
    sizes: list[int],
    integers: list[NDArray[np.uint8]],
    seen: list[NDArray[np.bool_]],
) -> NDArray[np.uint8]:
    """`[rows, width]` text, each cell at its widest; zero bytes are no text. Draws do not depend on `rows`."""
    width = 1 + len(integers) * (1 + DIGITS) + len(sizes) * 9 + 1
    text = np.zeros((BLOCK, width), np.uint8)
    text[:, 0] = np.where(rng.random(BLOCK) < CLICK_RATE, ord("1"), ord("0"))
    at = 1
    for table in integers:
        text[:, at] = ord("\t")
        text[:, at + 1 : at + 1 + DIGITS] = table[rng.integers(0, INTEGER_TABLE, BLOCK, np.uint16)]
        at += 1 + DIGITS
    for column, size in enumerate(sizes):
        values = np.minimum(np.exp(rng.random(BLOCK) * math.log(size + 1)).astype(np.int64), size)
        words = _hex(values, column)
        kept = np.arange(BLOCK) < rows
        if column in MISSING:
            present = rng.random(BLOCK) >= MISSING[column]
            words[~present] = 0
            kept &= present
        seen[column][values[kept]] = True
        text[:, at] = ord("\t")
        text[:, at + 1 : at + 9] = words
        at += 9
    text[:, at] = ord("\n")
    return text[:rows]


_PAIRS = np.frombuffer(b"".join(b"%02x" % byte for byte in range(256)), np.uint8).reshape(256, 2)


def _hex(values: NDArray[np.int64], column: int) -> NDArray[np.uint8]:
    """`[n, 8]` hex digits of a mix of value and column; different values of a column stay different."""
    mixed = values.astype(np.uint32) ^ np.uint32(column * 0x01000193)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        mixed ^= mixed >> np.uint32(shift)
        mixed *= np.uint32(factor)
    mixed ^= mixed >> np.uint32(16)
    text: NDArray[np.uint8] = _PAIRS[mixed.astype(">u4").view(np.uint8).reshape(-1, 4)].reshape(-1, 8)
    return text


def facts_path(log: Path) -> Path:
    """Where a log's counts are kept."""
    return log.with_name(f"{log.name}.json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    again = kinds.add_parser("replicated")
    again.add_argument("--file", type=Path, required=True)
    again.add_argument("--times", type=int, required=True)
    more = kinds.add_parser("growing")
    more.add_argument("--rows", type=int, required=True)
    more.add_argument("--distinct", type=int, default=10_000_000)
    more.add_argument("--seed", type=int, default=0)
    for kind in (again, more):
        kind.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    if options.kind == "replicated":
        facts = replicated(options.file, options.times, options.out)
    else:
        facts = growing(options.rows, options.out, options.distinct, options.seed)
    text = json.dumps(asdict(facts))
    facts_path(options.out).write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
