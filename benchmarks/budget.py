"""How far the budget of a candidate can be cut while a trained supernet's ranking of candidates stays the same.

    nasrec cp movielens && nasrec supernet movielens.yaml --out RUN data.inputs=[FOLDER]
    python benchmarks/budget.py --run RUN
    python benchmarks/budget.py --run RUN --retrained RANDOM    # beside training from scratch, see the README
    python benchmarks/budget.py --short                         # a made-up log and a tiny supernet

Features of the largest budget's rows are computed once for each candidate; every budget takes from them the rows that
the evaluator would take, fits the last layer as it would and scores as it would.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean as average
from time import process_time
from typing import Any

import numpy as np
import torch
from measure import machine, table
from numpy.typing import NDArray
from scipy.stats import kendalltau
from steps import heading, parsed, sgemm
from torch import Tensor

from nasrec_nni.architecture.value import Architecture
from nasrec_nni.config import SearchConfig
from nasrec_nni.config_file import load_config, parse_config
from nasrec_nni.data.loader import Batches, labels_of
from nasrec_nni.data.prepare import prepare
from nasrec_nni.data.prepared import PreparedSet
from nasrec_nni.evaluation.cache import KINDS, Cache, cached
from nasrec_nni.evaluation.evaluator import CHUNKS, Evaluator, refitted, shared_head
from nasrec_nni.evaluation.logistic import Logistic
from nasrec_nni.evaluation.rows import HEAD_STREAM, SCORE_STREAM, shuffled, subset
from nasrec_nni.evaluation.supernet import Supernet
from nasrec_nni.metrics import auc, mean, row_losses
from nasrec_nni.network import NASRecNetwork
from nasrec_nni.pipeline.retrain import read_results
from nasrec_nni.pipeline.space import random_architectures
from nasrec_nni.run_folder import RunFolder
from nasrec_nni.strategies.one_shot.train import train_supernet

HEADS = ("newton", "lbfgs", "adagrad")
TOP = 5
CHECKED = 2  # candidates that the evaluator itself scores too
SHORT = {"candidates": 3, "most": 4000, "head_rows": [2000, 500], "score_rows": [500], "made": 6000}


@dataclass(frozen=True)
class Way:
    """How a last layer is refitted; on the rows of the largest budget if `head_rows` is None."""

    head: str
    features: str
    head_rows: int | None

    @property
    def config(self) -> SearchConfig:
        rows = {} if self.head_rows is None else {"head_rows": self.head_rows}
        return SearchConfig.model_validate({"head": self.head, "features": self.features, **rows})


@dataclass(frozen=True)
class Found:
    """One candidate in one way.

    Args:
        id: of the architecture.
        losses: log loss by number of scored rows, the largest is all of them.
        auc: the same.
        train_loss: mean log loss of the rows the last layer was fitted on.
        fit_seconds: CPU time of the fit.
        row_seconds: CPU time of the frozen part for one row.
        scoring_seconds: CPU time of log loss and AUC for one row.
        passes: over the cached features; None for Adagrad's steps.
    """

    id: str
    losses: dict[int, float]
    auc: dict[int, float | None]
    train_loss: float
    fit_seconds: float
    row_seconds: float
    scoring_seconds: float
    passes: int | None


class Passes:
    """Counts the passes of the convex solvers."""

    def __init__(self) -> None:
        self.count = 0
        call = Logistic.__call__

        def counted(loss: Logistic, vector: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            self.count += 1
            return call(loss, vector)

        Logistic.__call__ = counted  # type: ignore[method-assign]
        self._call = call

    def restore(self) -> None:
        Logistic.__call__ = self._call  # type: ignore[method-assign]


class Measured:
    """Candidates of one supernet under many budgets.

    Args:
        supernet: trained.
        prepared: its set.
        seed: of the run: the evaluator picks its rows by it.
        most: training rows of the largest budget.
        scored: numbers of validation rows; all of them are always scored too.
    """

    def __init__(self, supernet: Path, prepared: PreparedSet, seed: int, most: int, scored: Iterable[int]) -> None:
        self.supernet = Supernet(supernet)
        self.seed = seed
        rows, val = prepared.rows("train"), prepared.rows("val")
        self._split = np.arange(len(rows))
        self._places = subset(self._split, most, seed, HEAD_STREAM)
        self.train = rows[self._places]
        self.shift = float(np.log(prepared.negative_rate))
        self._train = Batches(prepared, self.train, CHUNKS["cpu"], None)
        self._val = Batches(prepared, val, CHUNKS["cpu"], None)
        self.truth, self.weight = labels_of(prepared, val)
        everything = np.arange(len(val))
        counts = sorted({min(count, len(val)) for count in scored} | {len(val)})
        self._scored = {count: subset(everything, count, seed, SCORE_STREAM) for count in counts}

    @torch.inference_mode()
    def candidate(self, architecture: Architecture, ways: Sequence[Way]) -> Iterator[tuple[Way, Found]]:
        """The candidate in every way, from one pass of its frozen part."""
        network = self.supernet.network(architecture)
        start = shared_head(network)
        began = process_time()
        train = _features(network, self._train, len(self.train), len(start) - 1)
        val = _features(network, self._val, len(self.truth), len(start) - 1)
        row_seconds = (process_time() - began) / (len(self.train) + len(self.truth))
        passes = Passes()
        try:
            for way in ways:
                cache = self._cache(train, way)
                passes.count, began = 0, process_time()
                head, _ = refitted(cache, start, way.config, self.shift)
                fit_seconds = process_time() - began
                train_loss = _loss_on(cache, head)
                losses, aucs, scoring = self._scores(val.features, head)
                convex = None if way.head == "adagrad" else passes.count
                facts = (train_loss, fit_seconds, row_seconds, scoring, convex)
                yield way, Found(architecture.id, losses, aucs, *facts)
        finally:
            passes.restore()

    def _cache(self, train: Cache, way: Way) -> Cache:
        """The rows of the refit as the evaluator has them, in its order."""
        rows = np.arange(len(self.train))
        if way.head_rows is not None:  # part of the largest budget's, as smaller subsets are
            rows = np.searchsorted(self._places, subset(self._split, way.head_rows, self.seed, HEAD_STREAM))
        rows = shuffled(rows, self.seed) if way.head == "adagrad" else rows
        if len(rows) == len(self.train) and way.head != "adagrad":
            return Cache(train.features.to(KINDS[way.features]), train.labels, train.weight)
        chosen = torch.from_numpy(rows)
        features = torch.empty(len(rows), train.features.shape[1], dtype=KINDS[way.features])
        for first in range(0, len(rows), 8192):
            features[first : first + 8192] = train.features[chosen[first : first + 8192]]
        return Cache(features, train.labels[chosen], None if train.weight is None else train.weight[chosen])

    def _scores(self, features: Tensor, head: Tensor) -> tuple[dict[int, float], dict[int, float | None], float]:
        logits = torch.addmv(head[-1].expand(len(features)), features, head[:-1]).numpy()
        began = process_time()
        losses, aucs = {}, {}
        each = row_losses(self.truth, logits)
        for count, rows in self._scored.items():
            weight = None if self.weight is None else self.weight[rows]
            losses[count] = mean(each[rows], weight)
            aucs[count] = auc(self.truth[rows], logits[rows], weight)
        return losses, aucs, (process_time() - began) / sum(self._scored)


def _features(network: NASRecNetwork, batches: Batches, rows: int, width: int) -> Cache:
    parts = (batches.batch(0, step) for step in range(len(batches)))
    return cached(network, parts, rows, width, torch.float32)


def _loss_on(cache: Cache, head: Tensor) -> float:
    """Mean log loss of the cached rows, by parts."""
    losses = []
    for first in range(0, len(cache.labels), 8192):
        x = cache.features[first : first + 8192].to(head)
        logits = torch.addmv(head[-1].expand(len(x)), x, head[:-1])
        losses.append(row_losses(cache.labels[first : first + 8192].numpy(), logits.numpy()))
    weight = None if cache.weight is None else cache.weight.numpy()
    return mean(np.concatenate(losses), weight)


def ways(options: argparse.Namespace, rows: int) -> list[Way]:
    """Each head on the rows of the largest budget and on every cut; other kinds of features on one middle cut."""
    cuts: list[int | None] = [*sorted({count for count in options.head_rows if count < rows}, reverse=True)]
    first, *others = options.features
    found = [Way(head, first, cut) for head in options.heads for cut in [None, *cuts]]
    return found + [Way(head, kind, cuts[len(cuts) // 2]) for kind in others for head in options.heads if cuts]


def measured(options: argparse.Namespace, supernet: Path, prepared: PreparedSet, seed: int) -> dict[str, Any]:
    """Every candidate in every way; the first ones by the evaluator too."""
    work = Measured(supernet, prepared, seed, options.most, options.score_rows)
    chosen = random_architectures(work.supernet.facts.space, seed, options.candidates)
    wanted = ways(options, len(work.train))
    found: dict[Way, list[Found]] = {way: [] for way in wanted}
    checks, gflops = [], []
    for number, one in enumerate(chosen, 1):
        gflops.append(sgemm())
        for way, result in work.candidate(one, wanted):
            found[way].append(result)
        if number <= CHECKED:
            checks.append(_checked(supernet, prepared, seed, one, wanted[-1], found[wanted[-1]][-1]))
        print(f"{number}/{len(chosen)} {one.id}", file=sys.stderr, flush=True)
    truth = scratch(options.retrained) if options.retrained else {}
    return {
        "rows": {"train": len(work.train), "val": len(work.truth)},
        "ways": [asdict(way) | {"candidates": [asdict(one) for one in every]} for way, every in found.items()],
        "checks": checks,
        "retrained": {key: value for key, value in truth.items() if key in {one.id for one in chosen}},
        "gflops": gflops,
        "machine": machine(),
    }


def _checked(
    folder: Path, prepared: PreparedSet, seed: int, one: Architecture, way: Way, found: Found
) -> dict[str, float]:
    """The evaluator's own score and time of one candidate beside those put together here."""
    rows = {"head_rows": way.head_rows or len(prepared.rows("train")), "score_rows": min(found.losses)}
    evaluator = Evaluator(folder, prepared, SearchConfig.model_validate(way.config.model_dump() | rows), seed)
    evaluator.evaluate(one)
    score = evaluator.evaluate(one)
    seconds = _seconds(found, rows["head_rows"], rows["score_rows"])
    return {
        "loss": score.log_loss,
        "here": found.losses[rows["score_rows"]],
        "seconds": score.cpu_seconds,
        "seconds_here": seconds,
    }


