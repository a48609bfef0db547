"""The suite of sources of click logs. The author names inputs: files only the source can read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest

from nasrec_nni.data.prepare import open_source, prepare
from nasrec_nni.data.sources.base import Chunk, Columns, LogSource
from nasrec_nni.data.split_names import SPLITS
from nasrec_nni.errors import UserError
from nasrec_nni.testing.suite import Conformance, require, suite

Make = Callable[[Path], Sequence[Path]]


class SourceConformance(Conformance):
    """What a source must keep; made by `source_conformance`."""

    group: ClassVar[str] = "sources"
    make: ClassVar[Make]
    options: ClassVar[Mapping[str, Any]]

    def open(self, folder: Path) -> LogSource:
        """The source over its inputs, as `nasrec prepare` opens it."""
        return open_source(self.name, type(self).make(folder), self.options)[0]

    def test_roles(self, tmp_path: Path) -> None:
        """One label, numbers and categories, no column with two roles, at least one feature."""
        columns = self.open(tmp_path).columns()
        names = [columns.label, *columns.dense, *columns.sparse, *columns.ignored]
        require(len(set(names)) == len(names), f"{self.name}: a column has two roles among {names}")
        require(bool(columns.dense or columns.sparse), f"{self.name}: no column is a feature")
        weight = columns.weight not in {columns.label, *columns.dense, *columns.sparse}
        require(weight, f"{self.name}: {columns.weight} holds weights, and is a feature or the label too")
        require(columns.time != columns.label, f"{self.name}: {columns.time} is the time, and the label too")

    def test_chunks_hold_what_they_promise(self, tmp_path: Path) -> None:
        """Labels 0 and 1, numbers as float64 within float32 or NaN, categories as Arrow strings, all of one length."""
        log = self.open(tmp_path)
        columns, rows = log.columns(), 0
        for chunk in log.chunks():
            self._check(chunk, columns)
            rows += len(chunk.label)
        require(rows > 0, f"{self.name}: no rows")

    def _check(self, chunk: Chunk, columns: Columns) -> None:
        label, rows = chunk.label, len(chunk.label)
        good = label.dtype == np.float32 and bool(np.isin(label, (0, 1)).all())
        require(good, f"{self.name}: labels must be float32, 0 or 1")
        require(list(chunk.dense) == list(columns.dense), f"{self.name}: dense columns of a chunk: {list(chunk.dense)}")
        require(set(chunk.sparse) == set(columns.sparse), f"{self.name}: categories of a chunk: {list(chunk.sparse)}")
        most = float(np.finfo(np.float32).max)
        for name, values in chunk.dense.items():
            fits = values.dtype == np.float64 and len(values) == rows
            require(fits, f"{self.name}: column {name} must be {rows} float64 numbers")
            known = values[~np.isnan(values)]
            require(bool((np.abs(known) <= most).all()), f"{self.name}: {name} has numbers that float32 cannot hold")
        for name, values in chunk.sparse.items():
            kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
            fits = len(values) == rows and (pa.types.is_string(kind) or pa.types.is_large_string(kind))
            require(fits, f"{self.name}: column {name} must be {rows} strings, and is {values.type}")
        self._check_extras(chunk, columns, rows)

    def _check_extras(self, chunk: Chunk, columns: Columns, rows: int) -> None:
        require((chunk.time is None) == (columns.time is None), f"{self.name}: times without a time column, or none")
        weighted = (chunk.weight is None) == (columns.weight is None)
        require(weighted, f"{self.name}: weights without a weight column, or none")
        for key in ("part", "probability", "time", "weight"):
            values = getattr(chunk, key)
            require(values is None or len(values) == rows, f"{self.name}: {key} must have {rows} values")
        if chunk.part is not None:
            require(set(chunk.part.tolist()) <= set(range(len(SPLITS))), f"{self.name}: parts beyond {SPLITS}")

    def test_a_second_pass_is_the_first(self, tmp_path: Path) -> None:
        """Preparing and resuming read a log more than once."""
        log = self.open(tmp_path)
        log.columns()
        one, other = ([_plain(chunk) for chunk in log.chunks()] for _ in range(2))
        require(_joined(one) == _joined(other), f"{self.name}: a second pass gives other rows")

    def test_prepares_to_the_same_set_each_time(self, tmp_path: Path) -> None:
        inputs = type(self).make(tmp_path)
        sets = [
            prepare(self.name, inputs, tmp_path / f"set{number}", self.options, progress=False) for number in range(2)
        ]
        require(sets[0].fingerprint == sets[1].fingerprint, f"{self.name}: the same log prepares to another set")
        require(all(sets[0].split_sizes().values()), f"{self.name}: an empty split: {sets[0].split_sizes()}")

    def test_unknown_options_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="surely_unknown"):
            open_source(self.name, type(self).make(tmp_path), {**self.options, "surely_unknown": 1})


def source_conformance(
    name: str, make: Make | None = None, options: Mapping[str, Any] | None = None
) -> type[SourceConformance]:
    """The suite of one source.

    Args:
        name: as registered in `nasrec_nni.sources`.
        make: writes a small log (a hundred rows or more) into a folder and returns the inputs; may be called several
            times for one folder. None for a source that takes none.
        options: of the source and of `nasrec prepare`.
    """
    found: Any = make or (lambda folder: ())
    return suite(SourceConformance, name, make=staticmethod(found), options=dict(options or {}))


def _plain(chunk: Chunk) -> dict[str, list[Any]]:
    """A chunk as lists; NaN, which equals nothing, as None."""
    found: dict[str, list[Any]] = {"label": chunk.label.tolist()}
    for name, values in chunk.dense.items():
        found[f"dense {name}"] = [None if value != value else value for value in values.tolist()]
    return found | {f"sparse {name}": values.to_pylist() for name, values in chunk.sparse.items()}


def _joined(chunks: list[dict[str, list[Any]]]) -> dict[str, list[Any]]:
    """Chunks one behind the other: where they are cut may differ."""
    whole: dict[str, list[Any]] = {}
    for chunk in chunks:
        for name, values in chunk.items():
            whole.setdefault(name, []).extend(values)
    return whole
