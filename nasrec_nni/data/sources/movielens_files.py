"""The files of a MovieLens folder: what each holds, by the set it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from nasrec_nni.data.sources.base import Meter
from nasrec_nni.data.sources.opening import lines
from nasrec_nni.data.sources.records import Layout
from nasrec_nni.data.sources.text import batches
from nasrec_nni.data.sources.values import Place
from nasrec_nni.errors import UserError

USER = ("gender", "age", "occupation", "zip")
# the flags at the end of a line of u.item, in order
GENRES = (
    *(
        "unknown",
        "Action",
        "Adventure",
        "Animation",
        "Children's",
        "Comedy",
        "Crime",
        "Documentary",
        "Drama",
        "Fantasy",
    ),
    *("Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)


@dataclass(frozen=True)
class Ratings:
    """A file of ratings.

    Attributes:
        path: the file.
        layout: how it is cut.
        user, item, rating: names of its columns; None for ratings that are not there.
        time: of the time stamps, None if there are none.
    """

    path: Path
    layout: Layout
    user: str
    item: str
    rating: str | None
    time: str | None

    def batches(self, meter: Meter) -> Iterator[tuple[Any, Place]]:
        """Batches of strings, each with its place."""
        wanted = [name for name in (self.user, self.item, self.rating, self.time) if name]
        first = 0
        for batch in batches(self.path, self.layout, wanted, plain=True, meter=meter):
            yield batch, Place(self.path, first, self.layout)
            first += len(batch)


@dataclass(frozen=True)
class Kind:
    """One of the published sets.

    Attributes:
        name: of the set.
        ratings: file names, the first that is there is taken.
        users: file name of the users.
        items: file name of the items.
        read_users: columns `user, gender, age, occupation, zip` as Arrow strings.
        read_items: columns `item, genres`.
    """

    name: str
    ratings: tuple[str, ...]
    users: str
    items: str
    read_users: Callable[[Path], list[Any]]
    read_items: Callable[[Path], list[Any]]


def ratings_of(path: Path, *, rated: bool = True) -> Ratings:
    """How a file of ratings is cut. Raises UserError for a CSV with another header, without ratings if `rated`."""
    if path.name == "u.data":
        columns = ("user", "item", "rating", "timestamp")
        return Ratings(path, Layout(columns, "\t", quoted=False, header=False), *columns)
    if path.suffix == ".dat":
        # `::` as pyarrow sees it: every second field is empty
        names = tuple(f"{kind}{index}" for index in range(4) for kind in ("field", "gap"))[:-1]
        return Ratings(path, Layout(names, ":", quoted=False, header=False), "field0", "field1", "field2", "field3")
    header = next(lines(path), (1, ""))[1].split(",")
    if not rated and header[:2] == ["user", "item"] and "rating" not in header:
        time = next((name for name in ("timestamp", "time") if name in header[2:]), None)
        return Ratings(path, Layout(header), "user", "item", None, time)
    if header[:3] != ["user", "item", "rating"]:
        raise UserError(
            "not the header of ratings", value=",".join(header), where=f"{path}:1", allowed="user,item,rating"
        )
    time = next((name for name in ("timestamp", "time") if name in header[3:]), None)
    return Ratings(path, Layout(header), "user", "item", "rating", time)


def side_table(path: Path, separator: str, width: int) -> list[Any]:
    """Columns of a small file in latin-1 as Arrow strings; the first is its key.

    Raises:
        UserError: a line of another width, or a key that came before.
    """
    rows: list[list[str | None]] = []
    keys = set()
    for line, text in lines(path, "latin-1"):
        fields = text.split(separator)
        where = f"{path}:{line}"
        if len(fields) != width:
            found = f"{len(fields)} fields"
            raise UserError("a line has another number of fields", value=found, where=where, allowed=str(width))
        if fields[0] in keys:
            raise UserError("this identifier came before", value=fields[0], where=where)
        keys.add(fields[0])
        rows.append([field or None for field in fields])
    return [pa.array(column, pa.string()) for column in (zip(*rows, strict=True) if rows else [()] * width)]


def _genres(flags: Sequence[Any], path: Path) -> Any:
    """Names of the flags that are 1, joined as in MovieLens-1M."""
    found: list[str | None] = []
    for number, row in enumerate(zip(*(column.to_pylist() for column in flags), strict=True), 1):
        for flag in row:
            if flag not in ("0", "1"):
                raise UserError("not the flag of a genre", value=flag or "", where=f"{path}:{number}", allowed="0 or 1")
        found.append("|".join(name for name, flag in zip(GENRES, row, strict=True) if flag == "1") or None)
    return pa.array(found, pa.string())


def _users_100k(path: Path) -> list[Any]:
    user, age, gender, occupation, code = side_table(path, "|", 5)
    return [user, gender, age, occupation, code]


def _items_100k(path: Path) -> list[Any]:
    columns = side_table(path, "|", 5 + len(GENRES))
    return [columns[0], _genres(columns[5:], path)]


def _items_1m(path: Path) -> list[Any]:
    item, _, genres = side_table(path, "::", 3)
    return [item, genres]


KINDS = (
    Kind(
        "MovieLens-1M",
        ("ratings.csv.gz", "ratings.csv", "ratings.dat"),
        "users.dat",
        "movies.dat",
        lambda path: side_table(path, "::", 5),
        _items_1m,
    ),
    Kind("MovieLens-100k", ("u.data",), "u.user", "u.item", _users_100k, _items_100k),
)
