"""The suite of objectives."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from nasrec_nni.errors import UserError
from nasrec_nni.testing.suite import Conformance, draws_nothing, require, suite

# What a run knows of a candidate (nasrec_nni/pipeline/goals.py).
FIGURES = {
    "log_loss": 0.45,
    "auc": 0.78,
    "live_macs": 1_000_000,
    "live_parameters": 200_000,
    "embedding_bytes": 4_000_000,
    "latency_ms": 1.5,
}


class ObjectiveConformance(Conformance):
    """What an objective must keep; made by `objective_conformance`."""

    group: ClassVar[str] = "objectives"

    def test_its_figure_is_one_that_a_run_knows(self) -> None:
        figure = self.load().figure
        require(figure in FIGURES, f"{self.name}: no run knows the figure {figure!r}; known: {', '.join(FIGURES)}")

    def test_the_value_is_a_finite_number_and_a_function_of_the_figures(self) -> None:
        with draws_nothing(self.name):
            found = [self._value() for _ in range(2)]
        require(type(found[0]) is float and math.isfinite(found[0]), f"{self.name}: the value is {found[0]!r}")
        require(found[0] == found[1], f"{self.name}: the same figures give another value")

    def test_a_better_figure_has_a_lower_value(self) -> None:
        """As `minimise` says what is better."""
        objective = self.load()
        figure = objective.figure
        worse, better = (1.01, 0.99) if objective.minimise else (0.99, 1.01)
        values = [self._value(**{figure: FIGURES[figure] * factor}) for factor in (better, worse)]
        require(values[0] < values[1], f"{self.name}: a better {figure} has the value {values[0]}, a worse {values[1]}")

    def test_a_figure_that_does_not_exist_is_the_users_error(self) -> None:
        """AUC of one class, latency that was not measured."""
        with pytest.raises(UserError):
            self._value(**{self.load().figure: None})

    def test_what_a_clock_measures_says_so(self) -> None:
        figure, measured = self.load().figure, self.load().measured
        require(measured == (figure == "latency_ms"), f"{self.name}: `measured` is {measured}, the figure is {figure}")

    def _value(self, **changes: Any) -> float:
        return self.load().value(SimpleNamespace(**(FIGURES | changes)))  # type: ignore[no-any-return]


def objective_conformance(name: str) -> type[ObjectiveConformance]:
    """The suite of one objective, registered in `nasrec_nni.objectives`."""
    return suite(ObjectiveConformance, name)
