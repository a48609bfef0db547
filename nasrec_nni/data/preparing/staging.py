"""One pass over the log: rows go to scratch files as they come, values become codes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from tqdm import tqdm

from nasrec_nni.data.cells import codes_of, split_cells
from nasrec_nni.data.prefetch import ahead, in_parallel
from nasrec_nni.data.preparing.scratch import ChunkFile
from nasrec_nni.data.preparing.vocabulary import Book
from nasrec_nni.data.sources.base import Chunk, LogSource
from nasrec_nni.data.transforms import log2_bins
from nasrec_nni.errors import UserError

T = TypeVar("T")


@dataclass(frozen=True)
class Field:
    """A categorical column on its way: where its cells come from and who numbers them.

    Attributes:
        name: of the column.
        bins: it is a number that becomes a category.
        separator: between the values of a cell, None for one value.
        book: numbers the values.
    """

    name: str
    bins: bool
    separator: str | None
    book: Book


@dataclass(frozen=True)
class StagedChunk:
    """Rows read back.

    Attributes:
        label: `[n]` uint8.
        dense: per numeric column `[n]` float64, NaN for missing.
        codes: per field `[n]` cell numbers, `k` for missing.
        cells: per field `k`, or for a multi-valued one `(starts [k + 1], values)` into the chunk's values.
        part: `[n]` int8 as the log says it, or None.
        probability: `[n]`, or None.
        time: `[n]`, or None.
        weight: `[n]`, or None.
    """

    label: NDArray[np.uint8]
    dense: Sequence[NDArray[np.float64]]
    codes: Sequence[NDArray[Any]]
    cells: Sequence[tuple[NDArray[np.int32], NDArray[np.int32]] | int]
    part: NDArray[np.int8] | None
    probability: NDArray[np.float64] | None
    time: NDArray[np.float64] | None
    weight: NDArray[np.float32] | None


EXTRA = ("part", "probability", "time", "weight")


class Staged:
    """A log on disk, not yet split.

    Attributes:
        rows: `N`.
        clicks: of them.
        dense: names of the numeric columns.
        fields: the categorical ones; their books are finished.
        starts: first row of each chunk, and at last `N`.
        has: which of `EXTRA` the log gives.
        first: the first value of each numeric column; columns without one are not in it.
    """

    def __init__(
        self,
        dense: Sequence[str],
        fields: Sequence[Field],
        file: ChunkFile,
        missing: Sequence[str] = (),
        progress: bool = False,
    ) -> None:
        self.dense = tuple(dense)
        self.fields = tuple(fields)
        self.clicks = 0
        self.starts = [0]
        self.has: tuple[str, ...] = ()
        self.first: dict[str, float] = {}
        self._file = file
        self._progress = progress
        self._words = pa.array(["", *missing], pa.string())

    @property
    def rows(self) -> int:
        return self.starts[-1]

    def __len__(self) -> int:
        """Chunks."""
        return len(self.starts) - 1

    def add(self, chunk: Chunk) -> None:
        """Append a chunk's rows and give its values to the books."""
        label = chunk.label.astype(np.uint8)
        arrays: list[NDArray[Any]] = [label, *(_narrow(chunk.dense[name]) for name in self.dense)]
        for name in self.dense:
            if name not in self.first and len(known := np.flatnonzero(~np.isnan(chunk.dense[name]))):
                self.first[name] = float(chunk.dense[name][known[0]])
        for field in self.fields:
            column = log2_bins(chunk.dense[field.name]) if field.bins else chunk.sparse[field.name]
            codes, cells = codes_of(column)
            arrays.append(codes)
            if field.separator is None:
                field.book.add(cells)
                arrays.append(np.array([len(cells)], np.uint32))
            else:
                starts, places, values = split_cells(cells, field.separator, self._words)
                field.book.add(values)
                arrays += [starts, places]
        self.has = tuple(name for name in EXTRA if getattr(chunk, name) is not None)
        arrays += [getattr(chunk, name) for name in self.has]
        self._file.append(arrays)
        self.starts.append(self.rows + len(label))
        self.clicks += int(label.sum())

    def finish(self) -> None:
        """The whole log was added."""
        for field in self.fields:
            field.book.finish()
        self._file.close()
        pa.default_memory_pool().release_unused()  # what the parser has held

    def read(self, index: int) -> StagedChunk:
        """A chunk by its number."""
        arrays = iter(self._file.read(index))
        label = next(arrays)
        dense = [next(arrays).astype(np.float64, copy=False) for _ in self.dense]
        codes, cells = [], []
        for field in self.fields:
            codes.append(next(arrays))
            cells.append(int(next(arrays)[0]) if field.separator is None else (next(arrays), next(arrays)))
        extra = dict.fromkeys(EXTRA) | {name: next(arrays) for name in self.has}
        return StagedChunk(label, dense, codes, cells, **extra)

    def each(self, work: Callable[[int, int, StagedChunk], T], told: str | None = None) -> Iterator[T]:
        """`work` of number, first row and content of every chunk, in order, by all cores.

        Args:
            work: must not change what is shared.
            told: names the work on a progress bar.
        """

        def worked(index: int) -> T:
            return work(index, self.starts[index], self.read(index))

        shown = self._progress and told is not None
        with tqdm(total=self.rows, unit=" rows", unit_scale=True, desc=told, disable=not shown) as bar:
            for index, found in enumerate(in_parallel(range(len(self)), worked)):
                yield found
                bar.update(self.starts[index + 1] - self.starts[index])

    def column(self, name: str) -> NDArray[Any]:
        """`[N]` of `label` or one of `EXTRA`, in memory."""
        # copies: what is read back is a view that would keep its whole chunk
        return np.concatenate(list(self.each(lambda _, __, chunk: np.array(getattr(chunk, name)))))

    def delete(self) -> None:
        """Free the disk."""
        self._file.delete()


def _narrow(values: NDArray[np.float64]) -> NDArray[Any]:
    """The same numbers in half the space, if float32 holds each of them exactly."""
    with np.errstate(over="ignore"):
        short = values.astype(np.float32)
    same = np.array_equal(short.astype(np.float64).view(np.int64), values.view(np.int64))
    return short if same else values


def stage(source: LogSource, dense: Sequence[str], fields: Sequence[Field], scratch: Path, progress: bool) -> Staged:
    """Read the whole log once.

    Args:
        source: gives the chunks.
        dense: numeric columns to keep as numbers.
        fields: categorical columns, in order.
        scratch: an empty folder that outlives the result.
        progress: a bar with rows/s on stderr, and with the time left where the source can say how far it is.

    Raises:
        UserError: a bad row, or no row at all.
    """
    staged = Staged(dense, fields, ChunkFile(scratch / "chunks"), source.missing_words, progress)
    with tqdm(unit=" rows", unit_scale=True, desc="read", disable=not progress) as bar:
        for chunk in ahead(source.chunks()):
            if not len(chunk.label):
                continue
            staged.add(chunk)
            bar.total = source.rows_expected(staged.rows)
            bar.update(len(chunk.label))
    if not staged.rows:
        raise UserError("the log has no rows", where=", ".join(map(str, source.inputs)) or None)
    staged.finish()
    return staged
