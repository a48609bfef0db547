"""The page of a run: one self-contained HTML file that asks nothing of the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from nasrec_nni.analysis.axes import NARROW, WIDE
from nasrec_nni.analysis.candidates import Agreement, Candidate, agreement
from nasrec_nni.analysis.drawing import draw_svg
from nasrec_nni.analysis.glossary import terms
from nasrec_nni.analysis.html import figure, render
from nasrec_nni.analysis.intervals import intervals_plot
from nasrec_nni.analysis.leaderboard import WINNER_RULE, Standing
from nasrec_nni.analysis.paired import Contrast, RowDifference, contrast
from nasrec_nni.analysis.plots import cost_plot
from nasrec_nni.analysis.search_plots import agreement_plot, progress_plot
from nasrec_nni.analysis.stage_times import StageTime
from nasrec_nni.analysis.verdict import NAMES, judged_rows, random_architectures, reference, verdict
from nasrec_nni.architecture.value import Architecture
from nasrec_nni.config import Recipe
from nasrec_nni.files import write_text

Facts = Mapping[str, object]
SEARCH_HELP = {
    "space": "the search space: all architectures that can be built",
    "supernet strategy": "which random part of the supernet a training step draws",
    "supernet warm-up": "share of the steps over which training with everything at once fades out",
    "algorithm": "how the next candidate is proposed",
    "objective": "what the search minimises, on validation rows",
    "fingerprint": "hash of arrays, splits and schema",
}


@dataclass(frozen=True)
class ReportContent:
    """Everything that the page says; it reads no run folder.

    Args:
        title: what was searched on, say the name of the run.
        table: standings by the winner rule, best first.
        architecture: the best searched architecture as it was found, dead parts included; None if none was trained.
        inputs: dense columns (`w_0`) and sparse fields, for the drawing.
        candidates: of the search, in its order.
        data: label to value: rows, fields, splits, fingerprint, source command, …
        best_log_loss: best attainable test log loss, where the data's own probabilities are known.
        recipe: key to value of the recipe that all models were trained with.
        search: label to value: space, supernet, algorithm, candidates, …
        versions: package to version.
        hardware: label to value.
        seeds: of the retraining.
        test_reads: how often the test split was read.
        commit: of the project, None if not known.
        created: when.
        winner_rule: in words.
        notes: sentences a reader must know, for instance what went wrong.
        rows: of each model against `verdict.reference` over the test rows, by its place in the table; of one that is
            absent no predictions are at hand.
        stages: what they took.
        config: the resolved config as YAML text.
    """

    title: str
    table: tuple[Standing, ...]
    architecture: Architecture | None
    inputs: tuple[int, int]
    candidates: tuple[Candidate, ...]
    data: Facts
    recipe: Facts
    search: Facts
    versions: Facts
    hardware: Facts
    seeds: tuple[int, ...]
    test_reads: int
    created: datetime
    best_log_loss: float | None = None
    commit: str | None = None
    winner_rule: str = WINNER_RULE
    notes: tuple[str, ...] = field(default=())
    rows: Mapping[int, RowDifference] = field(default_factory=dict)
    stages: tuple[StageTime, ...] = ()
    config: str | None = None


def render_report(content: ReportContent, path: Path) -> None:
    """Write the page atomically.

    Raises:
        ValueError: no model was trained.
    """
    write_text(path, report_html(content))


def report_html(content: ReportContent) -> str:
    """The page as text; all that comes from outside is escaped."""
    table, candidates = content.table, content.candidates
    base = reference(table)
    contrasts = [contrast(one, base, content.rows.get(at)) for at, one in enumerate(table)]
    foretold = agreement(candidates, table)
    drawing = draw_svg(content.architecture, content.inputs) if content.architecture else None
    return render(
        "report.html.j2",
        content=content,
        verdict=verdict(table, judged_rows(table, content.rows)),
        names=NAMES,
        random=random_architectures(table),
        base=base,
        lines=list(zip(table, contrasts, strict=True)),
        trainings=sum(len(standing.results) for standing in table),
        failures=[one for one in candidates if one.failure is not None],
        scored=sum(one.scored for one in candidates),
        given_up=sum(one.rejected for one in candidates),
        agreement=foretold,
        swept=[standing for standing in table if standing.trials],
        help={key: known.description for key, known in Recipe.model_fields.items()} | SEARCH_HELP,
        terms=terms(content.architecture),
        plots=_plots(content, contrasts, foretold),
        drawing=figure(drawing, "drawing") if drawing else None,
    )


def _plots(content: ReportContent, contrasts: list[Contrast], foretold: Agreement | None) -> dict[str, dict[str, Any]]:
    """SVG by name and by `wide` or `narrow`: a page shows the one that fits."""
    table, candidates = content.table, content.candidates
    others = [one for one in contrasts if one.model is not one.other and one.seeds is not None]
    made: dict[str, Any] = {"cost": lambda width: cost_plot(table, candidates, width)}
    if others:
        made["intervals"] = lambda width: intervals_plot(others, [one.model.model for one in others], width)
    if candidates:
        made["progress"] = lambda width: progress_plot(candidates, width)
    if foretold is not None and len(foretold.pairs) > 2:
        made["agreement"] = lambda width: agreement_plot(foretold, width)
    widths = {"wide": WIDE, "narrow": NARROW}
    return {
        name: {size: figure(draw(width), f"{name}-{size}") for size, width in widths.items()}
        for name, draw in made.items()
    }
