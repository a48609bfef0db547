"""Scoring one candidate from a trained supernet: its parts, its memory, and a bare forward pass over the same rows.

    python benchmarks/candidate.py                                                 # a cut budget
    python benchmarks/candidate.py --head-rows 256000 --score-rows 1228800         # the published one
    python benchmarks/candidate.py --short

Rows of Criteo's shape and supernets with random weights are made for the occasion. Every measurement is a process of
its own, which has loaded the supernet before the clock starts; rounds go through the works in another order each time.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import mean, median
from time import process_time
from typing import Any

import numpy as np
import torch
from breakdown import added, in_words, profiled, shares
from measure import Figures, child, in_child, machine, medians, table
from safetensors.torch import save_file
from steps import (
    AUTHORS_DLRM,
    CAP,
    DENSE,
    RECIPE,
    Supernet,
    batches,
    described,
    heading,
    interleaved,
    middle,
    parsed,
    sgemm,
    size_options,
    sizes_of_space,
    space_sizes,
)
from yardstick import Yardstick

from nasrec_nni.architecture.value import Architecture
from nasrec_nni.config import SearchConfig
from nasrec_nni.data.batch import Batch
from nasrec_nni.data.loader import Batches
from nasrec_nni.data.prepared import PreparedSet
from nasrec_nni.data.schema import DenseColumn, Schema, SparseColumn
from nasrec_nni.data.sources.criteo import ROWS
from nasrec_nni.data.transforms import Transform
from nasrec_nni.evaluation.evaluator import CHUNKS, Evaluator
from nasrec_nni.evaluation.supernet import WEIGHTS, SupernetFacts
from nasrec_nni.metrics import auc
from nasrec_nni.profiling import profile
from nasrec_nni.strategies.sampling import architectures
from nasrec_nni.threads import set_threads

PUBLISHED = {"head_rows": 256_000, "score_rows": 1_228_800}
AUTHORS = {"nasrec-full": 4760.0, "nasrec-small": 1380.0}  # CPU seconds of their code at the published budget
BARE = "bare forward"
ATTENTION, OTHER = "attn", "efc"
SHORT = {"candidates": 2, "rounds": 1, "head_rows": 8192, "score_rows": 16_384, "heads": ["lbfgs"]}
DRAWN = 100  # architectures, of which those of mean work are scored
WRITTEN = 65_536  # rows made at once
CHUNK = CHUNKS["cpu"]  # rows of a bare forward pass
Work = Callable[[], "int | tuple[int, dict[str, Any]]"]


def made_set(folder: Path, splits: dict[str, int]) -> PreparedSet:
    """A prepared set of random rows, written if it is not there; its files have no hashes."""
    rows = sum(splits.values())
    if not (folder / "label.npy").exists():
        shapes: dict[str, tuple[Any, tuple[int, ...]]] = {
            "dense": (np.float32, (rows, DENSE)),
            "sparse": (np.int32, (rows, len(ROWS))),
            "label": (np.float32, (rows,)),
        }
        arrays = {
            name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", kind, shape)
            for name, (kind, shape) in shapes.items()
        }
        for number, first in enumerate(range(0, rows, WRITTEN)):
            part = batches(min(WRITTEN, rows - first), 1, seed=number)[0]
            for name, array in arrays.items():
                array[first : first + WRITTEN] = getattr(part, name).numpy()
        first = 0
        for name, size in splits.items():
            np.save(folder / f"split-{name}.npy", np.arange(first, first + size))
            first += size
    dense = tuple(DenseColumn(f"I{number}", Transform("identity"), "made") for number in range(1, DENSE + 1))
    sparse = tuple(SparseColumn(f"C{number}", size, 1, "made") for number, size in enumerate(ROWS, 1))
    sizes = {name: {"rows": size, "clicks": 0} for name, size in splits.items()}
    manifest = {"fingerprint": "made", "facts": {}, "files": {}, "splits": sizes}
    return PreparedSet(folder, Schema("label", dense, sparse), manifest)


def made_supernet(folder: Path, name: str, cap: int, sizes: dict[str, Any]) -> None:
    """A supernet with random weights, as its training leaves it."""
    space = Supernet(name, cap, **sizes).space
    folder.mkdir()
    save_file({key: weight.detach().contiguous() for key, weight in space.named_parameters()}, folder / WEIGHTS)
    identity = {"recipe": RECIPE.model_dump(mode="json")}
    SupernetFacts(space.description, space.sizes, space.table, "made", {}, identity).write(folder)


class Stopwatch:
    """When the refit of the last layer began and ended, whatever solver the evaluator calls."""

    def __init__(self) -> None:
        self.began = self.ended = 0.0
        for name, module in list(sys.modules.items()):
            if name.startswith("nasrec_nni.evaluation"):
                for solver in [entry for entry in vars(module) if entry.startswith("fit_")]:
                    setattr(module, solver, self._timed(getattr(module, solver)))

    def _timed(self, fit: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            self.began = process_time()
            found = fit(*arguments, **named)
            self.ended = process_time()
            return found

        return timed


def opened(data: str, splits: dict[str, int], supernet: str, threads: int, **more: str) -> Evaluator:
    set_threads(threads)
    config = SearchConfig.model_validate({"head_rows": splits["train"], "score_rows": splits["val"], **more})
    return Evaluator(Path(supernet), made_set(Path(data), splits), config)


def chosen_from(facts: SupernetFacts, count: int, *, attention: bool = True) -> tuple[list[Architecture], list[int]]:
    """Of the first random architectures those of the most usual size, and their live MACs.

    One candidate may have a tenth or three times the mean work, so a few of them are picked by it: nearest to the mean
    of `DRAWN`. Then another operator stands in attention's place if that is asked for.
    """
    drawn = architectures(facts.space, 0, DRAWN)
    macs = [profile(one, facts.sizes).live_macs for one in drawn]
    usual = mean(macs)
    found = [drawn[at] for at in sorted(range(DRAWN), key=lambda at: abs(macs[at] - usual))[:count]]
    if not attention:
        found = [
            replace(one, blocks=tuple(replace(b, sparse_operator=_other(b.sparse_operator)) for b in one.blocks))
            for one in found
        ]
    return found, [profile(one, facts.sizes).live_macs for one in found]


def _other(operator: str | None) -> str | None:
    return OTHER if operator == ATTENTION else operator


@torch.inference_mode()
def warmed(evaluator: Evaluator, prepared: PreparedSet, one: Architecture) -> None:
    """What a worker does once and not for each candidate: late imports, and the first use of torch's kernels."""
    batch = Batches(prepared, evaluator.score_rows, CHUNK, None).batch(0, 0)
    evaluator.supernet.network(one)(batch.dense, batch.sparse)
    auc(np.array([0.0, 1.0], np.float32), np.array([0.0, 1.0], np.float32), None)