def scratch(folder: Path) -> dict[str, float]:
    """Mean validation log loss over seeds of the architectures a run has trained from scratch."""
    every: dict[str, list[float]] = {}
    for result in read_results(RunFolder.open(folder)):
        if result.architecture is not None:
            every.setdefault(result.architecture, []).append(result.val_log_loss)
    return {key: average(values) for key, values in every.items()}


def _seconds(one: Found, head_rows: int, score_rows: int) -> float:
    return one.row_seconds * (head_rows + score_rows) + one.fit_seconds + one.scoring_seconds * score_rows


@dataclass(frozen=True)
class Line:
    """One budget beside the largest.

    Args:
        tau: Kendall's, with the same head and the largest budget.
        tau_other: the first head's at the largest budget.
        top: how many of the best five are among the best five.
        regret: log loss of the budget's pick above the best one's, both at the largest budget, in nats.
        seconds: CPU time of a candidate.
        passes: over the features, mean.
        loss: of validation, mean over candidates.
        train_loss: of the rows the last layer was fitted on.
        tau_scratch: with training from scratch; None without.
    """

    head: str
    features: str
    head_rows: int
    score_rows: int
    tau: float
    tau_other: float
    top: int
    regret: float
    seconds: float
    passes: float | None
    loss: float
    train_loss: float
    tau_scratch: float | None


