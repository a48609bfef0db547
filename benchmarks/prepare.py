"""From Criteo's text to arrays that a model reads: ours beside what people use instead, interleaved in one run.

    python benchmarks/logs.py replicated --file criteo_10k.tsv --times 100 --out criteo_1m.tsv
    python benchmarks/prepare.py --log criteo_1m.tsv

Every measurement is a process of its own; a round does each work once, in another order each time. The table holds
medians over the rounds. See benchmarks/README.md for what each work includes.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from measure import Figures, child, in_child, machine, medians, table

INTEGERS = [f"I{number}" for number in range(1, 14)]
CATEGORIES = [f"C{number}" for number in range(1, 27)]
NAMES = ["label", *INTEGERS, *CATEGORIES]
FUXICTR_ROWS = 100_000  # transformed at once, which keeps its memory lower
Work = Callable[[], "int | tuple[int, dict[str, Any]]"]


def ours(log: str, work: str, threads: int) -> Work:
    """`nasrec prepare` with its defaults: roles, split, vocabulary, counts, arrays and hashes on disk."""
    import pyarrow as pa

    from nasrec_nni.data.prepare import prepare

    pa.set_cpu_count(threads)
    pa.set_io_thread_count(threads)

    def run() -> tuple[int, dict[str, Any]]:
        made = prepare("criteo", [log], Path(work) / "set", progress=False)
        found = [column for column in made.manifest["columns"] if column["role"] == "categorical"]
        distinct = [column.get("distinct") for column in found]
        vocabulary = [column.get("vocabulary") for column in found]
        told = {"distinct": distinct, "vocabulary": vocabulary}
        extra = {name: None if None in values else sum(values) for name, values in told.items()}
        extra["bytes"] = sum(file.stat().st_size for file in made.folder.iterdir())
        return len(made.label), extra

    return run


def label_encoder(log: str, work: str, threads: int) -> Work:
    """The usual recipe: pandas reads, `LabelEncoder` per category, `MinMaxScaler`; the arrays stay in memory."""
    import numpy as np
    import pandas as pd
    from sklearn.preprocessing import LabelEncoder, MinMaxScaler

    def run() -> int:
        frame = pd.read_csv(log, sep="\t", header=None, names=NAMES, dtype=dict.fromkeys(CATEGORIES, str))
        frame[CATEGORIES] = frame[CATEGORIES].fillna("-1")
        frame[INTEGERS] = frame[INTEGERS].fillna(0)
        for name in CATEGORIES:
            frame[name] = LabelEncoder().fit_transform(frame[name])
        frame[INTEGERS] = MinMaxScaler().fit_transform(frame[INTEGERS])
        dense, sparse = frame[INTEGERS].to_numpy(np.float32), frame[CATEGORIES].to_numpy(np.int32)
        return len(dense) if len(dense) == len(sparse) == len(frame["label"].to_numpy(np.float32)) else 0

    return run


def category_codes(log: str, work: str, threads: int) -> Work:
    """The lean recipe: pandas reads categories, their codes and log1p; the arrays stay in memory."""
    import numpy as np
    import pandas as pd

    def run() -> int:
        frame = pd.read_csv(log, sep="\t", header=None, names=NAMES, dtype=dict.fromkeys(CATEGORIES, "category"))
        dense = np.log1p(frame[INTEGERS].fillna(0).clip(lower=0).to_numpy(np.float32))
        sparse = np.column_stack([frame[name].cat.codes.to_numpy(np.int32) for name in CATEGORIES]) + 1
        return len(dense) if len(dense) == len(sparse) == len(frame["label"].to_numpy(np.float32)) else 0

    return run


def fuxictr(log: str, work: str, threads: int) -> Work:
    """FuxiCTR's own processor, fit and transform, to one npz file; the CSV with a header it wants is not timed."""
    import logging

    import numpy as np
    from fuxictr.preprocess import FeatureProcessor  # type: ignore[import-not-found]

    logging.disable(logging.CRITICAL)
    folder = Path(work) / "fuxictr"
    folder.mkdir()
    table_file = folder / "train.csv"
    with open(log) as source, table_file.open("w") as out:
        out.write(",".join(NAMES) + "\n")
        out.writelines(line.replace("\t", ",") for line in source)

    def run() -> int:
        numeric = {"name": INTEGERS, "active": True, "dtype": "float", "type": "numeric", "fill_na": 0}
        categorical = {"name": CATEGORIES, "active": True, "dtype": "str", "type": "categorical", "fill_na": ""}
        processor = FeatureProcessor(
            feature_cols=[numeric, categorical],
            label_col={"name": "label", "dtype": "float"},
            dataset_id="set",
            data_root=f"{folder}/",
        )
        lazy = processor.preprocess(processor.read_data(str(table_file)))
        processor.fit(lazy, rebuild_dataset=True)
        frame = lazy.collect()
        parts = []
        for first in range(0, len(frame), FUXICTR_ROWS):
            part = frame[first : first + FUXICTR_ROWS]
            parts.append(processor.transform({name: part[name].to_numpy() for name in part.columns}))
        arrays: dict[str, Any] = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        np.savez(folder / "train.npz", **arrays)
        return len(frame)

    return run


