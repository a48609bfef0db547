"""A folder of memory-mapped arrays, verified when opened, with its test rows behind a door of their own.

dense.npy [N, dense] float32 · sparse.npy [N, C] int32 · label.npy [N] float32 · split-{train,val,test}.npy int64
vocabulary.parquet · schema.json · manifest.json (written last)
weight.npy [N] float32 (if a column has weights) · probability.npy [N] float64 (synthetic only)
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nasrec_nni.data.manifest import AGAIN, read_manifest
from nasrec_nni.data.schema import Schema
from nasrec_nni.errors import UserError
from nasrec_nni.files import fingerprint, read_json, sha256, write_json

MANIFEST = "manifest.json"
STAMPS = ".verified.json"  # sizes and times of files whose hashes were found right
ARRAYS = ("dense", "sparse", "label", "weight")
HEADER = 128  # bytes before the elements in a .npy file
NEEDED = ("dense.npy", "sparse.npy", "label.npy", "split-train.npy", "split-val.npy", "split-test.npy", "schema.json")


class PreparedSet:
    """The rows of a log as every network reads them. Open one with `load`.

    Attributes:
        folder: where it is.
        schema: its columns.
        manifest: counts, options and versions of its making.
        fingerprint: of arrays, splits and schema; equal fingerprints, equal training.
        dense: `[N, dense]` float32.
        sparse: `[N, C]` int32, ids per field, not offset; field `f` has `lengths[f]` columns, a multi-valued one
            is padded with -1 behind its values.
        label: `[N]` float32, 0 or 1.
        weight: `[N]` float32, above 0; None if every row counts once.
    """

    def __init__(self, folder: Path, schema: Schema, manifest: dict[str, Any]) -> None:
        self.folder = folder
        self.schema = schema
        self.manifest = manifest
        self.fingerprint: str = manifest["fingerprint"]
        self.facts: dict[str, Any] = manifest["facts"]
        self._map()

    def _map(self) -> None:
        folder = self.folder
        self.dense: NDArray[np.float32] = _mapped(folder / "dense.npy")
        self.sparse: NDArray[np.int32] = _mapped(folder / "sparse.npy")
        self.label: NDArray[np.float32] = _mapped(folder / "label.npy")
        weighted = "weight.npy" in self.manifest["files"]
        self.weight: NDArray[np.float32] | None = _mapped(folder / "weight.npy") if weighted else None

    def __getstate__(self) -> dict[str, Any]:
        """For another process of this machine: it maps the arrays itself."""
        return {name: value for name, value in self.__dict__.items() if name not in ARRAYS}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._map()

    @classmethod
    def load(cls, folder: Path | str, *, verify: bool = True) -> PreparedSet:
        """Open a prepared set.

        Args:
            folder: made by `prepare`.
            verify: hash every file that has changed since its hash was last found right; sizes are compared in any
                case.

        Raises:
            UserError: it is none, is of another format, or a file was changed.
        """
        folder = Path(folder)
        if not (folder / MANIFEST).is_file():
            raise UserError("not a prepared set: it has no manifest.json", where=str(folder), hint="Run nasrec prepare")
        manifest = read_manifest(folder / MANIFEST)
        _verify(folder, manifest["files"], verify)
        try:
            schema = Schema.from_dict(read_json(folder / "schema.json"))
        except (KeyError, TypeError, AttributeError) as error:
            raise UserError(f"not a schema ({error})", where=str(folder / "schema.json"), hint=AGAIN) from None
        names = [one.get("column") for one in manifest["columns"]]
        if names != [*(one.name for one in schema.dense), *(one.name for one in schema.sparse)]:
            raise UserError("the manifest has other columns than the schema", where=str(folder / MANIFEST), hint=AGAIN)
        if identity(schema, manifest["files"]) != manifest["fingerprint"]:
            raise UserError("the fingerprint is not that of the files", where=str(folder / MANIFEST), hint=AGAIN)
        return cls(folder, schema, manifest)

    def rows(self, split: Literal["train", "val"]) -> NDArray[np.int64]:
        """Row numbers in file order; under the split rule `permutation` in that permutation's order.

        Raises:
            ValueError: any other split; test rows are for the final step.
        """
        if split not in ("train", "val"):
            raise ValueError(f"rows() opens train and val, not {split!r}: test rows are for the final step")
        return self._split(split)

    def test_rows(self) -> NDArray[np.int64]:
        """For the final step only, which counts its reads."""
        return self._split("test")

    def _split(self, name: str) -> NDArray[np.int64]:
        found: NDArray[np.int64] = _mapped(self.folder / f"split-{name}.npy")
        return found

    def split_sizes(self) -> dict[str, int]:
        return {name: size["rows"] for name, size in self.manifest["splits"].items()}

    @property
    def dense_width(self) -> int:
        """`w_0`: at least 1."""
        return max(1, len(self.schema.dense))

    @property
    def rows_per_field(self) -> tuple[int, ...]:
        return tuple(column.rows for column in self.schema.sparse)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Columns of `sparse` per field."""
        return self.schema.lengths

    @property
    def negative_rate(self) -> float:
        """Share of the training rows without a click that negative sampling has kept."""
        return self.schema.negative_rate

    @property
    def dense_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.schema.dense)

    @property
    def sparse_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.schema.sparse)