def lines(found: dict[str, Any]) -> list[Line]:
    """All budgets of all heads and features, in the order of measuring."""
    rows = found["rows"]
    full = {way["head"]: _column(way, rows["val"]) for way in found["ways"] if way["head_rows"] is None}
    other = next(iter(full.values()))
    result = []
    for way in found["ways"]:
        best = full[way["head"]]
        every = [
            Found(**(one | {"losses": {int(k): v for k, v in one["losses"].items()}})) for one in way["candidates"]
        ]
        head_rows = way["head_rows"] or rows["train"]
        for count in sorted(every[0].losses, reverse=True):
            column = _column(way, count)
            truth = [
                (column[at], found["retrained"][one.id]) for at, one in enumerate(every) if one.id in found["retrained"]
            ]
            counted = [one.passes for one in every if one.passes is not None]
            result.append(
                Line(
                    head=way["head"],
                    features=way["features"],
                    head_rows=head_rows,
                    score_rows=count,
                    tau=_tau(column, best),
                    tau_other=_tau(column, other),
                    top=len(set(np.argsort(column)[:TOP]) & set(np.argsort(best)[:TOP])),
                    regret=float(best[np.argmin(column)] - best.min()),
                    seconds=average(_seconds(one, head_rows, count) for one in every),
                    passes=average(counted) if counted else None,
                    loss=float(column.mean()),
                    train_loss=average(one.train_loss for one in every),
                    tau_scratch=_tau(*np.array(truth).T) if len(truth) > 2 else None,
                )
            )
    return result


