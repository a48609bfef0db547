"""Staged rows to the arrays of a prepared set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import DTypeLike, NDArray

from nasrec_nni.data.schema import RESERVED, DenseColumn, SparseColumn
from nasrec_nni.data.sources.base import Columns
from nasrec_nni.data.staging import Staged
from nasrec_nni.data.transforms import TransformName, choose
from nasrec_nni.data.vocabulary import Vocabulary, build
from nasrec_nni.errors import UserError

VOCABULARY = pa.schema([("field", pa.string()), ("id", pa.int32()), ("value", pa.string()), ("count", pa.int64())])


def write_arrays(
    staged: Staged,
    columns: Columns,
    train: NDArray[np.int64],
    folder: Path,
    min_count: int,
    transform: TransformName | Literal["auto"],
) -> tuple[tuple[DenseColumn, ...], tuple[SparseColumn, ...], list[Vocabulary]]:
    """`dense.npy`, `sparse.npy`, `label.npy` and, where planted, `probability.npy`.

    Args:
        train: rows that vocabularies and statistics are made from.
    """
    dense = []
    for index, (name, reason) in enumerate(columns.dense.items()):
        chosen, why = choose(transform, staged.dense[train, index])
        dense.append(DenseColumn(name, chosen, f"{reason}; {chosen.name}: {why}"))
    sparse, vocabularies = [], []
    for index, (name, reason) in enumerate(columns.sparse.items()):
        codes = staged.codes[train, index]
        seen = np.bincount(codes[codes >= 0], minlength=len(staged.values[index])).astype(np.int64)
        vocabularies.append(build(staged.values[index], seen, min_count))
        sparse.append(SparseColumn(name, vocabularies[-1].rows, min_count, reason))

    dense_out = _array(folder / "dense.npy", np.float32, (staged.rows, len(dense)))
    sparse_out = _array(folder / "sparse.npy", np.int32, (staged.rows, len(sparse)))
    for block in staged.blocks():
        for index, column in enumerate(dense):
            found = column.transform.apply(staged.dense[block, index])
            if not np.isfinite(found).all():
                raise UserError(
                    f"a value leaves float32 under transform {column.transform.name!r}",
                    value=float(staged.dense[block, index][~np.isfinite(found)][0]),
                    where=f"column {column.name}",
                    hint="Use --transform log1p, or prepare the column as categories",
                )
            dense_out[block, index] = found
        for index, vocabulary in enumerate(vocabularies):
            sparse_out[block, index] = vocabulary.ids[staged.codes[block, index]]
    for array in (dense_out, sparse_out):
        if isinstance(array, np.memmap):
            array.flush()
    np.save(folder / "label.npy", staged.label)
    if len(staged.probability):
        np.save(folder / "probability.npy", staged.probability)
    return tuple(dense), tuple(sparse), vocabularies


def _array(path: Path, kind: DTypeLike, shape: tuple[int, int]) -> Any:
    if shape[1]:
        return np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=shape)
    empty = np.empty(shape, kind)  # cannot be mapped
    np.save(path, empty)
    return empty


def write_vocabulary(path: Path, names: Sequence[str], vocabularies: Sequence[Vocabulary]) -> None:
    """One Parquet file with a row group per field: field, id, value, count over the training rows."""
    with pq.ParquetWriter(path, VOCABULARY) as writer:
        for name, vocabulary in zip(names, vocabularies, strict=True):
            size = len(vocabulary.counts)
            ids = np.arange(RESERVED, RESERVED + size, dtype=np.int32)
            writer.write_table(
                pa.table([pa.array([name] * size, pa.string()), ids, vocabulary.values, vocabulary.counts], VOCABULARY)
            )
