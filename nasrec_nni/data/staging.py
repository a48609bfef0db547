"""One pass over the log: rows go to scratch files as they come, values become codes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from tqdm import tqdm

from nasrec_nni.data.sources.base import Columns, LogSource
from nasrec_nni.data.vocabulary import Codes
from nasrec_nni.errors import UserError

BLOCK = 1 << 16  # rows worked on at a time after the pass


@dataclass(frozen=True)
class Staged:
    """A log on disk, not yet split.

    Attributes:
        rows: `N`.
        dense: `[N, dense]` float64, NaN for missing.
        codes: `[N, F]` int32 by `values`.
        label: `[N]` float32.
        part: `[N]` int8, as the log says it; empty where it does not.
        probability: `[N]` float64, planted; empty where unknown.
        values: `F` code books.
    """

    rows: int
    dense: NDArray[np.float64]
    codes: NDArray[np.int32]
    label: NDArray[np.float32]
    part: NDArray[np.int8]
    probability: NDArray[np.float64]
    values: tuple[Codes, ...]

    def blocks(self) -> Iterator[slice]:
        """Consecutive slices that cover all rows."""
        for start in range(0, self.rows, BLOCK):
            yield slice(start, min(start + BLOCK, self.rows))


def stage(source: LogSource, columns: Columns, scratch: Path, progress: bool) -> Staged:
    """Read the whole log once.

    Args:
        source: gives the chunks.
        columns: its roles.
        scratch: an empty folder that outlives the result.
        progress: a bar with rows/s on stderr.

    Raises:
        UserError: a bad row, or no row at all.
    """
    values = tuple(Codes() for _ in columns.sparse)
    rows = 0
    with ExitStack() as stack:
        names = ("dense", "codes", "label", "part", "probability")
        files = {name: stack.enter_context((scratch / name).open("wb")) for name in names}
        bar = stack.enter_context(tqdm(unit=" rows", unit_scale=True, desc="prepare", disable=not progress))
        for chunk in source.chunks():
            size = len(chunk.label)
            rows += size
            dense = np.empty((size, len(columns.dense)))
            for index, name in enumerate(columns.dense):
                dense[:, index] = chunk.dense[name]
            codes = np.empty((size, len(columns.sparse)), np.int32)
            for index, (name, book) in enumerate(zip(columns.sparse, values, strict=True)):
                codes[:, index] = book.encode(chunk.sparse[name])
            written: dict[str, Any] = {"dense": dense, "codes": codes, "label": chunk.label}
            written |= {"part": chunk.part, "probability": chunk.probability}
            for name, array in written.items():
                if array is not None:
                    files[name].write(np.ascontiguousarray(array).data)
            bar.update(size)
    if not rows:
        raise UserError("the log has no rows", where=", ".join(map(str, source.inputs)) or None)

    def opened(name: str, kind: DTypeLike, *shape: int) -> Any:
        path = scratch / name
        return np.memmap(path, kind, "r", shape=shape) if path.stat().st_size else np.empty(shape, kind)

    known = rows if (scratch / "probability").stat().st_size else 0
    said = rows if (scratch / "part").stat().st_size else 0
    return Staged(
        rows,
        opened("dense", np.float64, rows, len(columns.dense)),
        opened("codes", np.int32, rows, len(columns.sparse)),
        opened("label", np.float32, rows),
        opened("part", np.int8, said),
        opened("probability", np.float64, known),
        values,
    )
