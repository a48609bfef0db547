"""What a data report says about a prepared set: counts per column and split, and warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from nasrec_nni.data.sources.base import Columns
from nasrec_nni.data.staging import Staged
from nasrec_nni.data.vocabulary import Vocabulary


@dataclass(frozen=True)
class Counts:
    """Plain values for the manifest.

    Attributes:
        rows: `N`.
        splits: rows and clicks of each.
        columns: per column its role, distinct values and, per split, how many cells are missing, negative,
            rare (in the training rows, but less than `min_count` times) or unseen (not in the training rows).
        facts: `best_log_loss` per split where the probabilities are planted.
        warnings: what a person should know before training.
    """

    rows: int
    splits: dict[str, dict[str, int]]
    columns: list[dict[str, Any]]
    facts: dict[str, Any]
    warnings: list[str]

    @classmethod
    def of(
        cls,
        staged: Staged,
        columns: Columns,
        splits: Mapping[str, NDArray[np.int64]],
        vocabularies: Sequence[Vocabulary],
    ) -> Counts:
        sizes = {name: {"rows": len(rows), "clicks": int(staged.label[rows].sum())} for name, rows in splits.items()}
        found = [_dense(name, staged.dense[:, index], splits) for index, name in enumerate(columns.dense)]
        found += [
            _sparse(name, staged.codes[:, index], vocabularies[index], splits)
            for index, name in enumerate(columns.sparse)
        ]
        return cls(staged.rows, sizes, found, _facts(staged, splits), _warnings(sizes, found, staged.rows))


def _dense(name: str, values: NDArray[np.float64], splits: Mapping[str, NDArray[np.int64]]) -> dict[str, Any]:
    parts = {split: values[rows] for split, rows in splits.items()}
    return {
        "column": name,
        "role": "numeric",
        "missing": {split: int(np.isnan(part).sum()) for split, part in parts.items()},
        "negative": {split: int((part < 0).sum()) for split, part in parts.items()},
    }


def _sparse(
    name: str, codes: NDArray[np.int32], vocabulary: Vocabulary, splits: Mapping[str, NDArray[np.int64]]
) -> dict[str, Any]:
    missing, rare, unseen = {}, {}, {}
    for split, rows in splits.items():
        part = codes[rows]
        missing[split] = int((part < 0).sum())
        present = part[part >= 0]
        unseen[split] = int((vocabulary.seen[present] == 0).sum())
        rare[split] = int((vocabulary.ids[present] == 1).sum()) - unseen[split]
    return {
        "column": name,
        "role": "categorical",
        "distinct": len(vocabulary.seen),
        "vocabulary": len(vocabulary.counts),
        "missing": missing,
        "rare": rare,
        "unseen": unseen,
    }


def _facts(staged: Staged, splits: Mapping[str, NDArray[np.int64]]) -> dict[str, Any]:
    if not len(staged.probability):
        return {}
    p = np.asarray(staged.probability)
    entropy = entr(p) + entr(1 - p)
    return {"best_log_loss": {split: float(entropy[rows].mean()) for split, rows in splits.items()}}


def _warnings(splits: Mapping[str, Mapping[str, int]], columns: Sequence[dict[str, Any]], rows: int) -> list[str]:
    found = []
    for name, size in splits.items():
        if size["clicks"] in (0, size["rows"]):
            which = "no click" if not size["clicks"] else "nothing but clicks"
            found.append(f"split {name} has {which} among {size['rows']} rows: AUC is undefined there")
    roles = {column["role"] for column in columns}
    if "numeric" not in roles:
        found.append("no numeric column: one column of zeros stands in for the dense side")
    if "categorical" not in roles:
        found.append(
            "no categorical column: no network can be built; prepare numeric columns as categories "
            "(--categorical COLUMN)"
        )
    for column in columns:
        if column["role"] != "categorical":
            continue
        name = column["column"]
        if column["distinct"] == rows:
            found.append(f"column {name}: every row has a value of its own, so it cannot help on new rows")
        elif column["distinct"] and not column["vocabulary"]:
            found.append(f"column {name}: no value is frequent enough for an id of its own; lower min_count")
        elif column["distinct"] <= 1 and not any(column["missing"].values()):
            found.append(f"column {name}: the same value in every row")
    return found
