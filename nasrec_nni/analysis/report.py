"""The page of a run: one self-contained HTML file that asks nothing of the network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from nasrec_nni.analysis.drawing import draw_svg
from nasrec_nni.analysis.leaderboard import WINNER_RULE, Standing
from nasrec_nni.analysis.plots import cost_plot, progress_plot
from nasrec_nni.analysis.style import INK, MUTED, PAPER
from nasrec_nni.analysis.verdict import RowDifference, random_architectures, verdict
from nasrec_nni.architecture.value import Architecture
from nasrec_nni.files import write_text

Facts = Mapping[str, object]


@dataclass(frozen=True)
class ReportContent:
    """Everything that the page says; it reads no run folder.

    Args:
        title: what was searched on, say the name of the run.
        table: standings by the winner rule, best first.
        architecture: the best searched architecture as it was found, dead parts included; None if none was trained.
        inputs: dense columns (`w_0`) and sparse fields, for the drawing.
        candidates: live MACs and supernet validation log loss of each searched architecture, in order.
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
        rows: winner minus rival over the test rows, if their predictions are at hand.
    """

    title: str
    table: tuple[Standing, ...]
    architecture: Architecture | None
    inputs: tuple[int, int]
    candidates: tuple[tuple[int, float], ...]
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
    rows: RowDifference | None = None


def render_report(content: ReportContent, path: Path) -> None:
    """Write the page atomically.

    Raises:
        ValueError: no model was trained.
    """
    write_text(path, report_html(content))


def report_html(content: ReportContent) -> str:
    """The page as text; all that comes from outside is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("nasrec_nni.analysis"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"count": _count, "shown": shown}
    drawing = draw_svg(content.architecture, content.inputs) if content.architecture else None
    progress = progress_plot([loss for _, loss in content.candidates]) if content.candidates else None
    return environment.get_template("report.html.j2").render(
        content=content,
        verdict=verdict(content.table, content.rows),
        random=random_architectures(content.table),
        trainings=sum(len(standing.results) for standing in content.table),
        cost=Markup(inline(cost_plot(content.table, content.candidates), "cost")),
        progress=Markup(inline(progress, "progress")) if progress else None,
        drawing=Markup(inline(drawing, "drawing")) if drawing else None,
    )


def inline(svg: str, prefix: str) -> str:
    """An SVG file as an element of a page: no prolog, ids of its own, the page's light or dark colours."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'(?<=\bid=")', f"{prefix}-", body)
    body = re.sub(r'(?<=href="#)|(?<=url\(#)', f"{prefix}-", body)
    for colour, variable in ((INK, "ink"), (MUTED, "muted"), (PAPER, "paper")):
        body = body.replace(colour, f"var(--{variable})")
    return body


def _count(value: int) -> str:
    """`1.45 M`, `33.8 k`, `13`: three digits."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {letter}" if value / size < 999.5 else f"{value / size:.0f} {letter}"
    return str(value)


def shown(value: object) -> str:
    """A fact as people read it: thousands apart, lists with commas, nothing as a dash."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, (list, tuple)):
        return ", ".join(shown(item) for item in value) or "–"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {shown(item)}" for key, item in value.items()) or "–"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
