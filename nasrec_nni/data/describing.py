"""What `nasrec inspect` says about a prepared set."""

from __future__ import annotations

from typing import Any

from nasrec_nni.data.prepared import PreparedSet
from nasrec_nni.data.schema import DenseColumn, SparseColumn


def describe(prepared: PreparedSet) -> dict[str, Any]:
    """Plain values: rows, splits, every column with its role, reason and counts, notes and warnings."""
    manifest = prepared.manifest
    reasons = {column.name: _dense(column) for column in prepared.schema.dense}
    reasons |= {column.name: _sparse(column) for column in prepared.schema.sparse}
    return {
        "folder": str(prepared.folder),
        "fingerprint": prepared.fingerprint,
        "source": manifest["source"],
        "command": manifest["command"],
        "inputs": manifest["inputs"],
        "options": manifest["options"],
        "versions": manifest["versions"],
        "made": manifest["made"],
        "rows": manifest["rows"],
        "label": prepared.schema.label,
        "dense": len(prepared.dense_names),
        "sparse": len(prepared.sparse_names),
        "ignored": list(prepared.schema.ignored),
        "time": prepared.schema.time,
        "weight": prepared.schema.weight,
        "splits": manifest["splits"],
        "left_out": manifest.get("negatives", manifest).get("left_out", 0),
        "negative_rate": prepared.negative_rate,
        "facts": prepared.facts,
        "columns": [column | reasons[column["column"]] for column in manifest["columns"]],
        "notes": manifest["notes"],
        "warnings": manifest["warnings"],
        "files": manifest["files"],
    }


def _dense(column: DenseColumn) -> dict[str, Any]:
    return {"reason": column.reason, "transform": column.transform.name, "ids": None}


def _sparse(column: SparseColumn) -> dict[str, Any]:
    return {
        "reason": column.reason,
        "min_count": column.min_count if column.encoding == "vocabulary" else None,
        "ids": column.rows,
        "bins": column.bins,
        "separator": column.separator,
        "length": column.length,
    }
