"""Staged rows to the arrays of a prepared set, one chunk after the other, hashed as they are written."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import DTypeLike, NDArray

from nasrec_nni.data.encoding import encode_dense, place_values
from nasrec_nni.data.preparing.drift import Sample
from nasrec_nni.data.preparing.splits import Split
from nasrec_nni.data.preparing.staging import Staged, StagedChunk
from nasrec_nni.data.preparing.vocabulary import Vocabulary
from nasrec_nni.data.schema import RESERVED, DenseColumn, SparseColumn
from nasrec_nni.data.split_names import SPLITS

VOCABULARY = pa.schema(
    [
        ("field", pa.dictionary(pa.int32(), pa.string())),
        ("id", pa.int32()),
        ("value", pa.large_string()),
        ("count", pa.int64()),
    ]
)
GROUP = 1 << 20  # rows of vocabulary or split written at a time
TURNED = 4096  # rows turned from columns at a time: what fits the cache


class ArrayFile:
    """A `.npy` file that grows chunk by chunk, and its hash.

    Args:
        path: to be made.
        kind: of the elements.
        shape: of the whole; known before the first chunk.
    """

    def __init__(self, path: Path, kind: DTypeLike, shape: tuple[int, ...]) -> None:
        self.path = path
        self._kind = np.dtype(kind)
        self._stream = path.open("wb")
        self._digest = hashlib.sha256()
        header = {"descr": np.lib.format.dtype_to_descr(self._kind), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(_Tee(self._stream, self._digest), header)
        self._left = int(np.prod(shape))

    def append(self, array: NDArray[Any]) -> None:
        content = np.ascontiguousarray(array, self._kind)
        self._left -= content.size
        if content.size:
            self._stream.write(content.data)
            self._digest.update(content.data)

    def close(self) -> dict[str, Any]:
        """Size and sha256, as the manifest has them. Raises RuntimeError if rows are missing."""
        if self._left:
            raise RuntimeError(f"{self.path.name} lacks {self._left} elements")
        self._stream.close()
        return {"bytes": self.path.stat().st_size, "sha256": self._digest.hexdigest()}


class _Tee:
    def __init__(self, stream: Any, digest: Any) -> None:
        self._targets = (stream.write, digest.update)

    def write(self, content: bytes) -> None:
        for target in self._targets:
            target(content)


def _encode_sparse(
    staged: Staged, index: int, chunk: StagedChunk, columns: Sequence[SparseColumn], vocabularies: Sequence[Vocabulary]
) -> NDArray[np.int32]:
    by_column = np.empty((sum(column.length for column in columns), len(chunk.label)), np.int32)
    at = 0
    for field, column, vocabulary, codes, cells in zip(
        staged.fields, columns, vocabularies, chunk.codes, chunk.cells, strict=True
    ):
        ids = vocabulary.of(field.book.codes(index))
        if isinstance(cells, int):
            np.take(np.append(ids, np.int32(0)), codes, out=by_column[at], mode="clip")  # clip: no copy for `out`
        else:
            by_column[at : at + column.length] = place_values(codes, cells[0], ids[cells[1]], column.length).T
        at += column.length
    found = np.empty(by_column.shape[::-1], np.int32)
    for start in range(0, len(found), TURNED):
        found[start : start + TURNED] = by_column[:, start : start + TURNED].T
    return found


def write_arrays(
    staged: Staged,
    dense: Sequence[DenseColumn],
    sparse: Sequence[SparseColumn],
    vocabularies: Sequence[Vocabulary],
    split: Split,
    sizes: Mapping[str, int],
    folder: Path,
) -> tuple[dict[str, dict[str, Any]], Sample]:
    """All `.npy` files: dense, sparse, label, row numbers of the splits, and weight and probability if there are any.

    Args:
        staged: the rows.
        dense: numeric columns, in order.
        sparse: fields, in order.
        vocabularies: of the fields.
        split: parts of the rows.
        sizes: rows per split.
        folder: to write into.

    Returns:
        Size and sha256 of each, and a sample of the numbers.

    Raises:
        UserError: a number leaves float32 under its transform.
    """
    rows = staged.rows
    files = {
        "dense.npy": ArrayFile(folder / "dense.npy", np.float32, (rows, len(dense))),
        "sparse.npy": ArrayFile(folder / "sparse.npy", np.int32, (rows, sum(column.length for column in sparse))),
        "label.npy": ArrayFile(folder / "label.npy", np.float32, (rows,)),
    }
    for name, kind in (("weight", np.float32), ("probability", np.float64)):
        if name in staged.has:
            files[f"{name}.npy"] = ArrayFile(folder / f"{name}.npy", kind, (rows,))
    for name in SPLITS:
        files[f"split-{name}.npy"] = ArrayFile(folder / f"split-{name}.npy", np.int64, (sizes[name],))

    sample = Sample(rows)

    def encode(index: int, start: int, chunk: StagedChunk) -> tuple[int, NDArray[np.int8], dict[str, Any]]:
        parts = split.of(start, chunk)
        arrays: dict[str, Any] = {
            "dense.npy": encode_dense(dense, chunk.dense, len(chunk.label)),
            "sparse.npy": _encode_sparse(staged, index, chunk, sparse, vocabularies),
            "label.npy": chunk.label,
            "weight.npy": chunk.weight,
            "probability.npy": chunk.probability,
        }
        if split.order is None:
            arrays |= {f"split-{name}.npy": start + np.flatnonzero(parts == part) for part, name in enumerate(SPLITS)}
        return start, parts, arrays

    for start, parts, arrays in staged.each(encode, "write"):
        sample.add(start, arrays["dense.npy"], parts)
        for name, array in arrays.items():
            if name in files:
                files[name].append(array)
    if split.order is not None:
        _append_in_order(files, split, staged)
    return {name: file.close() for name, file in files.items()}, sample


def _append_in_order(files: dict[str, ArrayFile], split: Split, staged: Staged) -> None:
    """Row numbers in the order that the rule has of its own."""
    assert split.order is not None
    parts = np.concatenate(list(staged.each(lambda _, start, chunk: split.of(start, chunk))))
    for start in range(0, len(parts), GROUP):
        rows = split.order[start : start + GROUP]
        for part, name in enumerate(SPLITS):
            files[f"split-{name}.npy"].append(rows[parts[rows] == part])


def write_vocabulary(path: Path, names: Sequence[str], vocabularies: Sequence[Vocabulary]) -> None:
    """One Parquet file, row groups of one field: field, id, value, count over the training rows."""
    with pq.ParquetWriter(path, VOCABULARY) as writer:
        for name, vocabulary in zip(names, vocabularies, strict=True):
            for start in range(0, len(vocabulary.counts), GROUP):
                stop = min(start + GROUP, len(vocabulary.counts))
                field = pa.DictionaryArray.from_arrays(pa.array(np.zeros(stop - start, np.int32)), [name])
                ids = np.arange(RESERVED + start, RESERVED + stop, dtype=np.int32)
                values = vocabulary.values.slice(start, stop - start)
                counts = vocabulary.counts[start:stop]
                writer.write_table(pa.table([field, ids, values, counts], schema=VOCABULARY))
