"""Several runs on one prepared set side by side: what differs, all models in one table, paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import log10
from typing import Any

from nasrec_nni.analysis.html import shown
from nasrec_nni.analysis.leaderboard import Standing, first_eligible
from nasrec_nni.analysis.paired import Contrast, RowDifference, contrast
from nasrec_nni.analysis.plots import far_off
from nasrec_nni.analysis.stage_times import StageTime
from nasrec_nni.analysis.verdict import Verdict, judged_rows, reference, verdict
from nasrec_nni.strategies.search.pareto import hypervolume


@dataclass(frozen=True)
class RunFacts:
    """One run.

    Args:
        name: unique among the runs compared.
        config: dotted key to value.
        table: its standings, best first.
        stages: what they took.
        candidates: searched.
        test_reads: of the test split.
        facts: label to value: commit, versions, …
    """

    name: str
    config: Mapping[str, Any]
    table: tuple[Standing, ...]
    stages: tuple[StageTime, ...]
    candidates: int
    test_reads: int
    facts: Mapping[str, Any]

    @property
    def cpu_seconds(self) -> float:
        """Of all stages."""
        return sum(stage.cpu_seconds for stage in self.stages)


@dataclass(frozen=True)
class Entry:
    """One model of one run, or of several that trained it to the same figures.

    Args:
        runs: names of its runs.
        model: name in the leaderboard of the first of them.
        standing: under a name that is unique among all entries.
    """

    runs: tuple[str, ...]
    model: str
    standing: Standing


@dataclass(frozen=True)
class Comparison:
    """Runs side by side.

    Args:
        runs: in the given order.
        entries: all models by the winner rule.
        contrasts: of each entry against the reference: the best hand-made model of all runs.
        bests: best of each run by the winner rule, pair by pair; one that is the best of several runs counts once.
        verdict: on all models as if they were of one run.
        differs: config key to its value in each run, where they differ; None where a run has no such key.
        shares: part of the cost-and-loss plane that each run's models dominate, 0 to 1; see `dominated`.
        data: label to value: fingerprint, rows, …
        notes: sentences a reader must know.
    """

    runs: tuple[RunFacts, ...]
    entries: tuple[Entry, ...]
    contrasts: tuple[Contrast, ...]
    bests: tuple[Contrast, ...]
    verdict: Verdict
    differs: Mapping[str, tuple[Any, ...]]
    shares: tuple[float, ...]
    data: Mapping[str, Any]
    notes: tuple[str, ...]

    @property
    def base(self) -> Entry:
        """The model that all are measured against."""
        return next(one for one in self.entries if one.standing is self.contrasts[0].other)


class Rows:
    """Differences over test rows; this one has none, a run's predictions are the pipeline's to read."""

    def difference(self, first: Entry, second: Entry) -> RowDifference | None:
        """First minus second over the rows, averaged over common seeds; None if predictions are not at hand."""
        return None


def compare(runs: Sequence[RunFacts], data: Mapping[str, Any], notes: Sequence[str], rows: Rows) -> Comparison:
    """Put runs side by side.

    Args:
        runs: two or more, of one prepared set.
        data: facts of it.
        notes: what is known beforehand.
        rows: differences over test rows.

    Raises:
        ValueError: nobody can win.
    """
    entries = _entries(runs)
    table = [entry.standing for entry in entries]
    base = next(entry for entry in entries if entry.standing is reference(table))
    by_rows = {at: rows.difference(one, base) for at, one in enumerate(entries) if one is not base}
    known = {at: found for at, found in by_rows.items() if found is not None}
    firsts = {id(one): one for one in (_first(run, entries) for run in runs)}.values()
    return Comparison(
        tuple(runs),
        tuple(entries),
        tuple(contrast(one.standing, base.standing, known.get(at)) for at, one in enumerate(entries)),
        tuple(contrast(a.standing, b.standing, rows.difference(a, b)) for a, b in combinations(firsts, 2)),
        verdict(table, judged_rows(table, known)),
        differing([run.config for run in runs]),
        dominated([[entry.standing for entry in entries if run.name in entry.runs] for run in runs]),
        data,
        (*notes, *_notes(runs)),
    )


def _entries(runs: Sequence[RunFacts]) -> list[Entry]:
    """All models by the rule; what came out alike in several runs is one, and equal names are told apart by the run."""
    groups: dict[Any, list[tuple[str, Standing]]] = {}
    for run in runs:
        for one in run.table:
            groups.setdefault((one.architecture or one.model, _figures(one)), []).append((run.name, one))
    every = [(tuple(run for run, _ in group), group[0][1]) for group in groups.values()]
    names = [standing.model for _, standing in every]
    found = [
        Entry(of, one.model, one if names.count(one.model) == 1 else replace(one, model=f"{one.model} ({of[0]})"))
        for of, one in every
    ]
    return sorted(found, key=lambda e: (e.standing.val_log_loss.mean, e.standing.live_macs, e.standing.model))


def _figures(one: Standing) -> tuple[Any, ...]:
    """What the trainings came to, seed by seed, to six digits; the time that they took is another each time."""
    names = ("val_log_loss", "test_log_loss", "test_auc", "calibration", "live_macs", "all_parameters")
    figures = [[getattr(result, name) for name in names] for result in one.results]
    rounded = [tuple(None if value is None else round(value, 6) for value in row) for row in figures]
    return (one.seeds, *rounded)


def _first(run: RunFacts, entries: Sequence[Entry]) -> Entry:
    own = [entry for entry in entries if run.name in entry.runs]
    first = first_eligible([entry.standing for entry in own])
    return next(entry for entry in own if entry.standing is first)


def differing(configs: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """Keys whose values are not the same in all configs, in the order of their first mention."""
    keys = dict.fromkeys(key for config in configs for key in config)
    found = {key: tuple(config.get(key) for config in configs) for key in keys}
    return {key: values for key, values in found.items() if any(value != values[0] for value in values)}


def dominated(tables: Sequence[Sequence[Standing]]) -> tuple[float, ...]:
    """Hypervolume of each run's models in (log10 live MACs, log loss), as a share of the box that all of them span.

    The box goes from the best to the worst figure of all models; those that would flatten a plot do not widen it.
    """
    opened = all(one.test_log_loss for table in tables for one in table)
    points = [
        [(log10(max(s.live_macs, 1)), ((s.test_log_loss if opened else None) or s.val_log_loss).mean) for s in table]
        for table in tables
    ]
    every = [point for own in points for point in own]
    away = far_off([loss for _, loss in every])
    inside = [point for point, out in zip(every, away, strict=True) if not out]
    low, high = ([extreme(values) for values in zip(*inside, strict=True)] for extreme in (min, max))
    area = (high[0] - low[0]) * (high[1] - low[1])
    if area <= 0:
        return tuple(0.0 for _ in tables)
    clipped = [[(max(x, low[0]), max(y, low[1])) for x, y in own] for own in points]
    return tuple(hypervolume(own, high) / area for own in clipped)


def _notes(runs: Sequence[RunFacts]) -> list[str]:
    found = []
    seeds = {run.name: sorted({seed for standing in run.table for seed in standing.seeds}) for run in runs}
    if len({tuple(one) for one in seeds.values()}) > 1:
        told = "; ".join(f"{name}: {shown(one)}" for name, one in seeds.items())
        found.append(f"The runs have different seeds ({told}): differences are taken over those that both models have.")
    for label in ("commit", "processor", "versions"):
        values = [run.facts.get(label) for run in runs]
        if any(value != values[0] for value in values):
            what = "so CPU seconds do not compare" if label == "processor" else "which may move figures a little"
            found.append(f"The runs were made with different {label if label != 'commit' else 'commits'}, {what}.")
    return found
