"""Search algorithms against random search, without training.

    python benchmarks/algorithms.py --plot algorithms.svg            # two objectives with a known front, 20 seeds
    python benchmarks/algorithms.py --table scores.jsonl --space nasrec-small
    python benchmarks/algorithms.py --short

A table has a line for each architecture that was scored in a supernet and trained from scratch:
`{"architecture": {…}, "supernet": 0.4512, "scratch": 0.4498}`, or the same as CSV with the architecture as JSON.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from known_front import REFERENCE, KnownFront
from measure import machine, table
from scipy.stats import wilcoxon

from nasrec_nni.analysis.style import INK, MUTED, PAPER, SETTINGS, block_colour, new_figure, save
from nasrec_nni.architecture.draw import random_architecture, stream
from nasrec_nni.errors import UserError
from nasrec_nni.plugins import registry
from nasrec_nni.profiling import Sizes, profile
from nasrec_nni.strategies.search import CostLimits, Record, front, run_search, start_search
from nasrec_nni.strategies.search.offline import UNIFORM, agreement, compare, read_table
from nasrec_nni.strategies.search.pareto import hypervolume

ALGORITHMS: dict[str, dict[str, Any]] = {
    "random": {},
    "regularized-evolution": {"population": 32},
    "nsga2": {},
    "predictor": {},
}
SHORT = {"candidates": 48, "seeds": 2, "every": 16, "limit_seeds": 1}
SIZES = Sizes(dense=13, fields=26)
TIGHT = 0.1  # share of random architectures that keep the limit


@dataclass(frozen=True)
class Run:
    """One algorithm at one seed.

    Args:
        algorithm: plug-in.
        seed: of the search.
        at: candidates after which the volumes were taken.
        volumes: hypervolume of what was found by then, in parts of the known front's.
        points: loss and cost of the front at the end.
        own_ms: CPU time of the algorithm for each candidate, evaluation apart.
    """

    algorithm: str
    seed: int
    at: list[int]
    volumes: list[float]
    points: list[tuple[float, ...]]
    own_ms: float


def main(given: list[str] | None = None) -> None:
    options = _options(given)
    if options.table is not None:
        _offline(options)
        return
    problem, algorithms = KnownFront(), {name: ALGORITHMS[name] for name in options.algorithms}
    runs = [_run(problem, name, seed, options) for seed in range(options.seeds) for name in algorithms]
    kept = list(_limited(options))
    summary = [_summary(name, runs) for name in algorithms]
    if options.plot is not None:
        _plot(problem, runs, list(algorithms), options.plot)
    if options.json:
        found = {"machine": machine(), "runs": [asdict(run) for run in runs], "summary": summary, "limits": kept}
        print(json.dumps(found))
        return
    print(_told(summary, runs[0].at, options), *_limits_told(kept), sep="\n")


def _run(problem: KnownFront, name: str, seed: int, options: argparse.Namespace) -> Run:
    began = process_time()
    search = start_search(name, problem.space, seed, ALGORITHMS[name], options.candidates, objectives=2)
    records = run_search(search, problem.evaluate, budget=options.candidates, in_flight=options.in_flight)
    spent = process_time() - began
    began = process_time()
    for record in records:
        problem.evaluate(record.architecture)
    own = spent - (process_time() - began)
    best = hypervolume(problem.front(), REFERENCE)
    at = list(range(options.every, options.candidates + 1, options.every))
    volumes = [hypervolume([one.point or () for one in records[:count]], REFERENCE) / best for count in at]
    points = [one.point or () for one in front(records)]
    return Run(name, seed, at, volumes, points, 1e3 * own / len(records))


def _summary(name: str, runs: Sequence[Run]) -> dict[str, Any]:
    own = [run for run in runs if run.algorithm == name]
    chance = {run.seed: run.volumes[-1] for run in runs if run.algorithm == "random"}
    volumes = np.array([run.volumes for run in own])
    beaten = [run.volumes[-1] > chance[run.seed] for run in own if run.seed in chance]
    differences = [run.volumes[-1] - chance[run.seed] for run in own if run.seed in chance]
    tested = len(differences) > 4 and any(differences)
    return {
        "algorithm": name,
        "mean": volumes.mean(axis=0).tolist(),
        "deviation": volumes.std(axis=0, ddof=1).tolist() if len(own) > 1 else [0.0] * volumes.shape[1],
        "better_than_random": sum(beaten),
        "seeds": len(own),
        "p": float(wilcoxon(differences, alternative="greater").pvalue) if tested else None,
        "own_ms": float(np.mean([run.own_ms for run in own])),
    }


def _told(summary: Sequence[dict[str, Any]], at: Sequence[int], options: argparse.Namespace) -> str:
    shown = sorted({len(at) // 3 - 1, 2 * len(at) // 3 - 1, len(at) - 1} - {-1})
    head = ["algorithm", *(f"HV at {at[one]}" for one in shown), "sd", "beats random", "p", "ms/candidate"]
    lines = []
    for one in summary:
        chance = one["algorithm"] == "random"
        lines.append([
            one["algorithm"], *(f"{one['mean'][at_]:.3f}" for at_ in shown), f"{one['deviation'][-1]:.3f}",
            "" if chance else f"{one['better_than_random']} of {one['seeds']}",
            "" if chance or one["p"] is None else f"{one['p']:.1g}", f"{one['own_ms']:.1f}",
        ])  # fmt: skip
    title = f"hypervolume in parts of the known front's, mean of {options.seeds} seeds, in_flight {options.in_flight}"
    return f"{title}\n\n{table(head, lines)}\n"


def _limited(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Searches under a limit that few random architectures keep: what was proposed, and how much of it breaks it."""
    problem = KnownFront()
    generator = stream(0, "limit", 0)
    drawn = [profile(random_architecture(problem.space, generator), SIZES).live_macs for _ in range(300)]
    limit = float(np.quantile(drawn, TIGHT))
    excess = CostLimits({"max_macs": limit}, SIZES)
    for name in options.algorithms:
        records: list[Record] = []
        for seed in range(options.limit_seeds):
            search = start_search(
                name, problem.space, seed, ALGORITHMS[name], options.candidates, objectives=2, excess=excess
            )
            records += run_search(search, problem.evaluate, budget=options.candidates, in_flight=options.in_flight)
        macs = [profile(record.architecture, SIZES).live_macs for record in records]
        over = sum(count > limit for count in macs)
        yield {"algorithm": name, "limit": limit, "proposed": len(macs), "over": over, "most": max(macs)}