def candidate(
    data: str,
    splits: dict[str, int],
    supernet: str,
    count: int,
    threads: int,
    head: str,
    features: str,
    attention: bool = True,
) -> Work:
    """Scores the chosen architectures; seconds of its parts are sums over them."""
    evaluator = opened(data, splits, supernet, threads, head=head, features=features)
    watch = Stopwatch()
    chosen, macs = chosen_from(evaluator.supernet.facts, count, attention=attention)
    warmed(evaluator, made_set(Path(data), splits), chosen[0])

    def run() -> tuple[int, dict[str, Any]]:
        parts = {"features": 0.0, "head": 0.0, "scoring": 0.0}
        for one in chosen:
            began = process_time()
            score = evaluator.evaluate(one)
            end = process_time()
            if not began <= watch.began <= watch.ended <= end:
                raise RuntimeError("the evaluator called no solver that the stopwatch knows")
            parts["features"] += watch.began - began
            parts["head"] += watch.ended - watch.began
            parts["scoring"] += end - watch.ended
        return count * (score.head_rows + score.score_rows), parts | {"macs": macs}

    return run


def bare(data: str, splits: dict[str, int], supernet: str, count: int, threads: int) -> Work:
    """The frozen networks of the same architectures run once over the same rows, and nothing else.

    Before the clock starts, the profiler looks at what fills a chunk of each.
    """
    evaluator = opened(data, splits, supernet, threads)
    chosen, macs = chosen_from(evaluator.supernet.facts, count)
    prepared = made_set(Path(data), splits)
    sources = [Batches(prepared, rows, CHUNK, None) for rows in (evaluator.head_rows, evaluator.score_rows)]
    fills = []
    with torch.inference_mode():
        batch = sources[-1].batch(0, 0)
        for one in chosen:
            network = evaluator.supernet.network(one)
            network(batch.dense, batch.sparse)
            fills.append(shares(profiled(lambda network=network: network(batch.dense, batch.sparse))))  # type: ignore[misc]

    @torch.inference_mode()
    def run() -> tuple[int, dict[str, Any]]:
        rows = 0
        for one in chosen:
            network = evaluator.supernet.network(one)
            for source in sources:
                for step in range(len(source)):
                    batch = source.batch(0, step)
                    rows += len(network(batch.dense, batch.sparse))
        return rows, {"macs": macs, "shares": added(fills)}

    return run


