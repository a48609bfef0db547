"""MovieLens-1M's folder as a click log by the usual rule: above 3 is a click, below is none, 3 is left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nasrec_nni.data.sources.base import Chunk, Columns, LogSource
from nasrec_nni.data.sources.text import Layout, batches, data_line, open_text
from nasrec_nni.data.splits import SplitName
from nasrec_nni.errors import UserError

USER = ("gender", "age", "occupation", "zip")
FIELDS = ("user", "item", *USER, "genres")
RATINGS = ("ratings.csv.gz", "ratings.csv", "ratings.dat")
SEPARATOR = "::"
NEUTRAL = 3


@dataclass
class Source(LogSource):
    """Ratings in file order; seven categorical fields, values as written; no numeric one.

    The folder has `users.dat` (user::gender::age::occupation::zip), `movies.dat` (item::title::genres, latin-1)
    and the ratings as `ratings.dat` (user::item::rating::time) or as CSV (user,item,rating).
    """

    default_split: ClassVar[SplitName] = "permutation"
    default_min_count: ClassVar[int] = 1

    def columns(self) -> Columns:
        self._ratings()
        for name in ("users.dat", "movies.dat"):
            if not (self._folder / name).is_file():
                raise UserError("file not found", where=str(self._folder / name), hint="Name the MovieLens-1M folder")
        self.notes.append("rating above 3 is a click, below 3 is none, 3 is left out")
        return Columns("rating above 3", {}, dict.fromkeys(FIELDS, "an identifier or attribute in MovieLens' format"))

    @property
    def _folder(self) -> Path:
        return self.only_input("one folder of MovieLens-1M")

    def _ratings(self) -> Path:
        for name in RATINGS:
            if (self._folder / name).is_file():
                return self._folder / name
        raise UserError("no ratings found", where=str(self._folder), allowed=", ".join(RATINGS))

    def chunks(self) -> Iterator[Chunk]:
        users = _side_table(self._folder / "users.dat", 5, "latin-1")
        movies = _side_table(self._folder / "movies.dat", 3, "latin-1")
        path = self._ratings()
        strangers = {"users.dat": 0, "movies.dat": 0}
        for user, item, rating in _dat(path) if path.suffix == ".dat" else _csv(path):
            kept = pc.not_equal(rating, NEUTRAL)
            user, item, rating = user.filter(kept), item.filter(kept), rating.filter(kept)
            of_user = pc.index_in(user, value_set=users[0])
            of_item = pc.index_in(item, value_set=movies[0])
            strangers["users.dat"] += of_user.null_count
            strangers["movies.dat"] += of_item.null_count
            sparse = {"user": user, "item": item}
            sparse |= {name: users[index].take(of_user) for index, name in enumerate(USER, 1)}
            sparse["genres"] = movies[2].take(of_item)
            yield Chunk((rating.to_numpy() > NEUTRAL).astype(np.float32), {}, sparse)
        self.warnings = [
            f"{count:,} rows name a {name.removesuffix('s.dat')} that {name} does not have: its attributes are missing"
            for name, count in strangers.items()
            if count
        ]


def _side_table(path: Path, width: int, encoding: str) -> list[Any]:
    """Columns of a small `::` file as Arrow strings; the first is its key."""
    rows: list[list[str | None]] = []
    keys = set()
    with open_text(path, encoding) as stream:
        for line, text in enumerate(stream, 1):
            fields = text.rstrip("\r\n").split(SEPARATOR)
            where = f"{path}:{line}"
            if len(fields) != width:
                found = f"{len(fields)} fields"
                raise UserError("a line has another number of fields", value=found, where=where, allowed=str(width))
            if fields[0] in keys:
                raise UserError("this identifier came before", value=fields[0], where=where)
            keys.add(fields[0])
            rows.append([field or None for field in fields])
    return [pa.array(column, pa.string()) for column in (zip(*rows, strict=True) if rows else [()] * width)]


def _stars(column: Any, path: Path, line: Any) -> Any:
    found = pc.index_in(column, value_set=pa.array(["1", "2", "3", "4", "5"]))
    if found.null_count:
        row = int(np.flatnonzero(found.is_null().to_numpy(zero_copy_only=False))[0])
        raise UserError(
            "not a rating", value=column[row].as_py() or "", where=f"{path}:{line(row)}", allowed="1, 2, 3, 4 or 5"
        )
    return pc.add(found, 1)


def _csv(path: Path) -> Iterator[tuple[Any, Any, Any]]:
    with open_text(path) as stream:
        header = stream.readline().rstrip("\r\n").split(",")
    if header[:3] != ["user", "item", "rating"]:
        raise UserError(
            "not the header of ratings", value=",".join(header), where=f"{path}:1", allowed="user,item,rating"
        )
    layout = Layout(header)
    first = 0
    for batch in batches(path, layout):
        stars = _stars(batch["rating"], path, lambda row, first=first: data_line(path, layout, first + row))
        yield batch["user"], batch["item"], stars
        first += len(batch)


def _dat(path: Path) -> Iterator[tuple[Any, Any, Any]]:
    """`::` as pyarrow sees it: every second field is empty."""
    names = [f"{kind}{index}" for index in range(4) for kind in ("field", "gap")][:-1]
    layout = Layout(names, ":", quoted=False, header=False)
    first = 0
    for batch in batches(path, layout):
        stars = _stars(batch["field2"], path, lambda row, first=first: data_line(path, layout, first + row))
        yield batch["field0"], batch["field1"], stars
        first += len(batch)