def _parse(log: str, threads: int, kind: str) -> Work:
    import pyarrow as pa
    from pyarrow import csv

    pa.set_cpu_count(threads)
    pa.set_io_thread_count(threads)
    category = pa.string() if kind == "strings" else pa.dictionary(pa.int32(), pa.string())
    types = dict.fromkeys(("label", *INTEGERS), pa.int64()) | dict.fromkeys(CATEGORIES, category)

    def run() -> int:
        read = csv.ReadOptions(column_names=NAMES, use_threads=threads > 1, block_size=16 << 20)
        convert = csv.ConvertOptions(column_types=types)
        parsed: int = csv.read_csv(log, read, csv.ParseOptions(delimiter="\t"), convert).num_rows
        return parsed

    return run


def arrow_strings(log: str, work: str, threads: int) -> Work:
    """A limit: `pyarrow.csv` parses the text, and nothing else happens."""
    return _parse(log, threads, "strings")


def arrow_dictionaries(log: str, work: str, threads: int) -> Work:
    """A limit: `pyarrow.csv` parses the text into one dictionary per block and column."""
    return _parse(log, threads, "dictionaries")


WORKS: dict[str, Callable[..., Work]] = {
    "nasrec prepare": ours,
    "pandas, LabelEncoder, MinMaxScaler": label_encoder,
    "pandas, category codes, log1p": category_codes,
    "FuxiCTR, fit and transform": fuxictr,
    "limit: pyarrow.csv to dictionaries": arrow_dictionaries,
    "limit: pyarrow.csv to strings": arrow_strings,
}
OURS = "nasrec prepare"
FIRST = 1000  # rows that every work does once before the clock starts: what is imported late is imported then


def warmed(build: Callable[..., Work]) -> Callable[..., Work]:
    """A work after a first time on the first rows of the log."""

    def prepared(log: str, work: str, threads: int) -> Work:
        folder = Path(work) / "first"
        folder.mkdir()
        with open(log, "rb") as source:
            (folder / "log.tsv").write_bytes(b"".join(islice(source, FIRST)))
        build(str(folder / "log.tsv"), str(folder), threads)()
        return build(log, work, threads)

    return prepared


def measured(log: Path, work: Path, rounds: int, threads: int, names: list[str]) -> dict[str, list[Figures]]:
    """Figures of every round, by work."""
    found: dict[str, list[Figures]] = {name: [] for name in names}
    for number in range(rounds):
        for name in random.Random(number).sample(names, len(names)):
            with tempfile.TemporaryDirectory(dir=work) as folder:
                given = {"log": str(log), "work": folder, "threads": threads}
                found[name].append(in_child(Path(__file__), name, given))
            print(f"round {number + 1}: {name}: {found[name][-1].rate:,.0f} rows per CPU s", file=sys.stderr)
    return found


def words(middle: dict[str, Figures]) -> str:
    head = ("", "rows/CPU s", "× ours", "rows/s", "CPU s", "wall s", "peak MiB", "private", "before, CPU s")
    ours_rate = middle[OURS].rate
    lines = []
    for name, f in middle.items():
        rates = (f"{f.rate:,.0f}", f"{f.rate / ours_rate:.2f}", f"{f.rows / f.wall_seconds:,.0f}")
        seconds = (f"{f.cpu_seconds:.2f}", f"{f.wall_seconds:.2f}")
        memory = (f"{f.peak_mib:,.0f}", f"{f.private_mib:,.0f}")
        lines.append((name, *rates, *seconds, *memory, f"{f.before_cpu_seconds:.2f}"))
    return table(head, lines)


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        child({name: warmed(build) for name, build in WORKS.items()}, sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", type=Path, required=True, help="Criteo's format, not compressed")
    parser.add_argument("--work", type=Path, help="folder for what is written; all of it is removed again")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="for the wall time; CPU figures are of one thread")
    parser.add_argument("--only", nargs="+", metavar="TEXT", help="besides ours, the works whose name has a TEXT in it")
    parser.add_argument("--json", action="store_true", help="all rounds and the medians")
    options = parser.parse_args()
    names = [name for name in WORKS if name != "FuxiCTR, fit and transform" or find_spec("fuxictr")]
    if options.only:
        names = [name for name in names if name == OURS or any(text in name for text in options.only)]
    if options.work:
        options.work.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=options.work))
    try:
        rounds = measured(options.log, work, options.rounds, options.threads, names)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    middle = {name: medians(figures) for name, figures in rounds.items()}
    size = options.log.stat().st_size
    if options.json:
        told = {name: [asdict(figures) for figures in every] for name, every in rounds.items()}
        medial = {name: asdict(figures) | {"rows_per_cpu_second": figures.rate} for name, figures in middle.items()}
        facts = {"log": str(options.log), "bytes": size, "threads": options.threads, "machine": machine()}
        print(json.dumps(facts | {"medians": medial, "rounds": told}, indent=2))
        return
    on = machine()
    print(f"{options.log.name}: {middle[OURS].rows:,} rows, {size / 1e6:,.0f} MB; threads: {options.threads}")
    print(f"{on['cpu']}, {on['cores']} cores, load {on['load']:.1f}; medians of {options.rounds} rounds\n")
    print(words(middle))


if __name__ == "__main__":
    main()
