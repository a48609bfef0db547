"""Our algorithms behind NNI's `NasExperiment`: the sequence of every other door."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import nni
from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.experiment import NasExperiment
from nni.nas.experiment.config import NasExperimentConfig
from nni.nas.space import RawFormatModelSpace

from nasrec_nni.architecture.canonical import canonical_path
from nasrec_nni.architecture.value import Architecture
from nasrec_nni.experiment.strategy import SearchStrategy
from nasrec_nni.search_spaces.space import NASRecSmall
from nasrec_nni.strategies.search import CandidateFailed, Evaluation, RegularizedEvolution, Search, run_search

BUDGET = 24
SIZES: dict[str, Any] = {"blocks": 2, "dense_widths": (8, 16), "sparse_rows": (4,), "embedding": 4, "heads": 2}


def space() -> NASRecSmall:
    return NASRecSmall(dense=3, rows_per_field=(5, 5), **SIZES)


def search(description: Any) -> Search:
    return RegularizedEvolution(description, 0, {"population": 8, "sample": 4}, BUDGET)


def value(path: Any) -> float:
    found = zlib.crc32(repr(path).encode()) % 1009 / 1009
    return float("nan") if found < 0.125 else found


def evaluate(network: Any) -> None:
    nni.report_final_result(-value(network.path))


def door_one(description: Any, in_flight: int) -> list[tuple[int, str, float | None]]:
    def score(architecture: Architecture) -> Evaluation:
        found = value(canonical_path(architecture.path))
        if found != found:
            raise CandidateFailed("nan")
        return Evaluation(found, 7)

    records = run_search(search(description), score, budget=BUDGET, in_flight=in_flight, max_failures_in_a_row=99)
    return sorted((record.number, record.id, record.value) for record in records)


def test_the_sequential_engine_gives_the_sequence_of_door_one() -> None:
    for in_flight in (1, 5):
        model = space()
        strategy = SearchStrategy(search(model.description), model.description, BUDGET, in_flight)
        strategy(RawFormatModelSpace(model, FunctionalEvaluator(evaluate)), SequentialExecutionEngine())
        found = sorted((record.number, record.id, record.value) for record in strategy.records)
        assert found == door_one(model.description, in_flight)
        assert any(record.failure == "its result is nan" for record in strategy.records)


def test_a_nas_experiment_takes_it(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    model = space()
    strategy = SearchStrategy(search(model.description), model.description, BUDGET)
    config = NasExperimentConfig("sequential", "raw", "local")
    experiment = NasExperiment(model, FunctionalEvaluator(evaluate), strategy, config=config)
    experiment.config.experiment_working_directory = str(tmp_path)
    try:
        experiment.run(port=0)
    finally:
        experiment.stop()
    found = sorted((record.number, record.id, record.value) for record in strategy.records)
    assert found == door_one(model.description, 1)
