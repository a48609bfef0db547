"""What the columns of a prepared set are: frozen values, written beside the arrays as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nasrec_nni.data.transforms import Transform

RESERVED = 2  # ids 0 (missing) and 1 (rare or unseen) of every field


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
    """A categorical column.

    Attributes:
        name: as in the log.
        rows: ids in use: the vocabulary and the two reserved ones.
        min_count: fewest training rows that give a value its own id.
        reason: why the column is categorical.
    """

    name: str
    rows: int
    min_count: int
    reason: str


@dataclass(frozen=True)
class Schema:
    """All columns; `dense` and `sparse` in the order of the arrays."""

    label: str
    dense: tuple[DenseColumn, ...]
    sparse: tuple[SparseColumn, ...]
    ignored: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        found = asdict(self)
        return found | {name: list(found[name]) for name in ("dense", "sparse", "ignored")}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Schema:
        """The inverse of `as_dict`."""
        return cls(
            content["label"],
            tuple(DenseColumn(one["name"], Transform(**one["transform"]), one["reason"]) for one in content["dense"]),
            tuple(SparseColumn(**one) for one in content["sparse"]),
            tuple(content["ignored"]),
        )
