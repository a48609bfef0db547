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
from nasrec_nni.pipeline.speed import TABLE_ROWS, Speed, fit_pass, measure, threads
from nasrec_nni.pipeline.tables import too_large
from nasrec_nni.plugins import registry
from nasrec_nni.profiling import Sizes, profile
from nasrec_nni.strategies.sampling.distributions import FULL
from nasrec_nni.strategies.sampling.sampler import PathSampler, architectures

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
    """The stages with their costs, their sum, what was assumed, and what will not work.

    Raises:
        UserErrors: the config is wrong.
    """
    check(config)
    planner = _Planner(config)
    with threads(config.threads):
        searching = [planner.supernet(), planner.search()] if config.retrain.top_k else []
        stages = [planner.data(), *searching, planner.retrain()]
    total = StagePlan(
        "all",
        sum(stage.seconds for stage in stages),
        max(stage.memory_mib for stage in stages),
        sum(stage.disk_mib for stage in stages),
    )
    rounded = [{k: round(v, 1) if isinstance(v, float) else v for k, v in asdict(s).items()} for s in [*stages, total]]
    return {
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


class _Planner:
    """The four stages of one config."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.facts: DataFacts = facts_of(config.data)
        self.space = describe(config.space)
        self.drawn = architectures(self.space, config.seed, DRAWS)
        self._speeds: dict[tuple[Sizes, str], Speed] = {}

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

    def supernet(self) -> StagePlan:
        settings, recipe = self.config.supernet, self.config.supernet.recipe
        sizes, rows = self._sizes(settings.layer_norm), self.facts.train * recipe.epochs
        steps = max(1, rows // recipe.batch)
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

    def retrain(self) -> StagePlan:
        settings, recipe, facts = self.config.retrain, self.config.retrain.recipe, self.facts
        sizes = self._sizes(settings.layer_norm)
        speeds: list[Speed] = []
        if architectures_trained := settings.top_k + settings.random:
            searched, macs = self._searched_speed(sizes, recipe), self._mean_macs(sizes)
            speeds = [Speed(searched.train_row * macs, searched.forward_row * macs)] * architectures_trained
        for name in settings.baselines:
            speeds.append(measure([self._baseline(name, sizes)], sizes, recipe, self.config.devices))
        # every process validates on all rows, with its share of the threads
        predicted = facts.val * (recipe.epochs * self.config.devices + 1) + facts.test
        seconds = sum(facts.train * recipe.epochs * s.train_row + predicted * s.forward_row for s in speeds)
        trainings = len(speeds) * len(settings.seeds)
        parameters = fmean(profile(one, sizes).live_parameters for one in self.drawn)
        table = self._table(settings.max_rows_per_field)
        weights = parameters + table
        # the process that starts others has a network too
        memory = self._memory((weights + self._trained(parameters, table, recipe)) * FLOAT, weights * FLOAT)
        disk = trainings * (weights * FLOAT + (facts.val + facts.test) * 2 * FLOAT)
        starts = trainings * START_SECONDS if self.config.devices > 1 else 0.0
        return StagePlan("retrain", starts + seconds * len(settings.seeds), memory, disk)

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