WORKS: dict[str, Callable[..., Work]] = {"candidate": candidate, "bare": bare}


def looked(yardstick: Yardstick, source: Sequence[Batch]) -> dict[str, float]:
    """sgemm's GFLOP/s and a DLRM step's ms just now; the host's other guests move both within minutes."""
    return {"gflops": sgemm(), "dlrm_ms": middle(interleaved({"": yardstick}, source, 5)[""]).cpu}


def measured(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    splits = {"train": options.head_rows, "val": options.score_rows, "test": 1}
    data = work / "data"
    data.mkdir()
    print("making rows", file=sys.stderr)
    made_set(data, splits)
    found: dict[str, Any] = {}
    yardstick, source = Yardstick(options.rows), batches(512)
    for space in options.spaces:
        print(f"{space}: making a supernet", file=sys.stderr)
        made_supernet(work / space, space, options.rows, space_sizes(options))
        given = {"data": str(data), "splits": splits, "supernet": str(work / space)}
        given |= {"count": options.candidates, "threads": options.threads}
        works: dict[str, tuple[str, dict[str, Any]]] = {}
        for head in options.heads:
            works[f"candidate, {head}"] = "candidate", {"head": head, "features": options.features}
        if ATTENTION in described(space).sparse_operators:
            first = {"head": options.heads[0], "features": options.features, "attention": False}
            works[f"candidate, {options.heads[0]}, {OTHER} for {ATTENTION}"] = "candidate", first
        works[BARE] = "bare", {}
        rounds: dict[str, list[Figures]] = {name: [] for name in works}
        after = looked(yardstick, source)
        for number in range(options.rounds):
            for name in random.Random(number).sample(list(works), len(works)):
                work_name, more = works[name]
                figures = in_child(Path(__file__), work_name, given | more)
                before, after = after, looked(yardstick, source)
                figures.extra |= {key: (before[key] + after[key]) / 2 for key in after}
                rounds[name].append(figures)
                print(f"{space}, round {number + 1}: {name}: {figures.cpu_seconds:.1f} s", file=sys.stderr)
        found[space] = {name: [asdict(figures) for figures in every] for name, every in rounds.items()}
    yardstick.close()
    keys = ("head_rows", "score_rows", "rows", "candidates", "rounds", "heads", "features", "threads")
    facts = {key: getattr(options, key) for key in keys}
    return {"spaces": found, "options": facts, "machine": machine()}


def speed(one: Figures, rows: int) -> tuple[float, float]:
    """GFLOP/s of the frozen part, in seconds without the head's fit, and their share of sgemm's at that time."""
    rate = 2e-9 * sum(one.extra["macs"]) * rows / (one.cpu_seconds - one.extra.get("head", 0.0))
    return rate, rate / one.extra["gflops"]


def sgemms(found: dict[str, Any]) -> float:
    """The median of all looks at sgemm's speed."""
    every = [one for works in found["spaces"].values() for figures in works.values() for one in figures]
    return median(one["extra"]["gflops"] for one in every)


def words(found: dict[str, Any]) -> str:
    """CPU seconds a candidate."""
    options = found["options"]
    count, rows = options["candidates"], options["head_rows"] + options["score_rows"]
    seconds_head = ("a candidate", "CPU s", "× bare", "features", "head fit", "scoring", "wall s")
    head = (*seconds_head, "GFLOP/s", "of sgemm", "peak MiB", "private", "before")
    texts = []
    for space, works in found["spaces"].items():
        figures = {name: [Figures(**one) for one in every] for name, every in works.items()}
        middle_of = {name: medians(every) for name, every in figures.items()}
        lines = []
        for name, f in middle_of.items():
            parts = [f"{f.extra[key] / count:.2f}" if key in f.extra else "" for key in ("features", "head", "scoring")]
            rates, shares_of = zip(*(speed(one, rows) for one in figures[name]), strict=True)
            seconds = (f"{f.cpu_seconds / count:.2f}", f"{f.cpu_seconds / middle_of[BARE].cpu_seconds:.2f}", *parts)
            memory = (f.peak_mib, f.private_mib, f.before_peak_mib)
            work = (f"{f.wall_seconds / count:.2f}", f"{median(rates):.0f}", f"{median(shares_of):.0%}")
            lines.append((name, *seconds, *work, *(f"{mib:,.0f}" for mib in memory)))
        text = f"{space}\n\n{table(head, lines)}"
        macs = sum(middle_of[BARE].extra["macs"])
        floor = 2e-9 * macs / count * rows / sgemms(found)
        text += f"\n\n{1e-6 * macs / count:.2f} M live MACs on average; floor by sgemm {floor:.2f} s"
        text += f"\nforward pass under the profiler: {in_words(middle_of[BARE].extra['shares'])}"
        if {key: options[key] for key in PUBLISHED} == PUBLISHED and space in AUTHORS:
            name = next(iter(works))
            own = median(1e3 * one.cpu_seconds / count / one.extra["dlrm_ms"] for one in figures[name])
            theirs = 1e3 * AUTHORS[space] / AUTHORS_DLRM
            text += f"\n{name}, in steps of DLRM: {own:,.0f}, the authors' code {theirs:,.0f}: {theirs / own:.1f} times"
        texts.append(text)
    return "\n\n".join(texts)


def main(given: list[str] | None = None) -> None:
    given = sys.argv[1:] if given is None else given
    if given[:1] == ["--child"]:
        child(WORKS, given[1:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size_options(parser, batch=None)
    sizes_of_space(parser)
    parser.add_argument("--spaces", nargs="+", default=["nasrec-full", "nasrec-small"])
    parser.add_argument("--head-rows", type=int, default=16_384, help="training rows of the last layer's refit")
    parser.add_argument("--score-rows", type=int, default=32_768, help="validation rows scored")
    parser.add_argument("--heads", nargs="+", default=["lbfgs", "newton", "adagrad"], help="solvers of the last layer")
    parser.add_argument("--features", default="float32", help="how its inputs are kept: float32, bfloat16")
    parser.add_argument("--candidates", type=int, default=4, help="architectures of mean work scored in each process")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=CAP, help="table rows of a field at most")
    parser.add_argument("--work", type=Path, help="folder for what is made; all of it is removed again")
    options = parsed(parser, given, SHORT)
    if options.work:
        options.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        found = measured(options, Path(folder))
    if options.json:
        print(json.dumps(found, indent=2))
        return
    print(heading(found["machine"], [sgemms(found)]))
    o = found["options"]
    print(
        f"last layer on {o['head_rows']:,} rows, score on {o['score_rows']:,}; {o['candidates']} candidates a process\n"
    )
    print(words(found))


if __name__ == "__main__":
    main()
