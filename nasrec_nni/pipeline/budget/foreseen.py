"""What a time budget will come to, as far as a plan can tell; measured speed decides when the run is under way."""

from __future__ import annotations

from typing import Any

from nasrec_nni.durations import shown
from nasrec_nni.pipeline.budget.costs import Costs, least_steps, told_cuts, trainings_of
from nasrec_nni.pipeline.budget.cuts import ORDER, cut
from nasrec_nni.pipeline.budget.fewer import least_candidates
from nasrec_nni.pipeline.budget.split import SPARE, split
from nasrec_nni.pipeline.plan import START_SECONDS, Planner


def foreseen(planner: Planner, seconds: float) -> dict[str, Any]:
    """Seconds of each stage, what is cut in which order, and the least budget that works."""
    costs, config = Costs(planner), planner.config
    searching = ["supernet", "search"] if config.retrain.top_k else []
    wants = costs.wants(seconds, ["data", *searching, "retrain"])
    shares = split(seconds - START_SECONDS, wants)
    cuts: dict[str, list[str]] = {}
    if searching:
        steps, pace = planner.supernet_steps(), costs.steps_pace()
        found = max(least_steps(steps), int((shares["supernet"] - pace.start) / pace.each))
        if found < steps:
            cuts["supernet"] = [f"{found} steps of {steps}"]
        asked = config.search.candidates
        found = max(least_candidates(config), int(shares["search"] / costs.candidates_pace().each))
        if found < asked:
            cuts["search"] = [f"{found} candidates of {asked}"]
    trainings = trainings_of(config)
    if told := told_cuts(trainings, cut(trainings, shares["retrain"], costs.of)):
        cuts["retrain"] = told
    least = START_SECONDS + sum(want.least for want in wants.values())
    return {
        "seconds": seconds,
        "split": {name: round(share, 1) for name, share in shares.items()},
        "spare": round(shares[SPARE], 1),
        "cut": cuts,
        "order": ORDER,
        "least": round(least, 1),
    }


def words(found: dict[str, Any]) -> str:
    """The same for people."""
    shares = ", ".join(f"{name} {shown(share)}" for name, share in found["split"].items() if name != SPARE)
    lines = [f"time budget {shown(found['seconds'])}: {shares}, {shown(found['spare'])} to spare"]
    lines += [f"- cut of {stage}: {', '.join(cuts)}" for stage, cuts in found["cut"].items()]
    if found["least"] > found["seconds"]:
        lines.append(f"- too short: the least that works is about {shown(found['least'])}")
    return "\n".join(lines)
