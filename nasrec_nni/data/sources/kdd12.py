"""KDD Cup 2012, track 2: `training.txt` joined with `userid_profile.txt` on the user."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nasrec_nni.data.sources.base import Chunk, Columns, LogSource, SourceOptions
from nasrec_nni.data.sources.kdd12_profile import Profile, integers
from nasrec_nni.data.sources.raw import RawRows, Wanted
from nasrec_nni.data.sources.raw_text import LayoutReader, as_written
from nasrec_nni.data.sources.records import Layout
from nasrec_nni.data.sources.text import batches
from nasrec_nni.data.sources.values import Place, numbers, weights
from nasrec_nni.data.split_names import SplitName
from nasrec_nni.data.transforms import TransformName
from nasrec_nni.errors import UserError

CLICK, USER, IMPRESSION = "Click", "UserID", "Impression"
FILE = (
    *(CLICK, IMPRESSION, "DisplayURL", "AdID", "AdvertiserID", "Depth", "Position"),
    *("QueryID", "KeywordID", "TitleID", "DescriptionID", USER),
)
NUMBERS = (IMPRESSION, "Depth", "Position")
JOINED = ("Gender", "Age")
# rows of the authors' tables, in their order: SPEC section 9
ROWS = {
    "DisplayURL": 26274,
    "AdID": 641708,
    "AdvertiserID": 14848,
    "QueryID": 22122011,
    "KeywordID": 1188090,
    "TitleID": 3735797,
    "DescriptionID": 2934102,
    USER: 20004011,
    "Gender": 4,
    "Age": 8,
}
LAYOUT = Layout(FILE, "\t", quoted=False, header=False)
UNLABELLED = tuple(Layout(FILE[start:], "\t", quoted=False, header=False) for start in (1, 2))
TRAINING, TEST, PROFILE = "training.txt", "test.txt", "userid_profile.txt"
ENDINGS = ("", ".gz", ".zst")


class Options(SourceOptions):
    """What the impressions are."""

    weight: bool = Field(False, description="Impression weighs its row instead of being a feature")


@dataclass
class Source(LogSource):
    """A row is a click if it has any; the authors neither expand nor weigh its impressions.

    A user without a profile has gender 0 and age 0, which in the profile mean unknown.
    """

    Options = Options
    default_split: ClassVar[SplitName] = "nasrec"
    transform: ClassVar[TransformName | None] = "log1p"
    default_hash_rows: ClassVar[Mapping[str, int]] = ROWS

    @cached_property
    def _paths(self) -> tuple[Path, Path]:
        """The log and the profile, by their names."""
        return self._named(TRAINING)

    def _named(self, log: str) -> tuple[Path, Path]:
        given = list(self.inputs)
        if len(given) == 1 and given[0].is_dir():
            given = [given[0] / (name + end) for name in (log, PROFILE) for end in ENDINGS]
            given = [path for path in given if path.is_file()]
        found = []
        for name in (log, PROFILE):
            paths = [path for path in given if path.name in [name + end for end in ENDINGS]]
            if len(paths) != 1:
                raise UserError(
                    f"source 'kdd12' takes one {name}",
                    value=", ".join(path.name for path in given) or "none",
                    where="inputs",
                    allowed=f"{log} and {PROFILE} (also .gz, .zst), or the folder of both",
                )
            found += paths
        if len(given) != len(found):
            raise UserError(
                "source 'kdd12' takes two files",
                value=", ".join(path.name for path in given),
                where="inputs",
                allowed=f"{log} and {PROFILE}",
            )
        return found[0], found[1]

    @property
    def _numbers(self) -> tuple[str, ...]:
        return tuple(name for name in NUMBERS if name != IMPRESSION or not self.options.weight)

    def columns(self) -> Columns:
        if self.split == "given":
            raise UserError("source 'kdd12' names no splits", value="given", where="split", hint="Use nasrec")
        log, profile = self._paths
        self.notes.append(f"a row of {log.name} with any click is a click")
        self.notes.append(f"{', '.join(JOINED)}: joined from {profile.name} on {USER}")
        if self.options.weight:
            self.notes.append(f"{IMPRESSION}: weight of the row, as asked for")
        return Columns(
            CLICK,
            dict.fromkeys(self._numbers, "a number in KDD Cup 2012's format"),
            dict.fromkeys(ROWS, "an identifier or attribute in KDD Cup 2012's format"),
            weight=IMPRESSION if self.options.weight else None,
        )

    def chunks(self) -> Iterator[Chunk]:
        path, profile = self._paths
        self.meter.total, self.meter.done = sum(file.stat().st_size for file in self._paths), 0
        people = Profile.read(profile, self.meter)
        categories = [name for name in ROWS if name not in JOINED]
        first = strangers = 0
        for batch in batches(path, LAYOUT, categories, (CLICK, *NUMBERS), meter=self.meter):
            place = Place(path, first, LAYOUT)
            joined, absent = people.of(integers(batch[USER], USER, place))
            strangers += absent
            yield Chunk(
                _clicked(batch[CLICK], place),
                {name: numbers(batch[name], name, place, "Mend that line") for name in self._numbers},
                {name: batch[name] for name in categories} | dict(zip(JOINED, joined, strict=True)),
                weight=weights(batch[IMPRESSION], IMPRESSION, place) if self.options.weight else None,
            )
            first += len(batch)
        self.refuse_empty(path, first)
        told = f"{strangers:,} rows have a user without a profile: gender and age are 0 there, as for an unknown one"
        self.warnings = [told] if strangers else []

    def raw_rows(self, wanted: Wanted) -> Iterator[RawRows]:
        """`test.txt`, which has neither clicks nor impressions, is taken too where it is named."""
        tests = any(path.name in [TEST + end for end in ENDINGS] for path in self.inputs)
        path, profile = self._named(TEST if tests else TRAINING)
        self.meter.total, self.meter.done = sum(file.stat().st_size for file in (path, profile)), 0
        people = Profile.read(profile, self.meter)
        reader = LayoutReader(path, (LAYOUT, *UNLABELLED))
        wanted.refuse_absent([*reader.names, *JOINED], str(path))
        label, weight = wanted.optional(reader.names)
        kept = [name for name in wanted.kept if name not in JOINED]
        texts = [USER, *(name for name in wanted.categories if name not in JOINED), *kept]
        others = [name for name in (label, weight, *wanted.numbers) if name and name not in texts]
        first = 0
        for batch in reader.batches(list(dict.fromkeys(texts)), others, self.meter):
            place = Place(path, first, reader.layout)
            joined = dict(zip(JOINED, people.of(integers(batch[USER], USER, place))[0], strict=True))
            yield RawRows(
                len(batch),
                {name: numbers(batch[name], name, place, "Mend that line") for name in wanted.numbers},
                {name: joined[name] if name in joined else batch[name] for name in wanted.categories},
                _clicked(batch[label], place) if label else None,
                weights(batch[weight], weight, place) if weight else None,
                {name: as_written(joined[name] if name in joined else batch[name]) for name in wanted.kept},
            )
            first += len(batch)
        self.refuse_empty(path, first)


def _clicked(column: Any, place: Place) -> NDArray[np.float32]:
    """1 where the number of clicks is above 0."""
    clicks = numbers(column, CLICK, place, "Mend that line")
    bad = ~((clicks >= 0) & (clicks == np.floor(clicks)))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        place.refuse("not a number of clicks", CLICK, column, row, allowed="0, 1, 2, and so on")
    found: NDArray[np.float32] = (clicks > 0).astype(np.float32)
    return found
