"""`nasrec prepare` on longer and longer logs: does the time stay linear, and what does the memory grow with?

    python benchmarks/prepare_scaling.py --logs DIR                       # a vocabulary that grows with the rows
    python benchmarks/prepare_scaling.py --logs DIR --repeat criteo_10k.tsv   # the same vocabulary at every length

Logs are made in DIR where they are not there yet (16 million rows are 3.9 GB of text), and stay there.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from logs import LogFacts, facts_path, growing, replicated
from measure import Figures, in_child, machine, medians, table
from prepare import OURS

SCRIPT = Path(__file__).with_name("prepare.py")


def log_of(folder: Path, rows: int, distinct: int, repeat: Path | None) -> tuple[Path, LogFacts]:
    """The log of a length, made if need be. A repeated file is repeated in whole, so rows are at least as asked."""
    name = f"growing_{distinct}_{rows}.tsv" if repeat is None else f"{repeat.stem}_{rows}.tsv"
    log, facts = folder / name, facts_path(folder / name)
    if not facts.exists():
        print(f"making {log}", file=sys.stderr)
        if repeat is None:
            made = growing(rows, log, distinct)
        else:
            made = replicated(repeat, math.ceil(rows / repeat.read_bytes().count(b"\n")), log)
        facts.write_text(json.dumps(asdict(made)))
    return log, LogFacts(**json.loads(facts.read_text()))


def measured(log: Path, work: Path | None, rounds: int, threads: int) -> Figures:
    """Medians of our preparation of a log."""
    every = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(dir=work) as folder:
            given = {"log": str(log), "work": folder, "threads": threads}
            every.append(in_child(SCRIPT, OURS, given))
    return medians(every)


def words(found: list[tuple[LogFacts, Figures]]) -> str:
    head = (
        "rows",
        "text, MB",
        "distinct",
        "CPU s",
        "rows/CPU s",
        "µs/row ÷ first",
        "wall s",
        "peak MiB",
        "work",
        "private",
    )
    lines = []
    first = found[0][1].cpu_seconds / found[0][1].rows
    for facts, f in found:
        distinct = _distinct(facts, f)
        size = (f"{f.rows:,}", f"{facts.bytes / 1e6:,.0f}", "?" if distinct is None else f"{distinct:,}")
        time = (
            f"{f.cpu_seconds:.1f}",
            f"{f.rate:,.0f}",
            f"{f.cpu_seconds / f.rows / first:.2f}",
            f"{f.wall_seconds:.1f}",
        )
        memory = (f"{peak:,.0f}" for peak in (f.peak_mib, f.peak_mib - f.before_peak_mib, f.private_mib))
        lines.append((*size, *time, *memory))
    return table(head, lines)


def growth(found: list[tuple[LogFacts, Figures]]) -> dict[str, float | None]:
    """Bytes of peak memory between the two longest logs, per further row and per further distinct value."""
    (facts, f), (last_facts, last) = found[-2:] if len(found) > 1 else found * 2
    more = (last.peak_mib - f.peak_mib) * (1 << 20)
    distinct, last_distinct = _distinct(facts, f), _distinct(last_facts, last)
    values = None if distinct is None or last_distinct is None else last_distinct - distinct
    return {
        "bytes_per_row": more / (last.rows - f.rows) if last.rows > f.rows else None,
        "bytes_per_distinct": more / values if values else None,
    }


def _distinct(facts: LogFacts, figures: Figures) -> int | None:
    """As the writer of the log counted them, else as the manifest says."""
    return figures.extra.get("distinct") if facts.distinct is None else facts.distinct


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", type=Path, required=True, metavar="DIR")
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 4_000_000, 16_000_000])
    parser.add_argument("--distinct", type=int, default=10_000_000, help="expected at 16 million rows")
    parser.add_argument("--repeat", type=Path, metavar="FILE", help="a log said over and over instead")
    parser.add_argument("--work", type=Path, help="folder for what is written; all of it is removed again")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    for folder in (options.logs, options.work):
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
    found = []
    for rows in sorted(options.rows):
        log, facts = log_of(options.logs, rows, options.distinct, options.repeat)
        found.append((facts, measured(log, options.work, options.rounds, options.threads)))
        print(f"{found[-1][1].rows:,} rows: {found[-1][1].rate:,.0f} rows per CPU s", file=sys.stderr)
    grown = growth(found)
    if options.json:
        told = [{"log": asdict(facts), "figures": asdict(f), "rows_per_cpu_second": f.rate} for facts, f in found]
        print(json.dumps({"machine": machine(), "threads": options.threads, "logs": told, "growth": grown}, indent=2))
        return
    on = machine()
    print(f"{on['cpu']}, {on['cores']} cores, load {on['load']:.1f}; threads: {options.threads}\n")
    print(words(found))
    for key, what in (("bytes_per_row", "row"), ("bytes_per_distinct", "distinct value")):
        if grown[key] is not None:
            print(f"from the second longest: {grown[key]:,.1f} more bytes of peak memory per further {what}")


if __name__ == "__main__":
    main()
