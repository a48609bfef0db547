"""Seconds of the stages of a run, at least and in full: as planned, then as measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from nasrec_nni.config import Config
from nasrec_nni.pipeline.budget.cuts import Trainings, least
from nasrec_nni.pipeline.budget.fewer import least_candidates
from nasrec_nni.pipeline.budget.pace import Pace
from nasrec_nni.pipeline.budget.split import Want
from nasrec_nni.pipeline.plan import START_SECONDS, Planner

WEIGHTS = {"supernet": 4.0, "search": 1.5, "retrain": 4.5}
LEAST_STEPS, LEAST_PART = 50, 20  # of the supernet: so many steps, or a twentieth of those asked for
REPORT_SECONDS = 5.0
MARGIN = 0.02  # of the budget, kept for what is not measured
TRAINING_SECONDS = 0.3  # to set one up and to save it


@dataclass
class Costs:
    """What the stages of one run take.

    Args:
        planner: of the config as asked.
        factor: measured by planned seconds of work.
        macs: live MACs of the architectures to retrain, best first; of the average where they are not known.
        start: seconds of each training beside its epochs.
        epoch: seconds of each epoch beside its rows.
    """

    planner: Planner
    factor: float = 1.0
    macs: Sequence[float] = ()
    start: float = TRAINING_SECONDS
    epoch: float = 0.0
    supernet: Pace | None = None
    search: Pace | None = None
    _known: dict[tuple[str | None, float | None, int], float] = field(default_factory=dict)

    @property
    def config(self) -> Config:
        return self.planner.config

    def wants(self, seconds: float, names: Sequence[str]) -> dict[str, Want]:
        """Of the named stages, and of the report.

        Args:
            seconds: the whole budget.
            names: stages to come.
        """
        report = self.report(seconds)
        found = {name: getattr(self, f"_{name}")() for name in names}
        return found | {"report": Want(report, report)}

    @staticmethod
    def report(seconds: float) -> float:
        """For tables and page, and for what is not measured."""
        return REPORT_SECONDS + MARGIN * seconds

    def _data(self) -> Want:
        seconds = self.planner.data().seconds
        return Want(seconds, seconds)

    def _supernet(self) -> Want:
        steps, pace = self.planner.supernet_steps(), self.steps_pace()
        return Want(
            pace.start + pace.each * least_steps(steps), pace.start + pace.each * steps, weight=WEIGHTS["supernet"]
        )

    def steps_pace(self) -> Pace:
        if self.supernet is not None:
            return self.supernet
        seconds = self.planner.supernet().seconds - START_SECONDS
        return Pace(START_SECONDS, seconds / self.planner.supernet_steps() * self.factor)

    def _search(self) -> Want:
        count, pace = self.config.search.candidates, self.candidates_pace()
        few = least_candidates(self.config)
        return Want(pace.start + pace.each * few, pace.start + pace.each * count, weight=WEIGHTS["search"])

    def candidates_pace(self) -> Pace:
        if self.search is not None:
            return self.search
        return Pace(0.0, self.planner.search().seconds / self.config.search.candidates * self.factor)

    def _retrain(self) -> Want:
        asked = trainings_of(self.config)
        return Want(self.of(least(asked, self.of)), self.of(asked), weight=WEIGHTS["retrain"])

    def of(self, trainings: Trainings) -> float:
        """Seconds of trainings from scratch."""
        searched = [*self.macs[: trainings.top_k], *[None] * (trainings.top_k - len(self.macs) + trainings.random)]
        each = sum(self.one(None, macs, trainings.epochs) for macs in searched)
        each += sum(self.one(name, None, trainings.epochs) for name in trainings.baselines)
        return trainings.seeds * each

    def planned_epoch(self, baseline: str | None, macs: float | None) -> float:
        """Seconds of an epoch, not scaled by what was measured."""
        return self.planner.training(baseline, macs, 2) - self.planner.training(baseline, macs, 1)

    def one(self, baseline: str | None, macs: float | None, epochs: int) -> float:
        """Seconds of one training from scratch."""
        key = baseline, macs, epochs
        if key not in self._known:
            self._known[key] = self.planner.training(baseline, macs, epochs)
        return self.start + epochs * self.epoch + self.factor * self._known[key]


def least_steps(steps: int) -> int:
    return min(steps, max(LEAST_STEPS, steps // LEAST_PART))


def trainings_of(config: Config) -> Trainings:
    """What a config asks for."""
    settings = config.retrain
    return Trainings(settings.recipe.epochs, len(settings.seeds), settings.top_k, settings.random, settings.baselines)


def with_trainings(config: Config, trainings: Trainings) -> Config:
    """The config that asks for these."""
    settings = config.retrain
    options = {name: value for name, value in settings.baseline_options.items() if name in trainings.baselines}
    retrain = settings.model_copy(
        update={
            "recipe": settings.recipe.model_copy(update={"epochs": trainings.epochs}),
            "seeds": settings.seeds[: trainings.seeds],
            "top_k": trainings.top_k,
            "random": trainings.random,
            "baselines": trainings.baselines,
            "baseline_options": options,
        }
    )
    return config.model_copy(update={"retrain": retrain})


def told_cuts(asked: Trainings, found: Trainings) -> list[str]:
    """What was left out, in words."""
    names = {"epochs": "epochs", "seeds": "seeds", "top_k": "searched networks", "random": "random architectures"}
    told = [
        f"{words}: {getattr(found, name)} of {getattr(asked, name)}"
        for name, words in names.items()
        if getattr(found, name) != getattr(asked, name)
    ]
    left_out = [name for name in asked.baselines if name not in found.baselines]
    return [*told, *([f"without {', '.join(left_out)}"] if left_out else [])]