def identity(schema: Schema, files: Mapping[str, Mapping[str, Any]]) -> str:
    """Fingerprint of what training sees.

    Reasons do not count, nor does the Parquet file, whose bytes vary with its writer's version.
    """
    hashes = {name: entry["sha256"] for name, entry in files.items() if name.endswith(".npy")}
    columns = {
        "label": schema.label,
        "dense": [[column.name, asdict(column.transform)] for column in schema.dense],
        "sparse": [[column.name, column.rows, column.encoding, column.length] for column in schema.sparse],
        "negative_rate": schema.negative_rate,
    }
    return fingerprint({"columns": columns, "files": hashes})


def _verify(folder: Path, files: Mapping[str, Any], hashes: bool) -> None:
    missing = [name for name in NEEDED if name not in files]
    if missing:
        raise UserError("the manifest does not list a file", value=missing[0], where=str(folder), hint=AGAIN)
    for name, entry in files.items():
        path = folder / name
        if not path.is_file():
            raise UserError("a file of the prepared set is gone", where=str(path), hint=AGAIN)
        size = path.stat().st_size
        if size != entry["bytes"]:
            allowed = f"{entry['bytes']} bytes"
            raise UserError("a file of the prepared set has another size", value=size, where=str(path), allowed=allowed)
    if not hashes:
        return
    stamps = _read_stamps(folder)
    changed = [name for name, entry in files.items() if stamps.get(name) != _stamp(folder / name, entry)]
    for name in changed:
        if sha256(folder / name) != files[name]["sha256"]:
            where = str(folder / name)
            raise UserError("a file of the prepared set was changed: its sha256 differs", where=where, hint=AGAIN)
    if changed:
        write_stamps(folder, files)


def _stamp(path: Path, entry: Mapping[str, Any]) -> list[Any]:
    found = path.stat()
    return [entry["sha256"], found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _read_stamps(folder: Path) -> dict[str, Any]:
    try:
        found = read_json(folder / STAMPS)
    except (OSError, UserError):
        return {}
    return found if isinstance(found, dict) else {}


def write_stamps(folder: Path, files: Mapping[str, Mapping[str, Any]]) -> None:
    """Note that the files have their hashes, so that the next load need not read them; a read-only folder has none."""
    with suppress(OSError):
        write_json(folder / STAMPS, {name: _stamp(folder / name, entry) for name, entry in files.items()})


def _mapped(path: Path) -> Any:
    empty = path.stat().st_size <= HEADER  # an array without elements cannot be mapped
    return np.load(path, mmap_mode=None if empty else "r", allow_pickle=False)