def _limits_told(kept: Sequence[dict[str, Any]]) -> list[str]:
    lines = [[one["algorithm"], f"{one['proposed']}", f"{one['over']}", f"{one['most']:,}"] for one in kept]
    limit = f"{kept[0]['limit']:,.0f}"
    title = f"max_macs {limit}, which {TIGHT:.0%} of random architectures keep (13 dense columns, 26 fields)"
    return [title, "", table(["algorithm", "proposed", "over the limit", "most live MACs"], lines)]


def _plot(problem: KnownFront, runs: Sequence[Run], names: Sequence[str], path: Path) -> None:
    import matplotlib

    with matplotlib.rc_context(SETTINGS):
        figure = new_figure(9.6, 4.0)
        figure.subplots_adjust(left=0.07, right=0.985, top=0.89, bottom=0.13, wspace=0.2)
        left, right = figure.subplots(1, 2)
        for number, name in enumerate(names):
            colour = MUTED if name == "random" else block_colour(number)
            own = [run for run in runs if run.algorithm == name]
            volumes = np.array([run.volumes for run in own])
            middle, spread = volumes.mean(axis=0), volumes.std(axis=0)
            left.plot(own[0].at, middle, color=colour, lw=1.9, label=name)
            left.fill_between(own[0].at, middle - spread, middle + spread, color=colour, alpha=0.15, lw=0)
            median = sorted(own, key=lambda run: run.volumes[-1])[len(own) // 2]
            loss, cost = np.array(median.points).T
            right.plot(cost, loss, "o", ms=4.5, color=colour, mew=0, alpha=0.9, label=name)
        true = np.array(problem.front())
        right.plot(true[:, 1], true[:, 0], color=INK, lw=1.1, label="known front", zorder=1)
        right.set_ylim(-0.08, REFERENCE[0])
        _dress(left, "candidates", "hypervolume, share of the known front's", f"mean ± deviation of {len(own)} seeds")
        _dress(right, "cost", "loss", "fronts found, each algorithm's median seed")
        left.legend(loc="upper left", fontsize=8, frameon=False, labelcolor=INK)
        right.legend(loc="upper right", fontsize=8, frameon=False, labelcolor=INK)
        save(figure, path, "algorithms")


def _dress(axes: Any, across: str, up: str, title: str) -> None:
    axes.set_facecolor(PAPER)
    axes.set_xlabel(across, color=INK)
    axes.set_ylabel(up, color=INK)
    axes.set_title(title, loc="left", fontsize=9.5, color=INK)
    axes.grid(True, color=MUTED, alpha=0.25, lw=0.6)
    axes.tick_params(colors=INK, labelsize=8.5)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(MUTED)


def _offline(options: argparse.Namespace) -> None:
    space = registry("search_spaces").load(options.space).with_sizes(blocks=options.blocks)
    rows = read_table(options.table, space)
    budget = min(options.candidates, max(2, len(rows) // 3))
    first = max(2, budget // 3)
    small = {"regularized-evolution": "population", "nsga2": "population", "predictor": "first"}
    algorithms = {name: {small[name]: first} if name in small else {} for name in options.algorithms}
    outcomes = compare(rows, space, {UNIFORM: {}} | algorithms, budget=budget, seeds=range(options.seeds))
    if options.json:
        found = {"rows": len(rows), "budget": budget, "tau": agreement(rows)}
        print(json.dumps(found | {"outcomes": [asdict(one) for one in outcomes]}))
        return
    print(f"{len(rows)} architectures, {budget} scored, mean of {options.seeds} seeds; tau {agreement(rows):.2f}\n")
    lines = [
        [one.algorithm, f"{one.best_supernet:.5f}", f"{one.regret:.5f}", f"{one.deviation:.5f}", f"{one.found:.0%}"]
        for one in outcomes
    ]
    print(table(["algorithm", "best supernet score", "regret from scratch", "sd", "finds the best"], lines))


def _options(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--algorithms", nargs="+", default=list(ALGORITHMS), choices=list(ALGORITHMS))
    parser.add_argument("--candidates", type=int, default=300, help="of each search")
    parser.add_argument("--seeds", type=int, default=20, help="searches of each algorithm")
    parser.add_argument("--in-flight", type=int, default=4, help="candidates asked before one is told")
    parser.add_argument("--every", type=int, default=15, help="candidates between two looks at the hypervolume")
    parser.add_argument("--limit-seeds", type=int, default=3, help="searches of each algorithm under a limit")
    parser.add_argument("--table", type=Path, help="scores of architectures, .jsonl or .csv: replay on these instead")
    parser.add_argument("--space", default="nasrec-small", help="of the table")
    parser.add_argument("--blocks", type=int, help="of the table's architectures, if not the space's own")
    parser.add_argument("--plot", type=Path, help="picture, .svg or .png")
    parser.add_argument("--json", action="store_true", help="everything, for programs")
    parser.add_argument("--short", action="store_true", help="a few small searches")
    options = parser.parse_args(given)
    if options.short:
        parser.set_defaults(**SHORT)
        options = parser.parse_args(given)
    if not 0 < options.every <= options.candidates or options.seeds < 1:
        parser.error("--every must be from 1 to --candidates, and --seeds 1 or more")
    return options


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        raise SystemExit(f"error: {error.message}") from None
