"""Search algorithms over architectures: ask/tell, no torch, no NNI."""

from __future__ import annotations

from nasrec_nni.strategies.search.drive import CandidateFailed, Evaluate, replay, run_search
from nasrec_nni.strategies.search.evolution import EvolutionOptions, RegularizedEvolution
from nasrec_nni.strategies.search.interface import Algorithm, Options, Search, parse_options
from nasrec_nni.strategies.search.mutation import mutate
from nasrec_nni.strategies.search.random_search import RandomSearch
from nasrec_nni.strategies.search.records import Evaluation, Record, best, record_from_json
from nasrec_nni.strategies.search.window import Ticket, Window

__all__ = [
    "Algorithm",
    "CandidateFailed",
    "Evaluate",
    "Evaluation",
    "EvolutionOptions",
    "Options",
    "RandomSearch",
    "Record",
    "RegularizedEvolution",
    "Search",
    "Ticket",
    "Window",
    "best",
    "mutate",
    "parse_options",
    "record_from_json",
    "replay",
    "run_search",
]
