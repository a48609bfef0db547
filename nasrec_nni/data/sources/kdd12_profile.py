"""Gender and age of KDD Cup 2012's users, looked up by the batch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nasrec_nni.data.sources.base import Meter
from nasrec_nni.data.sources.records import Layout, locate
from nasrec_nni.data.sources.text import batches
from nasrec_nni.data.sources.values import Place, compact, parsed
from nasrec_nni.errors import UserError

LAYOUT = Layout(("UserID", "Gender", "Age"), "\t", quoted=False, header=False)
UNKNOWN = "0"
NOBODY = -1  # stands for an empty user
EXACT = 2**53  # integers beyond it are not exact as float64


@dataclass(frozen=True)
class Profile:
    """All users.

    Attributes:
        users: `[U]` int64, rising.
        codes: per attribute `[U]` index into `values`.
        values: per attribute its distinct values, Arrow strings; the first is what a stranger has.
    """

    users: NDArray[np.int64]
    codes: tuple[NDArray[Any], ...]
    values: tuple[Any, ...]

    @classmethod
    def read(cls, path: Path, meter: Meter | None = None) -> Profile:
        """The file's content.

        Raises:
            UserError: a bad line, or a user that came before.
        """
        users: list[NDArray[np.int64]] = []
        codes: list[list[NDArray[Any]]] = [[], []]
        known: list[dict[str, int]] = [{UNKNOWN: 0}, {UNKNOWN: 0}]
        first = 0
        for batch in batches(path, LAYOUT, LAYOUT.names[1:], LAYOUT.names[:1], meter=meter):
            users.append(_identifiers(batch["UserID"], Place(path, first, LAYOUT)))
            for index, name in enumerate(LAYOUT.names[1:]):
                column, book = batch[name], known[index]
                numbers = [book.setdefault(value, len(book)) for value in column.dictionary.to_pylist()]
                table = np.array([*numbers, 0])
                codes[index].append(_small(table[column.indices.fill_null(len(numbers)).to_numpy()]))
            first += len(batch)
        everyone = np.concatenate(users) if users else np.empty(0, np.int64)
        attributes = [np.concatenate(part) if part else np.empty(0, np.int8) for part in codes]
        if not (everyone[1:] > everyone[:-1]).all():
            order = np.argsort(everyone, kind="stable")
            everyone = everyone[order]
            twice = np.flatnonzero(everyone[1:] == everyone[:-1])
            if len(twice):
                row = int(order[1:][twice].min())
                line, record = locate(path, LAYOUT, row)
                raise UserError("this user came before", value=record[0], where=f"{path}:{line}")
            attributes = [part[order] for part in attributes]
        return cls(everyone, tuple(attributes), tuple(pa.array(list(book), pa.string()) for book in known))

    def of(self, users: NDArray[np.int64]) -> tuple[list[Any], int]:
        """Per attribute a dictionary column for the rows' users, and how many rows have a stranger.

        Args:
            users: `[n]`.
        """
        at = np.minimum(np.searchsorted(self.users, users), max(0, len(self.users) - 1))
        known = self.users[at] == users if len(self.users) else np.zeros(len(users), bool)
        found = []
        for codes, values in zip(self.codes, self.values, strict=True):
            mine = np.where(known, codes[at], 0) if len(codes) else np.zeros(len(users), np.int32)
            found.append(compact(pa.DictionaryArray.from_arrays(pa.array(mine.astype(np.int32)), values)))
        return found, int(len(known) - known.sum())


def _identifiers(column: Any, place: Place) -> NDArray[np.int64]:
    """`[n]` int64. They are read as numbers, since a dictionary of values that all differ costs five times as much."""
    found = parsed(column)
    with np.errstate(invalid="ignore"):
        bad = ~((found >= 0) & (found < EXACT) & (found == np.floor(found)))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        place.refuse("UserID is not an identifier", "UserID", column, row, allowed="0, 1, 2, and so on")
    return found.astype(np.int64)


def _small(codes: NDArray[np.int64]) -> NDArray[Any]:
    return codes.astype(np.int8 if codes.max(initial=0) < 128 else np.int32)


def integers(column: Any, name: str, place: Place) -> NDArray[np.int64]:
    """`[n]` int64 of a dictionary column; an empty cell is `NOBODY`. Raises UserError for what is no integer."""
    cells = column.dictionary
    plain = pc.match_substring_regex(cells, r"^(0|[1-9]\d{0,17})$")
    if not pc.all(plain).as_py() and len(cells):
        mask = np.append(~plain.to_numpy(zero_copy_only=False), False)
        codes = column.indices.fill_null(len(cells)).to_numpy()
        row = int(np.flatnonzero(mask[codes])[0])
        place.refuse(f"{name} is not an identifier", name, column, row, allowed="0, 1, 2, and so on")
    table = np.append(pc.cast(cells, pa.int64()).to_numpy(), NOBODY)
    found: NDArray[np.int64] = table[column.indices.fill_null(len(cells)).to_numpy()]
    return found
