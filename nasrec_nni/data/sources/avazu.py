"""Avazu's log of mobile clicks (Kaggle): CSV with a header; every column but `click` is a category."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from pydantic import Field

from nasrec_nni.data.sources.base import Chunk, Columns, LogSource, SourceOptions
from nasrec_nni.data.sources.delimited import DelimitedReader, refuse_other_headers
from nasrec_nni.data.sources.files import Inputs
from nasrec_nni.data.sources.raw import RawRows, Wanted
from nasrec_nni.data.sources.raw_text import raw_rows
from nasrec_nni.data.sources.times import Clock
from nasrec_nni.data.sources.values import labels
from nasrec_nni.data.split_names import SplitName
from nasrec_nni.errors import UserError

LABEL, ID, HOUR = "click", "id", "hour"
# rows of the authors' tables, in their order: SPEC section 9
ROWS = {
    ID: 10000,
    HOUR: 241,
    "C1": 8,
    "banner_pos": 8,
    "site_id": 4738,
    "site_domain": 7746,
    "site_category": 27,
    "app_id": 8553,
    "app_domain": 560,
    "app_category": 37,
    "device_id": 2686409,
    "device_ip": 6729487,
    "device_model": 8252,
    "device_type": 6,
    "device_conn_type": 5,
    "C14": 2627,
    "C15": 9,
    "C16": 10,
    "C17": 436,
    "C18": 5,
    "C19": 69,
    "C20": 173,
    "C21": 61,
}


class Options(SourceOptions):
    """What is kept."""

    keep_id: bool | None = Field(
        None,
        description="keep the row's id as a category; off by default, though the authors' layout has it",
    )


@dataclass
class Source(LogSource):
    """`train.csv`, plain or compressed, or several such files, or a folder of them. `hour` (YYMMDDHH) orders rows."""

    Options = Options
    default_split: ClassVar[SplitName] = "nasrec"
    default_hash_rows: ClassVar[Mapping[str, int]] = ROWS

    @cached_property
    def _inputs(self) -> Inputs:
        if not self.inputs:
            raise UserError("source 'avazu' needs a file", where="inputs")
        return Inputs.of(self)

    @cached_property
    def _readers(self) -> Sequence[DelimitedReader]:
        readers = [DelimitedReader(path, ",") for path, _ in self._inputs.files]
        first = readers[0]
        absent = [name for name in (LABEL, *ROWS) if name not in first.names]
        if absent:
            raise UserError(
                "not the header of Avazu's log",
                value=f"no column {', '.join(absent)}",
                where=f"{first.path}:1",
                allowed=", ".join((ID, LABEL, *list(ROWS)[1:])),
                hint="Kaggle's test.csv has no clicks: name train.csv" if absent == [LABEL] else "Name train.csv",
            )
        refuse_other_headers(readers)
        return readers

    @cached_property
    def _fields(self) -> tuple[str, ...]:
        return tuple(name for name in ROWS if name != ID or self.options.keep_id)

    def columns(self) -> Columns:
        known = {LABEL, *ROWS}
        more = tuple(name for name in self._readers[0].names if name not in known)
        self.notes.extend(self._inputs.notes)
        if not self.options.keep_id:
            self.notes.append("id: ignored, no two rows share it; --keep-id keeps it, as the authors do")
        if more:
            self.notes.append(f"ignored, not in Avazu's log: {', '.join(more)}")
        ignored = (*((ID,) if not self.options.keep_id else ()), *more)
        return Columns(LABEL, {}, dict.fromkeys(self._fields, "a column of Avazu's log"), ignored, HOUR)

    def raw_rows(self, wanted: Wanted) -> Iterator[RawRows]:
        """Kaggle's `test.csv`, which has no clicks, is taken too."""
        readers = [DelimitedReader(path, ",") for path, _ in self._inputs.files]
        yield from raw_rows(self, self._inputs, readers, wanted)

    def chunks(self) -> Iterator[Chunk]:
        clock = Clock(HOUR)
        readers = {reader.path: reader for reader in self._readers}
        for path, part in self._inputs.start(self.meter):
            first = 0
            for batch in readers[path].batches((LABEL, *self._fields), (), self.meter):
                place = readers[path].place(first)
                yield Chunk(
                    labels(batch[LABEL], LABEL, place),
                    {},
                    {name: batch[name] for name in self._fields},
                    self.whole_part(part, len(batch)),
                    time=clock.read(batch[HOUR], place),
                )
                first += len(batch)
            self._inputs.ended(path, first, self.warnings)
