"""Our search algorithms as an NNI `Strategy`, for a researcher's own `NasExperiment(space, evaluator, strategy)`."""

from __future__ import annotations

import math
import time
from typing import Any

from nni.nas.space import ModelStatus
from nni.nas.strategy.base import Strategy

from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.errors import UserError
from nasrec_nni.search_spaces.samples import to_sample
from nasrec_nni.strategies.search import Record, Search, Window

LOOK = 0.05  # seconds between two looks at models that another process evaluates


class SearchStrategy(Strategy):  # type: ignore[misc]
    """Asks our algorithm, tells it what NNI's engine found out; the sequence is that of every other door.

    The evaluator reports one number to `nni.report_final_result`; a model that fails, reports nothing or something
    that is not finite is a failure (NNI itself takes NaN for the best). On NNI's sequential engine an exception of the
    evaluator ends the search unless `execution_engine.continue_on_failure` is set.

    Args:
        search: freshly started, of the same space: `RegularizedEvolution(space.description, seed, options, budget)`.
        space: description of the model space.
        budget: candidates in all.
        in_flight: asked before the first is told.
        maximise: whether a greater number is better, as NNI has it.

    Attributes:
        records: every candidate with its value (lower is better), in the order of results.
    """

    def __init__(
        self, search: Search, space: SpaceDescription, budget: int, in_flight: int = 1, maximise: bool = True
    ) -> None:
        super().__init__()
        self._search, self._space = search, space
        self._budget, self._in_flight, self._maximise = budget, in_flight, maximise
        self.records: list[Record] = []

    def _run(self) -> None:
        window = Window(self._search, self._in_flight, self._budget)
        at_work: dict[int, Any] = {}
        while pending := window.pending:
            for ticket in pending:
                if ticket.number in at_work or not self.engine.idle_worker_available():
                    continue
                if not self.engine.budget_available():
                    break
                model = self.model_space.freeze(to_sample(ticket.architecture, self._space))
                at_work[ticket.number] = model
                self.engine.submit_models(model)  # the sequential engine evaluates it now
            done = [ticket for ticket in pending if ticket.number in at_work and _ended(at_work[ticket.number])]
            for ticket in done:
                architecture, (value, failure) = ticket.architecture, self._result(at_work.pop(ticket.number))
                self.records.append(Record(ticket.number, architecture.id, architecture, value, failure))
                window.finish(ticket.number, value, failure)
            if not done:
                if not at_work:
                    return  # NNI's own budget is spent
                time.sleep(LOOK)

    def _result(self, model: Any) -> tuple[float | None, str | None]:
        found = model.metrics.final
        if model.status != ModelStatus.Trained:
            return None, f"NNI calls it {model.status.value}"
        if isinstance(found, dict):
            found = found.get("default")
        if isinstance(found, bool) or not isinstance(found, (int, float)) or not math.isfinite(found):
            return None, f"its result is {found!r}"
        return (-float(found) if self._maximise else float(found)), None

    def state_dict(self) -> dict[str, Any]:
        """Nothing: NNI's checkpoints are not to be trusted. Replay the records into a new search instead."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Refused where there was something to go on with."""
        if state_dict:
            raise UserError("an NNI checkpoint holds nothing of this search", hint="Search with `nasrec search`")


def _ended(model: Any) -> bool:
    return bool(model.status.completed())
