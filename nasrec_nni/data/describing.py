"""What `nasrec inspect` says about a prepared set."""

from __future__ import annotations

from typing import Any

from nasrec_nni.data.prepared import PreparedSet


def describe(prepared: PreparedSet) -> dict[str, Any]:
    """Plain values: rows, splits, every column with its role, reason and counts, notes and warnings."""
    manifest = prepared.manifest
    reasons = {
        column.name: {"reason": column.reason, "transform": column.transform.name, "ids": None}
        for column in prepared.schema.dense
    } | {
        column.name: {"reason": column.reason, "min_count": column.min_count, "ids": column.rows}
        for column in prepared.schema.sparse
    }
    return {
        "folder": str(prepared.folder),
        "fingerprint": prepared.fingerprint,
        "source": manifest["source"],
        "options": manifest["options"],
        "rows": manifest["rows"],
        "label": prepared.schema.label,
        "dense": len(prepared.dense_names),
        "sparse": len(prepared.sparse_names),
        "ignored": list(prepared.schema.ignored),
        "splits": manifest["splits"],
        "facts": prepared.facts,
        "columns": [column | reasons[column["column"]] for column in manifest["columns"]],
        "notes": manifest["notes"],
        "warnings": manifest["warnings"],
    }