def _column(way: dict[str, Any], count: int) -> NDArray[np.float64]:
    """Log losses of all candidates on so many rows; keys are words once they were JSON."""
    return np.array([{int(k): v for k, v in one["losses"].items()}[count] for one in way["candidates"]])


def _tau(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(kendalltau(one, other).statistic)


def words(found: dict[str, Any]) -> str:
    """A table of all budgets, and how the figures put together here agree with the evaluator's."""
    head = ("head, features", "head rows", "score rows", "τ", "τ first", f"top {TOP}", "regret", "loss", "train loss")
    head += ("passes", "CPU s", "τ scratch")
    cells = []
    for line in lines(found):
        cells.append(
            (
                f"{line.head}, {line.features}",
                f"{line.head_rows:,}",
                f"{line.score_rows:,}",
                f"{line.tau:.3f}",
                f"{line.tau_other:.3f}",
                f"{line.top}",
                f"{line.regret:.5f}",
                f"{line.loss:.5f}",
                f"{line.train_loss:.5f}",
                "" if line.passes is None else f"{line.passes:.0f}",
                f"{line.seconds:.2f}",
                "" if line.tau_scratch is None else f"{line.tau_scratch:.3f}",
            )
        )
    text = table(head, cells)
    for check in found["checks"]:
        text += f"\nby the evaluator {check['loss']:.6f} in {check['seconds']:.2f} s, "
        text += f"here {check['here']:.6f} in {check['seconds_here']:.2f} s"
    return text


def made(folder: Path, rows: int, seed: int) -> tuple[Path, PreparedSet]:
    """A small supernet trained for a moment on a made-up log."""
    space = {"name": "nasrec-small", "blocks": 3, "dense_widths": [16, 32], "sparse_rows": [8, 16]}
    recipe = {"preset": "published", "batch": 128}
    config = parse_config({"seed": seed, "threads": 1, "space": space, "supernet": {"recipe": recipe}})
    prepared = prepare("synthetic", [], folder / "data", {"rows": rows}, progress=False)
    train_supernet(config, prepared, folder / "supernet", progress=False)
    return folder / "supernet", prepared


def opened(options: argparse.Namespace) -> tuple[Path, PreparedSet, int]:
    """Supernet, set and seed of a run."""
    run = RunFolder.open(options.run)
    config = load_config(run.config)
    data = run.data if config.data.prepared is None else Path(config.data.prepared)
    return run.supernet, PreparedSet.load(data), config.seed


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="run folder with a trained supernet; without it a tiny one is made")
    parser.add_argument("--retrained", type=Path, help="run folder with random architectures trained from scratch")
    parser.add_argument("--candidates", type=int, default=30, help="random architectures")
    parser.add_argument("--most", type=int, default=256_000, help="training rows of the largest budget")
    cuts = (65_536, 32_768, 16_384, 8_192, 4_096)
    parser.add_argument("--head-rows", type=int, nargs="+", default=cuts, help="cuts of it")
    parser.add_argument("--score-rows", type=int, nargs="+", default=cuts[1:], help="cuts of all validation rows")
    parser.add_argument("--heads", nargs="+", default=HEADS, choices=HEADS)
    parser.add_argument("--features", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--made", type=int, default=100_000, help="rows of the made-up log")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help="of the made-up log and supernet")
    parser.add_argument("--short", action="store_true", help="a few candidates and rows")
    parser.add_argument("--json", action="store_true", help="every figure instead of the table")
    options = parsed(parser, given, SHORT)
    with tempfile.TemporaryDirectory() as folder:
        if options.run:
            found = measured(options, *opened(options))
        else:
            found = measured(options, *made(Path(folder), options.made, options.seed), options.seed)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    print(heading(found["machine"], found["gflops"]))
    print(f"{found['rows']['train']:,} training rows, {found['rows']['val']:,} validation rows\n")
    print(words(found))


if __name__ == "__main__":
    main()
