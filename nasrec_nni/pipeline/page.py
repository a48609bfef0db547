"""What the page of a run says, gathered from its folder."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from nasrec_nni.analysis.data_page import other_notes
from nasrec_nni.analysis.leaderboard import Standing
from nasrec_nni.analysis.report import ReportContent, render_report
from nasrec_nni.analysis.verdict import RowDifference
from nasrec_nni.architecture.json import load_architecture
from nasrec_nni.architecture.value import Architecture
from nasrec_nni.data.describing import describe
from nasrec_nni.pipeline.context import Context
from nasrec_nni.pipeline.search import read_records
from nasrec_nni.pipeline.staleness import read_record


def write_page(context: Context, table: Sequence[Standing], rows: RowDifference | None) -> None:
    """Write RUN/report/index.html.

    Args:
        context: of the run.
        table: standings in order.
        rows: winner minus rival over the test rows.
    """
    config, folder, prepared = context.config, context.folder, context.prepared
    manifest = folder.read_manifest()
    records = read_records(folder)
    content = ReportContent(
        title=folder.path.absolute().name,
        table=tuple(table),
        architecture=_best_searched(context, table),
        inputs=(prepared.dense_width, len(prepared.rows_per_field)),
        candidates=tuple((r.live_macs, r.facts["log_loss"]) for r in records if r.live_macs is not None),
        data=_data(context),
        recipe=config.retrain.recipe.model_dump(mode="json"),
        search={
            "space": config.space.name,
            "blocks": context.space.blocks,
            "supernet strategy": config.supernet.strategy,
            "supernet warm-up": config.supernet.warmup,
            "algorithm": config.search.algorithm,
            "candidates": len(records),
            "failed candidates": sum(record.failure is not None for record in records),
            "objective": ", ".join(config.search.all_objectives),
        },
        versions=manifest["versions"],
        hardware=manifest["hardware"],
        seeds=config.retrain.seeds,
        test_reads=manifest["test_reads"],
        created=datetime.now(timezone.utc),
        best_log_loss=prepared.facts.get("best_log_loss", {}).get("test"),
        commit=manifest["commit"],
        notes=tuple(_notes(context)),
        rows=rows,
    )
    render_report(content, folder.page)


def _best_searched(context: Context, table: Sequence[Standing]) -> Architecture | None:
    """The first searched one of the standings, as it was found, dead parts included."""
    identity = next((standing.architecture for standing in table if standing.kind == "searched"), None)
    return None if identity is None else load_architecture(context.folder.retrain / identity / "architecture.json")


def _data(context: Context) -> dict[str, Any]:
    prepared = context.prepared
    return {
        "rows": len(prepared.label),
        "splits": prepared.split_sizes(),
        "dense columns": list(prepared.dense_names),
        "sparse fields": list(prepared.sparse_names),
        "clicks": f"{float(prepared.label.mean()):.2%}",
        "fingerprint": prepared.fingerprint,
    }


def _notes(context: Context) -> list[str]:
    found = other_notes(describe(context.prepared))  # the roles of the columns are the data page's
    if not context.prepared.dense_names:
        found.append("The data has no dense column; one column of zeros stands in for it.")
    schema = context.prepared.schema
    if schema.weight is not None:
        found.append(f"Rows count by their weight (column {schema.weight}) in every loss and figure.")
    if schema.negative_rate < 1:
        found.append(
            f"Training saw {schema.negative_rate:.0%} of its rows without a click, and was corrected for it: "
            "scores are those of the whole log."
        )
    record = read_record(context.folder, "search")
    if record is not None and record.get("result", {}).get("exhausted"):
        found.append("The search ended early: it found no further architecture in this space.")
    return found
