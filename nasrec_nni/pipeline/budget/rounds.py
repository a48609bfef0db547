"""Retraining by the clock: one round of all models a seed, as many rounds as there is time for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from nasrec_nni.durations import shown
from nasrec_nni.files import read_json
from nasrec_nni.pipeline.models import Model

if TYPE_CHECKING:
    from nasrec_nni.pipeline.budget.time_budget import TimeBudget
    from nasrec_nni.pipeline.context import Context

Training = tuple[Model, int]


def by_seed(wanted: Iterable[Training]) -> list[Training]:
    """The same trainings, so that each seed is done for all models before the next one begins."""
    found = list(wanted)
    order = {seed: at for at, seed in enumerate(dict.fromkeys(seed for _, seed in found))}
    return sorted(found, key=lambda training: order[training[1]])


class Rounds:
    """Goes through trainings by seed; the first seed is always done.

    Whether there is time for a further seed is written down before its first training, so that a resumed run does
    the same. Within a round, a training may take its part of the time that is left, by what the models of the round
    are expected to take; it ends behind an epoch.

    Args:
        budget: of the run.
        context: of the run.
        wanted: by seed.
        expected: seconds of each model's training, by its folder.
        report: seconds kept for what comes behind.
    """

    def __init__(
        self,
        budget: TimeBudget,
        context: Context,
        wanted: Sequence[Training],
        expected: dict[str, float],
        report: float,
    ) -> None:
        self._budget, self._context, self._report = budget, context, report
        self._expected = dict(expected)
        self._seeds = list(dict.fromkeys(seed for _, seed in wanted))
        self._wanted = wanted

    def __iter__(self) -> Iterator[tuple[Model, int, float]]:
        """Model, seed, and the moment at which its training is to end."""
        for number, seed in enumerate(self._seeds):
            models = [model for model, one in self._wanted if one == seed]
            if number and not self._goes_on(seed, models):
                asked = len(self._seeds)
                self._budget.ledger.note(f"There was time for {number} of the {asked} seeds that were asked for.")
                return
            for at, model in enumerate(models):
                coming = sum(self._expected[one.folder] for one in models[at:])
                part = self._expected[model.folder] / coming if coming else 1.0
                yield model, seed, self._budget.now + part * max(0.0, self._left)

    def took(self, model: Model, seconds: float) -> None:
        """What a training took, which is expected of the next seed's too."""
        self._expected[model.folder] = seconds

    @property
    def _left(self) -> float:
        return self._budget.left - self._report

    def _goes_on(self, seed: int, models: list[Model]) -> bool:
        decided = self._budget.seed_decided(seed)
        if decided is None:
            needed = sum(self._expected[model.folder] for model in models)
            decided = needed <= self._left
            self._context.say(
                f"retrain: another seed takes about {shown(needed)}, {shown(max(0.0, self._left))} are left"
                + ("" if decided else ", so there is no further one")
            )
            self._budget.decide_seed(seed, decided)
        return decided


def told_if_early(budget: TimeBudget, context: Context, model: Model, seed: int) -> None:
    """Note a training that the clock has ended."""
    result = read_json(context.folder.training(model.folder, seed) / "result.json")
    epochs = context.config.retrain.recipe.epochs
    if result["epochs"] < epochs and result.get("ended_early"):
        budget.ledger.note(f"{model.name}, seed {seed}, was ended after {result['epochs']} of {epochs} epochs.")
