"""What the manifest says of each column, and what a person should know before training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasrec_nni.data.preparing.counting import Tally
from nasrec_nni.data.preparing.drift import Sample, of_values
from nasrec_nni.data.preparing.tallies import DenseTally, FieldTally
from nasrec_nni.data.preparing.vocabulary import CLICKS, TEST, TRAIN, VAL, Vocabulary
from nasrec_nni.data.schema import Schema, SparseColumn
from nasrec_nni.data.split_names import SPLITS

TOP = 10
SHOWN = 100  # characters of a value
REPEATED = 20  # rows of values that come again, from which a perfect prediction is worth a warning


def sizes(tally: Tally) -> dict[str, dict[str, int]]:
    """Rows and clicks of each split."""
    return {
        split: {"rows": int(tally.rows[index]), "clicks": int(tally.clicks[index])}
        for index, split in enumerate(SPLITS)
    }


def facts(tally: Tally) -> dict[str, Any]:
    """`best_log_loss` per split, where the probabilities are planted."""
    if tally.best is None:
        return {}
    return {
        "best_log_loss": {split: float(tally.best[index] / tally.rows[index]) for index, split in enumerate(SPLITS)}
    }


def columns(schema: Schema, tally: Tally, vocabularies: Sequence[Vocabulary], sample: Sample) -> list[dict[str, Any]]:
    """Plain values per column."""
    found = [
        _dense(column.name, known) | {"histogram": histogram, "drift": drift}
        for column, known, (histogram, drift) in zip(schema.dense, tally.dense, sample.histograms(), strict=True)
    ]
    return found + [
        _sparse(column, known, vocabulary)
        for column, known, vocabulary in zip(schema.sparse, tally.fields, vocabularies, strict=True)
    ]


def _per_split(counts: NDArray[Any]) -> dict[str, int]:
    return {split: int(counts[index]) for index, split in enumerate(SPLITS)}


def _by_group(counts: NDArray[Any]) -> dict[str, int]:
    """`[4]` by group, training rows with and without a click together."""
    return _per_split(np.array([counts[TRAIN] + counts[CLICKS], counts[VAL], counts[TEST]]))


def _dense(name: str, known: DenseTally) -> dict[str, Any]:
    moments = known.moments
    return {
        "column": name,
        "role": "numeric",
        "missing": _per_split(known.missing),
        "negative": _per_split(known.negative),
        "minimum": moments.minimum if moments.count else None,
        "maximum": moments.maximum if moments.count else None,
        "mean": moments.mean if moments.count else None,
        "tells_label": known.tells_label,
    }


def _sparse(column: SparseColumn, known: FieldTally, vocabulary: Vocabulary) -> dict[str, Any]:
    # of a hashed column most rows may be empty
    seen = known.seen if vocabulary.ids is not None else known.seen[known.seen.any(1)]
    train = seen[:, TRAIN].astype(np.int64) + seen[:, CLICKS]
    stranger, rare = train == 0, np.zeros(len(train), bool)
    if vocabulary.ids is not None:
        rare = (vocabulary.ids == 1) & ~stranger
    missing = _by_group(known.missing)
    found: dict[str, Any] = {
        "column": column.name,
        "role": "categorical",
        "encoding": column.encoding,
        "distinct": len(seen) if vocabulary.values is not None else None,
        "vocabulary": len(vocabulary.counts) if vocabulary.values is not None else None,
        "missing": missing,
        "rare": _by_group(seen[rare].sum(0, dtype=np.int64)),
        "unseen": _by_group(seen[stranger].sum(0, dtype=np.int64)),
        "top": _top(vocabulary, int(train.sum()) + missing["train"]),
        "drift": of_values(train, seen[:, VAL], (missing["train"], missing["val"])),
        "tells_label": _tells_label(known, vocabulary),
    }
    if column.separator is not None:
        found |= {"longest": known.longest, "truncated": known.truncated}
    return found


def _top(vocabulary: Vocabulary, rows: int) -> list[dict[str, Any]]:
    if vocabulary.values is None:
        return []
    most = min(TOP, len(vocabulary.counts))
    counts, clicks = vocabulary.counts[:most], vocabulary.clicks[:most]
    found = zip(vocabulary.values.slice(0, most).to_pylist(), counts, clicks, strict=True)
    return [
        {
            "value": value if len(value) <= SHOWN else value[:SHOWN] + "…",
            "count": int(count),
            "share": int(count) / rows,
            "click_rate": int(click) / int(count),
        }
        for value, count, click in found
    ]


def _tells_label(known: FieldTally, vocabulary: Vocabulary) -> bool:
    """Every value that comes again in training has one label only, and both labels occur among them."""
    if vocabulary.values is None:
        return False
    pairs = np.vstack([known.seen[:, [TRAIN, CLICKS]], known.missing[[TRAIN, CLICKS]]]).astype(np.int64)
    again = pairs[pairs.sum(1) > 1]
    mixed = (again > 0).all(1).any()
    return bool(not mixed and again.sum() >= REPEATED and (again.sum(0) > 0).all())


def warnings(
    schema: Schema, splits: Mapping[str, Mapping[str, int]], described: Sequence[dict[str, Any]], rows: int
) -> list[str]:
    """Sentences, most general first."""
    found = []
    for name, size in splits.items():
        if size["clicks"] in (0, size["rows"]):
            which = "no click" if not size["clicks"] else "nothing but clicks"
            found.append(f"split {name} has {which} among {size['rows']} rows: AUC is undefined there")
    if not schema.dense:
        found.append("no numeric column: one column of zeros stands in for the dense side")
    if not schema.sparse:
        found.append(
            "no categorical column: no network can be built; prepare numeric columns as categories "
            "(--categorical COLUMN, or --transform COLUMN=log2_bins)"
        )
    for column in described:
        found += [f"column {column['column']}: {told}" for told in _column_warnings(column, rows)]
    return found


def _column_warnings(column: Mapping[str, Any], rows: int) -> list[str]:
    found = []
    if column["tells_label"]:
        found.append("predicts the label of all training rows without a mistake: is it known before the click?")
    if column["role"] == "numeric":
        if column["minimum"] is not None and column["minimum"] == column["maximum"] and not _any(column["missing"]):
            found.append("the same value in every training row")
        elif column["minimum"] is None:
            found.append("no training row has a value")
        return found
    if column["distinct"] is None:
        return found
    if column["distinct"] == rows:
        found.append("every row has a value of its own, so it cannot help on new rows")
    elif column["distinct"] and not column["vocabulary"]:
        found.append("no value is frequent enough for an id of its own; lower min_count")
    elif not column["distinct"]:
        found.append("no row has a value")
    elif column["distinct"] == 1 and not _any(column["missing"]):
        found.append("the same value in every row")
    if column.get("truncated"):
        found.append(f"{column['truncated']:,} cells have more values than max_length, up to {column['longest']}")
    return found


def _any(counts: Mapping[str, int]) -> bool:
    return any(counts.values())
