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
from nasrec_nni.pipeline.check import check
from nasrec_nni.pipeline.facts import DataFacts, facts_of
from nasrec_nni.pipeline.space import describe
from nasrec_nni.pipeline.speed import TABLE_ROWS, Speed, fit_pass, measure, threads
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
HEAD_PASSES = 60  # over the cached features, to fit a last layer
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
    """The stages with their costs, their sum, and what was assumed.

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
            f"a raw log is prepared at {PREPARE_ROWS:,} rows a second; a last layer is fitted in {HEAD_PASSES} passes",
            f"rows and columns: {planner.facts.source}",
        ],
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
        weights = full.all_parameters + self._table(settings.max_rows_per_field)
        states = _states(recipe)
        memory = PROCESS_MIB + weights * (1 + states) * FLOAT + full.all_parameters / 100 * recipe.batch * FLOAT
        # While a checkpoint is written, the one before is still there.
        return StagePlan("supernet", START_SECONDS + seconds, memory, weights * (1 + 2 * (1 + states)) * FLOAT)

    def search(self) -> StagePlan:
        settings, facts = self.config.search, self.facts
        sizes = self._sizes(self.config.supernet.layer_norm)
        features = round(fmean(self.space.dense_widths) + fmean(self.space.sparse_rows) * self.space.embedding)
        head_rows = min(settings.head_rows, facts.train)
        rows = head_rows + min(settings.score_rows or facts.val, facts.val)
        speed = self._searched_speed(sizes, self.config.supernet.recipe)
        each = rows * speed.forward_row * self._mean_macs(sizes) + HEAD_PASSES * fit_pass(head_rows, features)
        table = self._table(self.config.supernet.max_rows_per_field)
        kept = 1.0 if settings.features == "float32" else 0.5
        memory = PROCESS_MIB + (table + head_rows * features * kept) * FLOAT
        return StagePlan("search", settings.candidates * each, memory, settings.candidates * 4 / 2**10)

    def retrain(self) -> StagePlan:
        settings, recipe, facts = self.config.retrain, self.config.retrain.recipe, self.facts
        sizes = self._sizes(settings.layer_norm)
        speeds: list[Speed] = []
        if architectures_trained := settings.top_k + settings.random:
            searched, macs = self._searched_speed(sizes, recipe), self._mean_macs(sizes)
            speeds = [Speed(searched.train_row * macs, searched.forward_row * macs)] * architectures_trained
        speeds += [measure([self._baseline(name, sizes)], sizes, recipe) for name in settings.baselines]
        predicted = facts.val * (recipe.epochs + 1) + facts.test
        seconds = sum(facts.train * recipe.epochs * s.train_row + predicted * s.forward_row for s in speeds)
        trainings = len(speeds) * len(settings.seeds)
        parameters = fmean(profile(one, sizes).live_parameters for one in self.drawn)
        weights = parameters + self._table(settings.max_rows_per_field)
        memory = PROCESS_MIB + weights * (2 + _states(recipe)) * FLOAT
        disk = trainings * (weights * FLOAT + (facts.val + facts.test) * 2 * FLOAT)
        return StagePlan("retrain", seconds * len(settings.seeds), memory, disk)

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
        speed = measure([NASRecNetwork(one, sizes, table, recipe.dropout) for one in chosen], sizes, recipe)
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


def _states(recipe: Recipe) -> int:
    """Numbers the optimizer keeps per weight."""
    return 1 if recipe.optimizer == "adagrad" else 2
