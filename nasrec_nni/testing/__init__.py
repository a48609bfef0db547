"""Conformance suites: what every plug-in must keep, run by its author with one line of pytest.

    from nasrec_nni.testing import operator_conformance

    TestMine = operator_conformance("mine")

The plug-in is found as a run finds it, by its entry point: install the package first. Each function gives a test
class; pytest collects it because its name starts with `Test`. The built-ins run through the same classes. What each
check means and why it must hold: docs/plugins.md.
"""

from __future__ import annotations

from nasrec_nni.testing.baselines import BaselineConformance, baseline_conformance
from nasrec_nni.testing.mergers import MergerConformance, merger_conformance
from nasrec_nni.testing.objectives import ObjectiveConformance, objective_conformance
from nasrec_nni.testing.one_shot import OneShotConformance, one_shot_conformance
from nasrec_nni.testing.operators import OperatorConformance, operator_conformance
from nasrec_nni.testing.search import SearchConformance, search_conformance
from nasrec_nni.testing.search_spaces import SearchSpaceConformance, search_space_conformance
from nasrec_nni.testing.sources import SourceConformance, source_conformance

__all__ = [
    "BaselineConformance",
    "MergerConformance",
    "ObjectiveConformance",
    "OneShotConformance",
    "OperatorConformance",
    "SearchConformance",
    "SearchSpaceConformance",
    "SourceConformance",
    "baseline_conformance",
    "merger_conformance",
    "objective_conformance",
    "one_shot_conformance",
    "operator_conformance",
    "search_conformance",
    "search_space_conformance",
    "source_conformance",
]
