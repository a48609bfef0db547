"""A comparison as a page, as CSV and as a Markdown table."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from nasrec_nni.analysis.axes import NARROW, WIDE
from nasrec_nni.analysis.comparison import Comparison
from nasrec_nni.analysis.comparison_plot import overlay_plot
from nasrec_nni.analysis.glossary import terms
from nasrec_nni.analysis.html import count, figure, render, signed
from nasrec_nni.analysis.intervals import intervals_plot
from nasrec_nni.analysis.leaderboard import FIGURES, Figure
from nasrec_nni.analysis.paired import Contrast
from nasrec_nni.analysis.verdict import NAMES
from nasrec_nni.files import write_text

PAGE, CSV, MARKDOWN = "index.html", "comparison.csv", "comparison.md"
LEFT_OUT = frozenset({"supernet", "score", "tau", "block", "merger", "embedding", "candidate"})


def write_comparison(found: Comparison, folder: Path) -> dict[str, str]:
    """Write all three below `folder`; their paths by what they are."""
    texts = {"page": (PAGE, page_html(found)), "csv": (CSV, as_csv(found)), "markdown": (MARKDOWN, as_markdown(found))}
    for name, text in texts.values():
        write_text(folder / name, text)
    return {what: str(folder / name) for what, (name, _) in texts.items()}


def page_html(found: Comparison) -> str:
    """The page as text; all that comes from outside is escaped."""
    others = [one for one in found.contrasts if one.model is not one.other and one.seeds is not None]
    plots: dict[str, Any] = {"overlay": lambda width: overlay_plot(found, width)}
    if others:
        plots["intervals"] = lambda width: intervals_plot(others, [one.model.model for one in others], width)
    return render(
        "compare.html.j2",
        found=found,
        names=NAMES,
        lines=list(zip(found.entries, found.contrasts, strict=True)),
        terms=terms(None, LEFT_OUT),
        plots={
            name: {size: figure(draw(width), f"{name}-{size}") for size, width in (("wide", WIDE), ("narrow", NARROW))}
            for name, draw in plots.items()
        },
    )


def lines(found: Comparison) -> list[dict[str, Any]]:
    """One flat record per model, best first, with unrounded figures."""
    records = []
    for rank, (entry, against) in enumerate(zip(found.entries, found.contrasts, strict=True), 1):
        one = entry.standing
        record: dict[str, Any] = {"rank": rank, "run": ", ".join(entry.runs), "model": entry.model, "kind": one.kind}
        record |= {"architecture": one.architecture, "seeds": list(one.seeds)}
        for name in FIGURES:
            value: Figure | None = getattr(one, name)
            record |= {name: value and value.mean, f"{name}_deviation": value and value.deviation}
        record |= {"live_macs": one.live_macs, "parameters": one.parameters, "all_parameters": one.all_parameters}
        record |= {"trials": one.trials, "recipe": one.recipe}
        records.append(record | against_record(against))
    return records


def against_record(one: Contrast) -> dict[str, Any]:
    """The difference with both intervals; None where there is none."""
    seeds, rows = one.seeds, one.rows
    itself = one.model is one.other
    return {
        "against": one.other.model,
        "difference": None if itself or seeds is None else seeds.mean,
        "over_seeds": None if itself or seeds is None or seeds.low is None else [seeds.low, seeds.high],
        "over_rows": None if itself or rows is None else [rows.low, rows.high],
        "within_noise": None if itself else one.within_noise,
    }


def as_csv(found: Comparison) -> str:
    """`comparison.csv`: a row per model; an interval is two columns, what is None stays empty."""
    rows = []
    for record in lines(found):
        flat = {key: value for key, value in record.items() if key not in ("over_seeds", "over_rows")}
        flat["seeds"] = " ".join(map(str, record["seeds"]))
        for name in ("over_seeds", "over_rows"):
            low, high = record[name] or (None, None)
            flat |= {f"{name}_low": low, f"{name}_high": high}
        rows.append(flat)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_markdown(found: Comparison) -> str:
    """The table for a README, the verdict and what the columns mean below it."""
    base = found.base.standing.model
    head = ["run", "model", "test log loss", f"difference to {base}", "test AUC", "calibration", "live MACs"]
    head += ["parameters", "with embeddings", "CPU s"]
    body = []
    for entry, against in zip(found.entries, found.contrasts, strict=True):
        one = entry.standing
        calibration = "–" if one.calibration is None else one.calibration.text(3)
        cells = [
            ", ".join(entry.runs),
            entry.model,
            _text(one.test_log_loss),
            _difference(against),
            _text(one.test_auc),
            calibration,
        ]
        cells += [count(one.live_macs), count(one.parameters), count(one.all_parameters)]
        body.append([*map(_cell, cells), one.train_cpu_seconds.text(0)])
    rows = [[*map(_cell, head)], ["---", "---", *["---:"] * (len(head) - 2)], *body]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    seeds = sorted({seed for entry in found.entries for seed in entry.standing.seeds})
    words = (
        f"{found.verdict.headline} Mean ± sample deviation over seeds {', '.join(map(str, seeds))}, by the "
        "winner rule (mean validation log loss). Difference: paired, with 95 % intervals over seeds (Student's "
        "t) and over test rows; below 0 is better. Calibration: predicted over observed click rate. CPU s: of one "
        "training. "
        f"Data fingerprint `{found.data['fingerprint']}`."
    )
    return f"{table}\n\n{_cell(words)}\n"


def _cell(text: str) -> str:
    """Text of others within a Markdown table: no cell, line or tag of its own."""
    for mark in "\\|<>*_":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())


def _text(value: Figure | None, digits: int = 4) -> str:
    return "–" if value is None else value.text(digits)


def _difference(one: Contrast) -> str:
    if one.model is one.other:
        return "reference"
    if one.seeds is None:
        return "–"
    parts = []
    if one.seeds.low is not None and one.seeds.high is not None:
        parts.append(f"seeds {signed(one.seeds.low)} to {signed(one.seeds.high)}")
    if one.rows is not None:
        parts.append(f"rows {signed(one.rows.low)} to {signed(one.rows.high)}")
    return signed(one.seeds.mean) + (f" ({', '.join(parts)})" if parts else "")
