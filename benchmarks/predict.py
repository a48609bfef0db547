"""Raw rows of Criteo's format to scores by an exported model, beside preparing them: rows a second, peak memory.

    python benchmarks/predict.py                   # 1 million rows, and a quarter of them
    python benchmarks/predict.py --short

The log is `logs.py growing`; the model is trained on nothing: a random architecture of NASRec-Small at its full sizes
(E 16, 7 blocks), and DLRM, with random weights and the log's own vocabulary. Every measurement is a process of its own;
imports, loading the model and a first time on 1,000 rows come before the clock starts. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from logs import growing
from measure import Figures, child, in_child, machine, medians, table

FIRST = 1000  # rows that every work does once before the clock starts
MODELS = ("NASRec-Small", "DLRM")
PREPARE, READ = "nasrec prepare", "read and encode only"
Work = Callable[[], "int | tuple[int, dict[str, Any]]"]


def _first(log: str, folder: Path) -> Path:
    path = folder / "first.tsv"
    with open(log, "rb") as source:
        path.write_bytes(b"".join(islice(source, FIRST)))
    return path


def preparing(log: str, model: str, threads: int) -> Work:
    """`nasrec prepare` with its defaults."""
    import pyarrow as pa

    from nasrec_nni.data.prepare import prepare

    pa.set_cpu_count(threads)
    folder = Path(tempfile.mkdtemp(dir=Path(log).parent))
    prepare("criteo", [_first(log, folder)], folder / "few", progress=False)
    return lambda: len(prepare("criteo", [log], folder / "set", progress=False).label)


def reading(log: str, model: str, threads: int) -> Work:
    """What comes before the network: parsing, looking up, transforming."""
    import pyarrow as pa

    from nasrec_nni.data.sources.raw import Wanted
    from nasrec_nni.export.model import load_model
    from nasrec_nni.export.predict import open_log

    pa.set_cpu_count(threads)
    loaded = load_model(model)
    encoder = loaded.encoder
    wanted = Wanted(tuple(encoder.numbers), tuple(encoder.categories), loaded.schema.label)

    def run(path: str | Path) -> int:
        rows = 0
        for raw in open_log(loaded, [path]).raw_rows(wanted):
            rows += len(encoder.encode(raw.numbers, encoder.texts(raw.categories), raw.rows).dense)
        return rows

    run(_first(log, Path(tempfile.mkdtemp(dir=Path(log).parent))))
    return lambda: run(log)


def predicting(engine: str) -> Callable[..., Work]:
    """`nasrec predict` with an engine."""

    def work(log: str, model: str, threads: int) -> Work:
        import pyarrow as pa

        from nasrec_nni.export.model import load_model
        from nasrec_nni.export.predict import predict_file
        from nasrec_nni.threads import set_threads

        pa.set_cpu_count(threads)
        set_threads(threads)
        loaded = load_model(model, engine=engine, threads=threads)  # type: ignore[arg-type]
        folder = Path(tempfile.mkdtemp(dir=Path(log).parent))
        predict_file(loaded, [_first(log, folder)], folder / "few.parquet", progress=False)

        def run() -> tuple[int, dict[str, Any]]:
            told = predict_file(loaded, [log], folder / "scores.parquet", progress=False)
            return told["rows"], {"log_loss": told["log_loss"], "auc": told["auc"]}

        return run

    return work


WORKS: dict[str, Callable[..., Work]] = {
    PREPARE: preparing,
    READ: reading,
    "predict, torch": predicting("torch"),
    "predict, onnx": predicting("onnx"),
}


def models(log: Path, folder: Path, blocks: int, names: Sequence[str]) -> dict[str, Path]:
    """Exported models on the vocabulary of a log."""
    import torch
    from safetensors.torch import save_file

    from nasrec_nni.baselines.settings import BaselineSettings
    from nasrec_nni.data.prepare import prepare
    from nasrec_nni.export.description import build, hand_made, searched
    from nasrec_nni.export.write import Trained, write_model
    from nasrec_nni.network import TableSettings
    from nasrec_nni.plugins import registry
    from nasrec_nni.profiling import Sizes
    from nasrec_nni.strategies.sampling.sampler import architectures

    prepared = prepare("criteo", [log], folder / "set", progress=False)
    space = registry("search_spaces").load("nasrec-small").with_sizes(blocks=blocks)
    (drawn,) = architectures(space, 0, 1)
    rows, width = prepared.rows_per_field, prepared.dense_width
    described = {
        "NASRec-Small": searched(drawn, Sizes.of(space, width, len(rows), False), TableSettings(rows)),
        "DLRM": hand_made("dlrm", width, rows, BaselineSettings(), {}),
    }
    found = {}
    for name, description in ((name, described[name]) for name in names):
        torch.manual_seed(0)
        weights = folder / "weights.safetensors"
        save_file(dict(build(description, name).state_dict()), weights)
        found[name] = folder / name
        write_model(found[name], Trained(name, description, weights, {}), prepared, ("program",))
        weights.unlink()
    return found


def measured(
    rows: Sequence[int], rounds: int, threads: int, blocks: int, names: Sequence[str], work: Path
) -> list[dict[str, Any]]:
    """A line for each work, model and length of the log."""
    made: dict[str, Path] = {}
    lines = []
    for count in rows:
        log = work / f"log-{count}.tsv"
        growing(count, log)
        made = made or models(log, work, blocks, names)
        for name, build in WORKS.items():
            of = made if build is not preparing and build is not reading else {"": made[names[0]]}
            for model, folder in of.items():
                given = {"log": str(log), "model": str(folder), "threads": threads}
                figures = medians([in_child(Path(__file__), name, given) for _ in range(rounds)])
                print(f"{count:,} rows: {name} {model}: {figures.rate:,.0f} rows per CPU s", file=sys.stderr)
                lines.append({"work": name, "model": model, "log": count, "figures": asdict(figures)})
        log.unlink()
    return lines


def words(found: dict[str, Any]) -> str:
    head = ("", "rows", "rows/CPU s", "× prepare", "rows/s", "CPU s", "wall s", "peak MiB", "before", "private")
    lines = []
    prepare = {line["log"]: Figures(**line["figures"]).rate for line in found["lines"] if line["work"] == PREPARE}
    for line in found["lines"]:
        f = Figures(**line["figures"])
        rates = (f"{f.rate:,.0f}", f"{f.rate / prepare[line['log']]:.2f}", f"{f.rows / f.wall_seconds:,.0f}")
        seconds = (f"{f.cpu_seconds:.2f}", f"{f.wall_seconds:.2f}")
        memory = (f"{f.peak_mib:,.0f}", f"{f.before_peak_mib:,.0f}", f"{f.private_mib:,.0f}")
        lines.append((f"{line['work']} {line['model']}".strip(), f"{f.rows:,}", *rates, *seconds, *memory))
    return table(head, lines)


def main(given: Sequence[str] | None = None) -> None:
    given = sys.argv[1:] if given is None else given
    if given[:1] == ["--child"]:
        child(WORKS, list(given[1:]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rows", type=int, nargs="+", default=[1_000_000, 250_000], help="the first makes the vocabulary"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--blocks", type=int, default=7)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--work", type=Path, help="folder for what is written; all of it is removed again")
    parser.add_argument("--short", action="store_true", help="a fifth of the rows, once")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(given)
    rows = [count // 5 for count in options.rows] if options.short else options.rows
    if options.work:
        options.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        rounds = 1 if options.short else options.rounds
        lines = measured(rows, rounds, options.threads, options.blocks, options.models, Path(folder))
    found = {"threads": options.threads, "rounds": rounds, "machine": machine(), "lines": lines}
    if options.json:
        print(json.dumps(found, indent=2))
        return
    on = found["machine"]
    print(f"{on['cpu']}, {on['cores']} cores, load {on['load']:.1f}; threads {options.threads}; medians of {rounds}\n")
    print(words(found))


if __name__ == "__main__":
    main()
