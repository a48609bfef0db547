"""Criteo's logs: no header, tabs; label, 13 integers, 26 hashed categories. Kaggle's file and the Terabyte's days."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nasrec_nni.data.sources.base import Chunk, Columns, LogSource
from nasrec_nni.data.sources.files import Inputs
from nasrec_nni.data.sources.raw import RawRows, Wanted
from nasrec_nni.data.sources.raw_text import LayoutReader, raw_rows
from nasrec_nni.data.sources.records import Layout
from nasrec_nni.data.sources.text import batches
from nasrec_nni.data.sources.values import Place, labels, numbers
from nasrec_nni.data.split_names import SplitName
from nasrec_nni.data.transforms import TransformName
from nasrec_nni.errors import UserError

LABEL = "label"
FILE = "file"  # stands for a time
INTEGERS = tuple(f"I{index}" for index in range(1, 14))
CATEGORIES = tuple(f"C{index}" for index in range(1, 27))
LAYOUT = Layout((LABEL, *INTEGERS, *CATEGORIES), "\t", quoted=False, header=False)
UNLABELLED = Layout((*INTEGERS, *CATEGORIES), "\t", quoted=False, header=False)
# rows of the authors' tables: SPEC section 9
ROWS: tuple[int, ...] = (1461, 584, 10131227, 2202609, 306, 25, 12518, 634, 4, 93146, 5684, 8351593, 3195)
ROWS += (28, 14993, 5461307, 11, 5653, 2174, 5, 7046548, 19, 16, 286182, 106, 142573)


@dataclass
class Source(LogSource):
    """`train.txt` of Kaggle, `day_0` to `day_23` of the Terabyte log, plain or compressed, or a folder of them.

    Files of a folder are read in the order of the numbers in their names. The log has no times: a split by time goes
    by whole files, the order of several being that of their days.
    """

    default_split: ClassVar[SplitName] = "nasrec"
    transform: ClassVar[TransformName | None] = "log1p"
    default_hash_rows: ClassVar[Mapping[str, int]] = dict(zip(CATEGORIES, ROWS, strict=True))
    decimal_first: ClassVar[bool] = False

    def columns(self) -> Columns:
        if not self.inputs:
            raise UserError("source 'criteo' needs a file", where="inputs")
        files = Inputs.of(self)
        self.notes.extend(files.notes)
        by_file = self._by_file(files)
        if by_file:
            self.notes.append(f"{FILE}: time of the row, its file's place among {len(files.files)}")
        return Columns(
            LABEL,
            dict.fromkeys(INTEGERS, "an integer in Criteo's format"),
            dict.fromkeys(CATEGORIES, "a hashed category in Criteo's format"),
            time=FILE if by_file else None,
        )

    def raw_rows(self, wanted: Wanted) -> Iterator[RawRows]:
        """Kaggle's `test.txt`, which has no label, is taken too."""
        files = Inputs.of(self)
        yield from raw_rows(self, files, [LayoutReader(path, (LAYOUT, UNLABELLED)) for path, _ in files.files], wanted)

    def _by_file(self, files: Inputs) -> bool:
        return self.split == "by_time" and len(files.files) > 1

    def chunks(self) -> Iterator[Chunk]:
        files = Inputs.of(self)
        by_file = self._by_file(files)
        for place_of_file, (path, part) in enumerate(files.start(self.meter)):
            first = 0
            for batch in batches(path, LAYOUT, (LABEL, *CATEGORIES), INTEGERS, meter=self.meter):
                place = Place(path, first, LAYOUT)
                yield Chunk(
                    labels(batch[LABEL], LABEL, place),
                    {name: numbers(batch[name], name, place, "Mend that line") for name in INTEGERS},
                    {name: batch[name] for name in CATEGORIES},
                    self.whole_part(part, len(batch)),
                    time=np.full(len(batch), float(place_of_file)) if by_file else None,
                )
                first += len(batch)
            files.ended(path, first, self.warnings)
