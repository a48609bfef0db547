"""Search algorithms over architectures: ask/tell, no torch, no NNI. Names load when first used, some of them numpy."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
_HOMES = {
    "OVER_LIMIT": "records",
    "REJECTED": "records",
    "Algorithm": "interface",
    "CandidateFailed": "drive",
    "CostLimits": "limits",
    "Evaluate": "drive",
    "Evaluation": "records",
    "EvolutionOptions": "evolution",
    "Excess": "interface",
    "Nsga2": "nsga2",
    "Nsga2Options": "nsga2",
    "Options": "interface",
    "PredictorOptions": "predictor",
    "PredictorSearch": "predictor",
    "RandomSearch": "random_search",
    "Record": "records",
    "RegularizedEvolution": "evolution",
    "Search": "interface",
    "Ticket": "window",
    "Window": "window",
    "best": "records",
    "front": "records",
    "mutate": "mutation",
    "parse_options": "interface",
    "read_earlier": "earlier",
    "record_from_json": "records",
    "replay": "drive",
    "run_search": "drive",
    "start_search": "starting",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
