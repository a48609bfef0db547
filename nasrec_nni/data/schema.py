"""What the columns of a prepared set are: frozen values, written beside the arrays as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from nasrec_nni.data.transforms import Transform

TEXT = "text"  # kind of a column that came as text
RESERVED = 2  # ids 0 (missing) and 1 (rare or unseen) of every field with a vocabulary
PADDING = -1  # behind the values of a multi-valued field
EncodingName = Literal["vocabulary", "hash_mod", "hash"]


@dataclass(frozen=True)
class DenseColumn:
    """A numeric column.

    Attributes:
        name: as in the log.
        transform: what made the stored float32 of the raw number.
        reason: why the column is numeric, and why this transform.
    """

    name: str
    transform: Transform
    reason: str


@dataclass(frozen=True)
class SparseColumn:
    """A categorical column, a field of the networks.

    Attributes:
        name: as in the log.
        rows: ids in use: the vocabulary and the two reserved ones, or `n_f` of a hashed field.
        min_count: fewest training rows that give a value its own id.
        reason: why the column is categorical.
        encoding: how a value becomes an id.
        bins: the column is a number in the log, and `log2_bins` makes its categories.
        separator: stands between the values of a cell; None for one value.
        length: columns of the array: most values of a cell that are kept.
        decimal_first: how `hash_mod` reads a value.
        kind: `text`, or the Arrow type that the log had the column in.
    """

    name: str
    rows: int
    min_count: int
    reason: str
    encoding: EncodingName = "vocabulary"
    bins: bool = False
    separator: str | None = None
    length: int = 1
    decimal_first: bool = True
    kind: str = TEXT


@dataclass(frozen=True)
class Schema:
    """All columns; `dense` and `sparse` in the order of the arrays.

    Attributes:
        label: column of clicks.
        dense: numeric columns.
        sparse: fields.
        ignored: columns left out.
        time: column that `by_time` splits by.
        weight: column of row weights.
        missing: words that mean no value, beside the empty field.
        negative_rate: share of training rows without a click that negative sampling has kept; training on them
            takes `log(negative_rate)` off the logit, so that scores are those of the whole log.
    """

    label: str
    dense: tuple[DenseColumn, ...]
    sparse: tuple[SparseColumn, ...]
    ignored: tuple[str, ...] = ()
    time: str | None = None
    weight: str | None = None
    missing: tuple[str, ...] = ()
    negative_rate: float = 1.0

    @property
    def lengths(self) -> tuple[int, ...]:
        """Columns of the sparse array per field."""
        return tuple(column.length for column in self.sparse)

    def as_dict(self) -> dict[str, Any]:
        found = asdict(self)
        for column in found["dense"]:
            column["transform"]["knots"] = list(column["transform"]["knots"])
        return found | {name: list(found[name]) for name in ("dense", "sparse", "ignored", "missing")}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Schema:
        """The inverse of `as_dict`."""

        def transform(found: Mapping[str, Any]) -> Transform:
            return Transform(**{**found, "knots": tuple(found["knots"])})

        return cls(
            content["label"],
            tuple(DenseColumn(one["name"], transform(one["transform"]), one["reason"]) for one in content["dense"]),
            tuple(SparseColumn(**one) for one in content["sparse"]),
            tuple(content["ignored"]),
            content["time"],
            content["weight"],
            tuple(content["missing"]),
            content["negative_rate"],
        )
