"""A MovieLens folder as a click log by the usual rule: above 3 is a click, below is none, 3 is left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nasrec_nni.data.sources.base import Chunk, Columns, LogSource
from nasrec_nni.data.sources.movielens_files import KINDS, USER, Kind, Ratings, ratings_of
from nasrec_nni.data.sources.raw import RawRows, Wanted
from nasrec_nni.data.sources.times import Clock
from nasrec_nni.data.sources.values import Place
from nasrec_nni.data.split_names import SplitName
from nasrec_nni.errors import UserError

FIELDS = ("user", "item", *USER, "genres")
NEUTRAL = 3
TIME = "timestamp"


@dataclass
class Source(LogSource):
    """Ratings in file order; seven categorical fields, values as written; no numeric one.

    The folder of MovieLens-1M has `users.dat` (user::gender::age::occupation::zip), `movies.dat` (item::title::genres,
    latin-1) and the ratings as `ratings.dat` (user::item::rating::time) or as CSV (user,item,rating). That of
    MovieLens-100k has `u.user`, `u.item` and `u.data`; its flags of genres become the same text as in the other.
    Where the ratings have a time, a split can go by it.
    """

    default_split: ClassVar[SplitName] = "permutation"
    default_min_count: ClassVar[int] = 1

    def columns(self) -> Columns:
        ratings = self._ratings
        for name in (self._kind.users, self._kind.items):
            if not (self._folder / name).is_file():
                raise UserError(
                    "file not found", where=str(self._folder / name), hint=f"Name the {self._kind.name} folder"
                )
        self.notes.append("rating above 3 is a click, below 3 is none, 3 is left out")
        fields = dict.fromkeys(FIELDS, "an identifier or attribute in MovieLens' format")
        return Columns("rating above 3", {}, fields, time=TIME if ratings.time else None)

    @property
    def _folder(self) -> Path:
        return self.only_input("one folder of MovieLens-1M or MovieLens-100k")

    @cached_property
    def _found(self) -> tuple[Kind, Path]:
        for kind in KINDS:
            for name in kind.ratings:
                if (self._folder / name).is_file():
                    return kind, self._folder / name
        allowed = ", ".join(name for kind in KINDS for name in kind.ratings)
        raise UserError("no ratings found", where=str(self._folder), allowed=allowed)

    @property
    def _kind(self) -> Kind:
        return self._found[0]

    @cached_property
    def _ratings(self) -> Ratings:
        return ratings_of(self._found[1])

    def chunks(self) -> Iterator[Chunk]:
        kind, ratings = self._kind, self._ratings
        users = kind.read_users(self._folder / kind.users)
        items = kind.read_items(self._folder / kind.items)
        strangers = {"user": 0, "movie": 0}
        clock = Clock(TIME)
        self.meter.total, self.meter.done = ratings.path.stat().st_size, 0
        for batch, place in ratings.batches(self.meter):
            assert ratings.rating is not None
            stars = _stars(batch[ratings.rating], ratings.rating, place)
            kept = pc.not_equal(stars, NEUTRAL)
            time = None
            if ratings.time:
                mask = kept.to_numpy(zero_copy_only=False)
                time = clock.read(batch[ratings.time], place, ratings.time)[mask]
            user, item = batch[ratings.user].filter(kept), batch[ratings.item].filter(kept)
            of_user = pc.index_in(user, value_set=users[0])
            of_item = pc.index_in(item, value_set=items[0])
            strangers["user"] += of_user.null_count
            strangers["movie"] += of_item.null_count
            sparse = {"user": user, "item": item}
            sparse |= {name: users[index].take(of_user) for index, name in enumerate(USER, 1)}
            sparse["genres"] = items[1].take(of_item)
            yield Chunk((stars.filter(kept).to_numpy() > NEUTRAL).astype(np.float32), {}, sparse, time=time)
        files = {"user": kind.users, "movie": kind.items}
        self.warnings = [
            f"{count:,} rows name a {what} that {files[what]} does not have: its attributes are missing"
            for what, count in strangers.items()
            if count
        ]

    def raw_rows(self, wanted: Wanted) -> Iterator[RawRows]:
        """All ratings; those of 3 stars are neither a click nor none. A CSV without ratings is taken too."""
        kind, ratings = self._kind, ratings_of(self._found[1], rated=False)
        known = {"user": ratings.user, "item": ratings.item} | ({TIME: ratings.time} if ratings.time else {})
        wanted.refuse_absent([*FIELDS, *known], str(ratings.path))
        users = kind.read_users(self._folder / kind.users)
        items = kind.read_items(self._folder / kind.items)
        self.meter.total, self.meter.done = ratings.path.stat().st_size, 0
        for batch, place in ratings.batches(self.meter):
            columns = {name: batch[column] for name, column in known.items()}
            of_user = pc.index_in(columns["user"], value_set=users[0])
            columns |= {name: users[index].take(of_user) for index, name in enumerate(USER, 1)}
            columns["genres"] = items[1].take(pc.index_in(columns["item"], value_set=items[0]))
            label = None
            if ratings.rating and wanted.label:
                stars = _stars(batch[ratings.rating], ratings.rating, place).to_numpy(zero_copy_only=False)
                label = np.where(stars == NEUTRAL, np.nan, stars > NEUTRAL).astype(np.float32)
            categories = {name: columns[name] for name in wanted.categories}
            kept = {name: columns[name] for name in wanted.kept}
            yield RawRows(len(batch), {}, categories, label, None, kept)


def _stars(column: Any, name: str, place: Place) -> Any:
    found = pc.index_in(column, value_set=pa.array(["1", "2", "3", "4", "5"]))
    if found.null_count:
        row = int(np.flatnonzero(found.is_null().to_numpy(zero_copy_only=False))[0])
        place.refuse("not a rating", name, column, row, allowed="1, 2, 3, 4 or 5")
    return pc.add(found, 1)
