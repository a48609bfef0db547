"""Criteo's display advertising log: no header, tabs; label, 13 integers, 26 hashed categories."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from nasrec_nni.data.sources.base import Chunk, Columns, LogSource
from nasrec_nni.data.sources.text import Layout, batches, labels, numbers
from nasrec_nni.data.splits import SplitName
from nasrec_nni.data.transforms import TransformName
from nasrec_nni.errors import UserError

LABEL = "label"
INTEGERS = tuple(f"I{index}" for index in range(1, 14))
CATEGORIES = tuple(f"C{index}" for index in range(1, 27))
LAYOUT = Layout((LABEL, *INTEGERS, *CATEGORIES), "\t", quoted=False, header=False)


@dataclass
class Source(LogSource):
    """One file, or several that are read one after the other."""

    default_split: ClassVar[SplitName] = "nasrec"
    transform: ClassVar[TransformName | None] = "log1p"

    def columns(self) -> Columns:
        if not self.inputs:
            raise UserError("source 'criteo' needs a file", where="inputs")
        return Columns(
            LABEL,
            dict.fromkeys(INTEGERS, "an integer in Criteo's format"),
            dict.fromkeys(CATEGORIES, "a hashed category in Criteo's format"),
        )

    def chunks(self) -> Iterator[Chunk]:
        for path, part in zip(self.inputs, self.parts(), strict=True):
            first = 0
            for batch in batches(path, LAYOUT):
                yield Chunk(
                    labels(batch[LABEL], LABEL, path, LAYOUT, first),
                    {name: numbers(batch[name], name, path, LAYOUT, first, "Mend that line") for name in INTEGERS},
                    {name: batch[name] for name in CATEGORIES},
                    self.whole_part(part, len(batch)),
                )
                first += len(batch)
            self.refuse_empty(path, first)
