"""Search algorithms over architectures: ask/tell, no torch, no NNI."""

from __future__ import annotations

from nasrec_nni.strategies.search.drive import CandidateFailed, Evaluate, replay, run_search
from nasrec_nni.strategies.search.earlier import read_earlier
from nasrec_nni.strategies.search.evolution import EvolutionOptions, RegularizedEvolution
from nasrec_nni.strategies.search.interface import Algorithm, Excess, Options, Search, parse_options
from nasrec_nni.strategies.search.limits import CostLimits
from nasrec_nni.strategies.search.mutation import mutate
from nasrec_nni.strategies.search.nsga2 import Nsga2, Nsga2Options
from nasrec_nni.strategies.search.predictor import PredictorOptions, PredictorSearch
from nasrec_nni.strategies.search.random_search import RandomSearch
from nasrec_nni.strategies.search.records import (
    OVER_LIMIT,
    REJECTED,
    Evaluation,
    Record,
    best,
    front,
    record_from_json,
)
from nasrec_nni.strategies.search.starting import start_search
from nasrec_nni.strategies.search.window import Ticket, Window

__all__ = [
    "OVER_LIMIT",
    "REJECTED",
    "Algorithm",
    "CandidateFailed",
    "CostLimits",
    "Evaluate",
    "Evaluation",
    "EvolutionOptions",
    "Excess",
    "Nsga2",
    "Nsga2Options",
    "Options",
    "PredictorOptions",
    "PredictorSearch",
    "RandomSearch",
    "Record",
    "RegularizedEvolution",
    "Search",
    "Ticket",
    "Window",
    "best",
    "front",
    "mutate",
    "parse_options",
    "read_earlier",
    "record_from_json",
    "replay",
    "run_search",
    "start_search",
]
