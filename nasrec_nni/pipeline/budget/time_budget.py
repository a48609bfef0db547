"""A run's time budget: divides what is left over the stages to come, decides what is cut, watches the clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from nasrec_nni.config import Config
from nasrec_nni.durations import shown
from nasrec_nni.errors import UserError
from nasrec_nni.pipeline import staleness
from nasrec_nni.pipeline.budget import pace
from nasrec_nni.pipeline.budget.costs import (
    Costs,
    least_steps,
    told_cuts,
    trainings_of,
    with_trainings,
)
from nasrec_nni.pipeline.budget.cuts import ORDER, Trainings, cut
from nasrec_nni.pipeline.budget.fewer import fewer_candidates, least_candidates
from nasrec_nni.pipeline.budget.ledger import Ledger
from nasrec_nni.pipeline.budget.rounds import Rounds, Training
from nasrec_nni.pipeline.budget.split import SPARE, Want, split
from nasrec_nni.pipeline.context import Context
from nasrec_nni.pipeline.models import models
from nasrec_nni.pipeline.plan import Planner
from nasrec_nni.profiling import profile
from nasrec_nni.run_folder import RunFolder

OVERRUN = 1.25  # of its share, which a stage may take before the clock ends it
MEASURED = 0.02  # of the budget, spent on measuring one stage


class TimeBudget:
    """Of one run.

    Args:
        config: as asked, with a budget.
        folder: of the run.
        began: moment of `clock` at which this command began.
        clock: seconds that never go back.
    """

    def __init__(
        self, config: Config, folder: RunFolder, began: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        assert config.budget is not None
        self.asked, self.seconds = config, config.budget
        self.ledger = Ledger(folder)
        self._clock, self._began = clock, began
        self._before = 0.0
        self._costs: Costs | None = None
        self._names: tuple[str, ...] = ()
        self._planned = 0.0  # when the first planning was over

    def config(self) -> Config:
        """As asked, with everything cut that was decided on."""
        found = self.asked
        for stage in staleness.STAGES[1:]:
            if (decision := self._decision(stage)) is not None:
                found = _changed(found, stage, decision["changes"])
        return found

    def _key(self, stage: str) -> dict[str, Any]:
        """What the config asks of a stage; data do not count, they are never cut."""
        content = {one.name: one.key for one in staleness.stages(self.asked, "")}
        return content[stage]

    def _decision(self, stage: str) -> dict[str, Any] | None:
        return self.ledger.decision(stage, self._key(stage))

    @property
    def used(self) -> float:
        """Seconds so far, those of earlier commands included."""
        return self._before + self._clock() - self._began

    @property
    def now(self) -> float:
        return self._clock()

    @property
    def left(self) -> float:
        return self.seconds - self.used

    def begin(self, context: Context, names: Sequence[str]) -> None:
        """Say how the time is divided, unless nothing is left to decide.

        Args:
            context: of the run, locked.
            names: the stages of this run, in order.

        Raises:
            UserError: the least that works takes longer.
        """
        ledger = self.ledger
        ledger.sweep()
        context.config = self.config()
        self._before = sum(ledger.staged().values()) + ledger.content["overhead"]
        self._names = tuple(names)
        ledger.content["seconds"] = self.seconds
        coming = self._coming(context)
        if not coming or all(self._decision(name) is not None for name in coming):
            ledger.write()
            return
        wants = self._wants(context, coming)
        self._refuse_too_short(wants)
        shares = split(self.left, wants)
        ledger.content["split"] = {name: round(share, 1) for name, share in shares.items()}
        ledger.write()
        context.say(f"time budget {shown(self.seconds)}, {shown(self.used)} of it used: {words(shares, wants)}")
        if shares[SPARE] == 0:
            context.say(
                f"not all that is asked for fits. Cut are supernet steps, candidates, and of retraining: {ORDER}"
            )

    def forget(self, names: Sequence[str]) -> None:
        """Stages that are done anew are decided anew."""
        for name in names:
            self.ledger.content["decisions"].pop(name, None)

    def _refuse_too_short(self, wants: dict[str, Want]) -> None:
        least = sum(want.least for want in wants.values())
        if least <= self.left:
            return
        told = ", ".join(f"{name} {shown(want.least)}" for name, want in wants.items())
        gone = f" ({shown(self.used)} are used)" if self.used > 1 else ""
        raise UserError(
            f"the time budget is too short for anything useful{gone}: the least that works is about "
            f"{shown(self.used + least * 1.05)} ({told})",
            value=shown(self.seconds),
            where="budget",
            hint="Give more time, or make the work smaller: fewer rows, a smaller space, retrain.baselines",
        )

    def before(self, context: Context, name: str) -> None:
        """Decide on one stage, if it is to be decided, and write it down; `context.config` is the outcome."""
        stage = self._key(name) if name in staleness.STAGES[1:] else None
        if stage is None or name not in self._coming(context):
            return
        decision = self._decision(name)
        if decision is None:
            decision = getattr(self, f"_decide_{name}")(context)
            self.ledger.decide(name, stage, decision)
        context.config = self.config()
        said = ", ".join(decision["cut"]) or "nothing is cut"
        context.say(f"{name}: {shown(decision['share'])} of {shown(max(0.0, self.left))} that are left; {said}")

    def _coming(self, context: Context) -> list[str]:
        """Stages of this run that have not begun, or that have begun by a decision of ours."""
        folder = self.ledger.folder
        found = []
        for name in self._names:
            record = staleness.read_record(folder, name)
            decided = name in staleness.STAGES[1:] and self._decision(name) is not None
            if record is None or (record["state"] != "done" and (decided or name == "data")):
                found.append(name)
        return found

    def _measure(self, context: Context) -> Costs:
        """Costs of what is asked for; made once, and again when the rows are known."""
        prepared = (self.ledger.folder.data / "manifest.json").exists() or self.asked.data.prepared is not None
        exact = self._costs is not None and self._costs.config.data.prepared is not None
        if self._costs is None or (prepared and not exact):
            config = self.asked
            if prepared and config.data.prepared is None:
                data = config.data.model_copy(
                    update={"prepared": str(self.ledger.folder.data), "inputs": (), "options": {}}
                )
                config = config.model_copy(update={"data": data})
            context.set_threads()
            known = None if self._costs is None else self._costs.planner
            self._costs = Costs(Planner(config, known), self.ledger.content.get("factor", 1.0))
        return self._costs

    def _shares(self, context: Context, name: str) -> dict[str, float]:
        """Of this stage and those behind it, of the time that is left."""
        coming = [one for one in self._coming(context) if self._names.index(one) >= self._names.index(name)]
        return split(self.left, self._wants(context, coming))

    def _wants(self, context: Context, names: Sequence[str]) -> dict[str, Want]:
        """What stages still want, without what earlier commands have spent on them."""
        spent, found = self.ledger.staged(), self._measure(context).wants(self.seconds, names)
        for name in names:
            least, full = (max(0.0, part - spent.get(name, 0.0)) for part in (found[name].least, found[name].full))
            found[name] = Want(least, full, found[name].weight)
        return found

    def _decide_supernet(self, context: Context) -> dict[str, Any]:
        costs = self._measure(context)
        steps = costs.planner.supernet_steps()
        planned = costs.steps_pace().each / costs.factor
        costs.supernet = pace.supernet(context, steps, MEASURED * self.seconds)
        costs.factor = costs.supernet.each / planned
        self.ledger.content["factor"] = costs.factor
        share = self._shares(context, "supernet")["supernet"]
        found = min(steps, max(least_steps(steps), int((share - costs.supernet.start) / costs.supernet.each)))
        return _decision(
            share,
            {} if found == steps else {"max_steps": found},
            [] if found == steps else [f"{found} steps of {steps}"],
            {"start": costs.supernet.start, "step": costs.supernet.each},
        )

    def _decide_search(self, context: Context) -> dict[str, Any]:
        costs, asked = self._measure(context), self.asked.search.candidates
        costs.search = pace.candidates(context, MEASURED * self.seconds)
        share = self._shares(context, "search")["search"]
        count = int((share - costs.search.start) / costs.search.each)
        found = min(asked, max(least_candidates(self.asked), count))
        changes = fewer_candidates(self.asked, found) or {}
        shrunk = [f"of which {changes['options']['population']} random"] if "options" in changes else []
        return _decision(
            share,
            changes,
            [f"{found} candidates of {asked}", *shrunk] if changes else [],
            {"start": costs.search.start, "candidate": costs.search.each},
        )

    def _decide_retrain(self, context: Context) -> dict[str, Any]:
        costs = self._retraining(context)
        asked = trainings_of(self.asked)
        share = self._shares(context, "retrain")["retrain"]
        found = replace(cut(asked, share, costs.of), seeds=asked.seeds)  # how many seeds, the rounds decide
        changes = {"epochs": found.epochs, "top_k": found.top_k, "random": found.random, "baselines": found.baselines}
        return _decision(
            share,
            changes,
            told_cuts(asked, found),
            {"factor": costs.factor, "start": costs.start, "epoch": costs.epoch},
        ) | {"seeds": {}}

    def rounds(self, context: Context, wanted: Sequence[Training]) -> Rounds:
        """The trainings of the retraining by the clock, `wanted` by seed."""
        costs, decision = self._measure(context), self._decision("retrain")
        if decision is not None:
            measured = decision["measured"]
            costs.factor, costs.start, costs.epoch = measured["factor"], measured["start"], measured["epoch"]
        sizes, epochs = context.sizes(context.config.retrain.layer_norm), context.config.retrain.recipe.epochs
        expected = {}
        for model, _ in wanted:
            macs = None if model.architecture is None else float(profile(model.architecture, sizes).live_macs)
            expected[model.folder] = costs.one(model.name if model.architecture is None else None, macs, epochs)
        return Rounds(self, context, wanted, expected, costs.report(self.seconds))

    def seed_decided(self, seed: int) -> bool | None:
        """Whether there is a round of this seed; None if that is open."""
        decision = self._decision("retrain")
        found: bool | None = None if decision is None else decision["seeds"].get(str(seed))
        return found

    def decide_seed(self, seed: int, goes_on: bool) -> None:
        decision = self._decision("retrain")
        if decision is not None:
            decision["seeds"][str(seed)] = goes_on
            self.ledger.write()

    def _retraining(self, context: Context) -> Costs:
        """Costs with the speed of a real training, of the first model."""
        costs = self._measure(context)
        found = models(context)
        sizes = context.sizes(context.config.retrain.layer_norm)
        searched = [one.architecture for one in found if one.architecture is not None and not one.random]
        costs.macs = [float(profile(one, sizes).live_macs) for one in searched]
        first = found[0]
        macs = None if first.architecture is None else float(profile(first.architecture, sizes).live_macs)
        name = first.name if first.architecture is None else None
        measured, whole = pace.training(context, first, MEASURED * self.seconds)
        planned = costs.planned_epoch(name, macs)
        costs.start = measured.start
        if whole:
            costs.factor, costs.epoch = 1.0, max(0.0, measured.each - planned)
        else:
            steps = costs.planner.facts.train // self.asked.retrain.recipe.batch
            costs.factor, costs.epoch = measured.each * steps / planned, 0.0
        return costs

    def until(self, context: Context, name: str) -> float:
        """Moment of the clock at which a stage is ended: when it has overrun its share, or the others need the rest.

        Args:
            context: of the run.
            name: supernet or search.
        """
        decision = self._decision(name)
        coming = [one for one in self._coming(context) if self._names.index(one) > self._names.index(name)]
        wants = self._wants(context, coming)
        spent = self.ledger.staged().get(name, 0.0)
        share = OVERRUN * decision["share"] - spent if decision is not None else self.left
        return self._clock() + min(share, self.left - sum(want.least for want in wants.values()))

    def save(self) -> None:
        """Write down the seconds outside of the stages, so that they count when the run goes on."""
        if self._names:
            self.ledger.content["overhead"] = round(max(0.0, self.used - sum(self.ledger.staged().values())), 2)
            self.ledger.write()

    def summary(self) -> dict[str, Any]:
        """For the manifest and the command's result."""
        content = self.ledger.content
        stages = {name: round(seconds, 1) for name, seconds in self.ledger.staged().items()}
        return {
            "seconds": self.seconds,
            "used": round(self.used, 1),
            "split": content["split"],
            "stages": stages,
            "cut": {name: one["cut"] for name, one in content["decisions"].items() if one["cut"]},
            "notes": content["notes"],
        }


def _decision(share: float, changes: dict[str, Any], cuts: list[str], measured: dict[str, float]) -> dict[str, Any]:
    return {
        "share": round(share, 2),
        "changes": changes,
        "cut": cuts,
        "measured": {name: round(value, 6) for name, value in measured.items()},
    }


def _changed(config: Config, stage: str, changes: dict[str, Any]) -> Config:
    if not changes:
        return config
    if stage == "supernet":
        return pace.with_steps(config, changes["max_steps"])
    if stage == "search":
        return config.model_copy(update={"search": config.search.model_copy(update=changes)})
    asked = trainings_of(config)
    found = Trainings(changes["epochs"], asked.seeds, changes["top_k"], changes["random"], tuple(changes["baselines"]))
    return with_trainings(config, found)


def words(shares: dict[str, float], wants: dict[str, Want]) -> str:
    """`supernet 60s of 80s, …`: what each stage has of what it wants."""
    parts = []
    for name, want in wants.items():
        of = f" of the {shown(want.full)} that it wants" if want.full > 1.01 * shares[name] else ""
        parts.append(f"{name} {shown(shares[name])}{of}")
    return ", ".join(parts) + (f", {shown(shares[SPARE])} to spare" if shares[SPARE] else "")
