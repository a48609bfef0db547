"""What a run will cost: seconds, memory and disk per stage, before any work.

A few random architectures and the baselines are timed on this machine; MACs of the profiler, over
architectures and paths as they will be drawn, turn that into the whole. What is assumed is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from nasrec_nni.config import Config, Recipe
from nasrec_nni.operators.memory import WAYS_OUT, machine_memory, mib, states_per_weight
from nasrec_nni.pipeline.check import check
from nasrec_nni.pipeline.facts import DataFacts, facts_of
from nasrec_nni.pipeline.space import describe
from nasrec_nni.pipeline.speed import TABLE_ROWS, Speed, fit_pass, measure
from nasrec_nni.pipeline.tables import too_large
from nasrec_nni.plugins import registry
from nasrec_nni.profiling import Sizes, profile
from nasrec_nni.strategies.sampling.distributions import FULL
from nasrec_nni.strategies.sampling.sampler import PathSampler, architectures
from nasrec_nni.threads import using_threads

if TYPE_CHECKING:
    from torch import nn

DRAWS = 200  # architectures and paths whose MACs are averaged
TIMED = 4  # architectures that are run
START_SECONDS = 4.0  # to load NNI and Lightning
PREPARE_ROWS = 200_000  # raw rows parsed and encoded a second
PREPARE_MIB = 1000  # most that chunks of a log and its distinct values take
HEAD_PASSES = {"lbfgs": 60, "newton": 15}  # over the cached features, to fit a last layer
ADAGRAD_ROWS = 500 * 512  # rows of its steps
PROCESS_MIB = 500  # Python, torch and libraries
FLOAT = 4 / 2**20  # MiB


@dataclass(frozen=True)
class StagePlan:
    """What one stage is expected to take."""

    stage: str
    seconds: float
    memory_mib: float
    disk_mib: float


def plan(config: Config) -> dict[str, Any]:
    """The stages with their costs, their sum, what was assumed, what will not work, and what a time budget will cut.

    Raises:
        UserErrors: the config is wrong.
    """
    check(config)
    planner = Planner(config)
    with using_threads(config.threads):
        searching = [planner.supernet(), planner.search()] if config.retrain.top_k else []
        sweeping = [] if config.retrain.sweep is None else [planner.sweep(config.retrain.sweep.trials)]
        stages = [planner.data(), *searching, *sweeping, planner.retrain()]
    total = StagePlan(
        "all",
        sum(stage.seconds for stage in stages),
        max(stage.memory_mib for stage in stages),
        sum(stage.disk_mib for stage in stages),
    )
    rounded = [{k: round(v, 1) if isinstance(v, float) else v for k, v in asdict(s).items()} for s in [*stages, total]]
    found: dict[str, Any] = {
        "stages": rounded,
        "rows": planner.facts.rows,
        "assumptions": [
            f"speed as measured just now on {TIMED} random architectures and the baselines",
            "every training uses all the epochs its recipe allows",
            f"a raw log is prepared at {PREPARE_ROWS:,} rows a second",
            f"a last layer is fitted in {planner.head_passes():.3g} passes over its rows ({config.search.head})",
            f"rows and columns: {planner.facts.source}",
            *planner.shared(),
        ],
        "warnings": planner.warnings(total.memory_mib),
    }
    if config.budget is not None:
        from nasrec_nni.pipeline.budget.foreseen import foreseen

        with using_threads(config.threads):
            found["budget"] = foreseen(planner, config.budget)
    return found


class Planner:
    """The stages of one config.

    Args:
        config: checked.
        known: speeds that were measured before are taken from it.
    """

    def __init__(self, config: Config, known: Planner | None = None) -> None:
        self.config = config
        self.facts: DataFacts = facts_of(config.data)
        self.space = describe(config.space)
        self.drawn = architectures(self.space, config.seed, DRAWS)
        self._speeds: dict[tuple[Sizes, str], Speed] = {} if known is None else known._speeds
        self._baselines: dict[tuple[str, Sizes, str], Speed] = {} if known is None else known._baselines

    def data(self) -> StagePlan:
        if self.config.data.prepared is not None:
            return StagePlan("data", 0.0, 0.0, 0.0)
        facts = self.facts
        # the arrays, and the numbers of the rows of each split: 8 bytes a row
        size = facts.rows * (facts.dense + facts.sparse + 1 + 2) * FLOAT
        # staged rows wait beside them: numbers as they were, codes in two bytes
        scratch = facts.rows * (2 * facts.dense + facts.sparse / 2 + 1) * FLOAT
        memory = PROCESS_MIB + min(PREPARE_MIB, 3 * size) + 4 * facts.rows * FLOAT
        return StagePlan("data", facts.rows / PREPARE_ROWS, memory, size + scratch)

    def supernet_steps(self) -> int:
        """Optimizer steps of the supernet."""
        recipe = self.config.supernet.recipe
        steps = max(1, self.facts.train // recipe.batch) * recipe.epochs
        return min(steps, self.config.supernet.max_steps or steps)

    def supernet(self) -> StagePlan:
        settings, recipe = self.config.supernet, self.config.supernet.recipe
        sizes, steps = self._sizes(settings.layer_norm), self.supernet_steps()
        rows = steps * min(recipe.batch, self.facts.train)
        distribution = registry("one_shot").load(settings.strategy)
        warmup = round(settings.warmup * steps)
        sampler = PathSampler(distribution, self.space, settings.counts, warmup, self.config.seed)
        paths = [drawn.path for draw in range(DRAWS) for drawn in sampler.draw(draw * steps // DRAWS)]
        speed = self._searched_speed(sizes, recipe)
        seconds = rows * speed.train_row * fmean(profile(path, sizes).live_macs for path in paths)
        full = profile(FULL.draw(self.space, np.random.default_rng(0), settings.counts), sizes)
        table = self._table(settings.max_rows_per_field)
        weights, trained = full.all_parameters + table, self._trained(full.all_parameters, table, recipe)
        # each process keeps what its part of a batch passes through
        passing = full.all_parameters / 100 * recipe.batch / self.config.devices
        memory = self._memory((trained + passing) * FLOAT, 0.0)
        # While a checkpoint is written, the one before is still there.
        return StagePlan("supernet", START_SECONDS + seconds, memory, (weights + 2 * trained) * FLOAT)

    def search(self) -> StagePlan:
        settings, facts = self.config.search, self.facts
        sizes = self._sizes(self.config.supernet.layer_norm)
        features = round(fmean(self.space.dense_widths) + fmean(self.space.sparse_rows) * self.space.embedding)
        head_rows = min(settings.head_rows, facts.train)
        rows = head_rows + min(settings.score_rows or facts.val, facts.val)
        speed = self._searched_speed(sizes, self.config.supernet.recipe)
        fit = self.head_passes() * fit_pass(head_rows, features)
        each = rows * speed.forward_row * self._mean_macs(sizes) + fit
        table = self._table(self.config.supernet.max_rows_per_field)
        kept = 1.0 if settings.features == "float32" else 0.5
        memory = PROCESS_MIB + (table + head_rows * features * kept) * FLOAT
        return StagePlan("search", settings.candidates * each, memory, settings.candidates * 4 / 2**10)

    def head_passes(self) -> float:
        """Over the rows of a last layer, by the solver."""
        settings = self.config.search
        return HEAD_PASSES.get(settings.head) or ADAGRAD_ROWS / min(settings.head_rows, self.facts.train)

    def training(self, baseline: str | None, macs: float | None = None, epochs: int | None = None) -> float:
        """Seconds of one training from scratch, with its predictions.

        Args:
            baseline: a hand-made model; None for a searched one.
            macs: live MACs a row of a searched one, of the average if not given.
            epochs: those of the recipe if not given.
        """
        recipe, facts = self.config.retrain.recipe, self.facts
        epochs = recipe.epochs if epochs is None else epochs
        sizes = self._sizes(self.config.retrain.layer_norm)
        if baseline is None:
            each, work = self._searched_speed(sizes, recipe), self._mean_macs(sizes) if macs is None else macs
            speed = Speed(each.train_row * work, each.forward_row * work)
        else:
            speed = self._baseline_speed(baseline, sizes, recipe)
        # every process validates on all rows, with its share of the threads
        predicted = facts.val * (epochs * self.config.devices + 1) + facts.test
        return facts.train * epochs * speed.train_row + predicted * speed.forward_row

    def retrain(self) -> StagePlan:
        settings, recipe, facts = self.config.retrain, self.config.retrain.recipe, self.facts
        sizes = self._sizes(settings.layer_norm)
        names = [*[None] * (settings.top_k + settings.random), *settings.baselines]
        seconds = sum(self.training(name) for name in names)
        trainings = len(names) * len(settings.seeds)
        parameters = fmean(profile(one, sizes).live_parameters for one in self.drawn)
        table = self._table(settings.max_rows_per_field)
        weights = parameters + table
        # the process that starts others has a network too
        memory = self._memory((weights + self._trained(parameters, table, recipe)) * FLOAT, weights * FLOAT)
        disk = trainings * (weights * FLOAT + (facts.val + facts.test) * 2 * FLOAT)
        starts = trainings * START_SECONDS if self.config.devices > 1 else 0.0
        return StagePlan("retrain", starts + seconds * len(settings.seeds), memory, disk)

    def sweep(self, trials: int) -> StagePlan:
        """Trials of every model; weights are not kept, but one checkpoint lies there at a time."""
        whole, seeds = self.retrain(), len(self.config.retrain.seeds)
        settings = self.config.retrain
        models = settings.top_k + settings.random + len(settings.baselines)
        each = whole.disk_mib / (models * seeds)
        return StagePlan("sweep", whole.seconds / seeds * trials, whole.memory_mib, 4 * each)

    def shared(self) -> list[str]:
        """What is assumed of several processes."""
        count = self.config.devices
        if count == 1:
            return []
        return [
            f"{count} processes have a whole table each and share the CPU threads; nothing is counted for the exchange "
            "of gradients, nor for one's steps taking longer while others use the memory"
        ]

    def warnings(self, memory_mib: float) -> list[str]:
        """What will not work, or may not."""
        found = [
            error.message for error in too_large(self.config, self.facts.rows_per_field, self.config.retrain.top_k > 0)
        ]
        there = machine_memory()
        if there is not None and memory_mib * 2**20 > there and not found:
            found.append(
                f"about {memory_mib:,.0f} MiB will be needed when all table rows are in use, and memory and swap of "
                f"this machine are {mib(there)}: the training may be ended by the system. {WAYS_OUT}"
            )
        return found

    def _trained(self, parameters: float, table: int, recipe: Recipe) -> float:
        """Numbers of weights and their optimizer's states."""
        states = states_per_weight(recipe, self.space.embedding)
        return parameters * (1 + states_per_weight(recipe)) + table * (1 + states)

    def _memory(self, each: float, started_from: float) -> float:
        """MiB of all processes.

        Args:
            each: of one that trains, without libraries.
            started_from: of the one that starts them, if they are several.
        """
        count = self.config.devices
        return count * (PROCESS_MIB + each) + (PROCESS_MIB + started_from if count > 1 else 0.0)

    def _searched_speed(self, sizes: Sizes, recipe: Recipe) -> Speed:
        """Seconds per row and MAC, over a few random architectures; measured once."""
        key = sizes, recipe.model_dump_json()
        if key not in self._speeds:
            self._speeds[key] = self._measure_searched(sizes, recipe)
        return self._speeds[key]

    def _baseline_speed(self, name: str, sizes: Sizes, recipe: Recipe) -> Speed:
        key = name, sizes, recipe.model_dump_json()
        if key not in self._baselines:
            self._baselines[key] = measure([self._baseline(name, sizes)], sizes, recipe, self.config.devices)
        return self._baselines[key]

    def _measure_searched(self, sizes: Sizes, recipe: Recipe) -> Speed:
        from nasrec_nni.network import NASRecNetwork, TableSettings
        from nasrec_nni.operators.optimizers import sparse_gradients_for

        table = TableSettings((TABLE_ROWS,) * sizes.fields, sparse_gradients_for(recipe))
        chosen = self.drawn[:TIMED]
        networks = [NASRecNetwork(one, sizes, table, recipe.dropout) for one in chosen]
        speed = measure(networks, sizes, recipe, self.config.devices)
        macs = fmean(profile(one, sizes).live_macs for one in chosen)
        return Speed(speed.train_row / macs, speed.forward_row / macs)

    def _baseline(self, name: str, sizes: Sizes) -> nn.Module:
        from nasrec_nni.baselines.settings import BaselineSettings
        from nasrec_nni.operators.optimizers import sparse_gradients_for

        recipe = self.config.retrain.recipe
        gradients = sparse_gradients_for(recipe)
        settings = BaselineSettings(sizes.embedding, sparse_gradients=gradients, dropout=recipe.dropout)
        fields: Sequence[int] = [TABLE_ROWS] * sizes.fields
        options = self.config.retrain.baseline_options.get(name, {})
        built: nn.Module = registry("baselines").load(name)(sizes.dense, fields, settings, **options)
        return built

    def _mean_macs(self, sizes: Sizes) -> float:
        return fmean(profile(one, sizes).live_macs for one in self.drawn)

    def _sizes(self, layer_norm: bool) -> Sizes:
        facts = self.facts
        return Sizes.of(self.space, max(1, facts.dense), max(1, len(facts.rows_per_field)), layer_norm)

    def _table(self, cap: int | None) -> int:
        """Numbers of the embedding table."""
        return sum(min(rows, cap or rows) for rows in self.facts.rows_per_field) * self.space.embedding
