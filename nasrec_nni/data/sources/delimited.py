"""A delimited text file with a header, as batches of columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa

from nasrec_nni.data.sources.base import Meter
from nasrec_nni.data.sources.header import listed, read_header
from nasrec_nni.data.sources.records import Layout
from nasrec_nni.data.sources.text import batches
from nasrec_nni.data.sources.values import Place
from nasrec_nni.errors import UserError


class DelimitedReader:
    """One file.

    Attributes:
        path: the file.
        layout: how it is cut.
    """

    def __init__(self, path: Path, delimiter: str, missing: Sequence[str] = (), *, quoted: bool = True) -> None:
        self.path = path
        self.layout = Layout(read_header(path, delimiter, quoted), delimiter, quoted)
        self._missing = missing

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.layout.names)

    def place(self, first: int) -> Place:
        return Place(self.path, first, self.layout)

    def sample(self, rows: int) -> Mapping[str, Any]:
        """The first rows as strings."""
        taken, size = [], 0
        # closed by name: an interrupt that comes while a generator is collected is lost
        with closing(batches(self.path, self.layout, self.names, plain=True, missing=self._missing)) as found:
            for batch in found:
                taken.append(batch.slice(0, rows - size))
                size += len(taken[-1])
                if size >= rows:
                    break
        if not taken:
            return {name: pa.array([], pa.string()) for name in self.names}
        table = pa.Table.from_batches(taken)
        return {name: table[name].combine_chunks() for name in self.names}

    def batches(self, categories: Sequence[str], numbers: Sequence[str], meter: Meter | None = None) -> Iterator[Any]:
        """Record batches: categories as dictionary<int32, string>, numbers float64 if they are; null for missing."""
        return batches(self.path, self.layout, categories, numbers, missing=self._missing, meter=meter)


def refuse_other_headers(readers: Sequence[DelimitedReader]) -> None:
    """Raise UserError for a header that is not the first file's."""
    names = readers[0].names
    for reader in readers[1:]:
        other = reader.names
        if other == names:
            continue
        if sorted(other) == sorted(names):
            wrong, hint = "the same columns in another order", "Write the files with one order of columns"
        else:
            wrong = next((name for name in other if name not in names), None) or "no column " + next(
                name for name in names if name not in other
            )
            hint = "Write the files with the same columns"
        raise UserError(
            f"another header than {readers[0].path.name}",
            value=wrong,
            where=f"{reader.path}:1",
            allowed=listed(names),
            hint=hint,
        )
