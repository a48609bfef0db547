"""What the page of a run says, gathered from its folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from nasrec_nni.analysis.candidates import Candidate
from nasrec_nni.analysis.data_page import other_notes
from nasrec_nni.analysis.html import shown
from nasrec_nni.analysis.leaderboard import Standing
from nasrec_nni.analysis.paired import RowDifference
from nasrec_nni.analysis.report import ReportContent, render_report
from nasrec_nni.analysis.stage_times import StageTime
from nasrec_nni.architecture.json import load_architecture
from nasrec_nni.architecture.value import Architecture
from nasrec_nni.data.describing import describe
from nasrec_nni.pipeline.budget.ledger import told as budget_told
from nasrec_nni.pipeline.context import Context
from nasrec_nni.pipeline.search import read_records
from nasrec_nni.pipeline.staleness import ALL, read_record
from nasrec_nni.run_folder import RunFolder
from nasrec_nni.strategies.search import REJECTED, Record

HARDWARE = {"memory_gib": "memory, GiB"}
# What a stage's record says that people want to know.
TOLD = {
    "rows": "rows",
    "steps": "steps",
    "candidates": "candidates",
    "failed": "failed",
    "trials": "trials",
    "trained": "trainings",
}


def write_page(context: Context, table: Sequence[Standing], rows: Mapping[int, RowDifference]) -> None:
    """Write RUN/report/index.html.

    Args:
        context: of the run.
        table: standings in order.
        rows: of each model against the reference over the test rows, by its place in the table.
    """
    config, folder, prepared = context.config, context.folder, context.prepared
    manifest = folder.read_manifest()
    records = read_records(folder)
    content = ReportContent(
        title=folder.path.absolute().name,
        table=tuple(table),
        architecture=_best_searched(context, table),
        inputs=(prepared.dense_width, len(prepared.rows_per_field)),
        candidates=tuple(map(candidate_of, records)),
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
        hardware={HARDWARE.get(key, key): value for key, value in manifest["hardware"].items()},
        seeds=tuple(sorted({seed for standing in table for seed in standing.seeds})),
        test_reads=manifest["test_reads"],
        created=datetime.now(timezone.utc),
        best_log_loss=prepared.facts.get("best_log_loss", {}).get("test"),
        commit=manifest["commit"],
        notes=tuple(_notes(context, table)),
        rows=rows,
        stages=tuple(stage_times(folder)),
        config=folder.config.read_text(encoding="utf-8"),
    )
    render_report(content, folder.page)


def candidate_of(record: Record) -> Candidate:
    """A record as the page shows it."""
    return Candidate(
        record.number,
        record.id,
        record.live_macs,
        record.facts.get("log_loss"),
        record.failure,
        REJECTED in record.facts,
    )


def stage_times(folder: RunFolder) -> Iterator[StageTime]:
    """The stages that are done, with what they took."""
    for name in ALL:
        record = read_record(folder, name)
        if record is not None and record["state"] == "done":
            told = {key: value for key, value in record.get("result", {}).items() if key in TOLD}
            words = ", ".join(f"{shown(value)} {TOLD[key]}" for key, value in told.items())
            yield StageTime(name, record["seconds"], record["cpu_seconds"], words)


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


def _notes(context: Context, table: Sequence[Standing]) -> list[str]:
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
    if (sweep := context.config.retrain.sweep) is not None:
        found.append(
            f"Every model has a recipe of its own: the best of {sweep.trials} trials by validation log loss, with one "
            "seed; the first trial is the recipe below. The test split was closed. Chosen: "
            + "; ".join(f"{standing.model}: {standing.recipe}" for standing in table)
            + "."
        )
    found += budget_told(context.folder)
    record = read_record(context.folder, "search")
    if record is not None and record.get("result", {}).get("exhausted"):
        found.append("The search ended early: it found no further architecture in this space.")
    return found
