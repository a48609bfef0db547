"""A click log in, a prepared set out: one pass over the text, one over the arrays."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from nasrec_nni.data.counting import Counts
from nasrec_nni.data.options import PrepareOptions, divide
from nasrec_nni.data.prepared import FORMAT, MANIFEST, PreparedSet, identity
from nasrec_nni.data.schema import Schema
from nasrec_nni.data.sources.base import LogSource, checked
from nasrec_nni.data.splits import split_rows
from nasrec_nni.data.staging import stage
from nasrec_nni.data.writing import write_arrays, write_vocabulary
from nasrec_nni.errors import UserError
from nasrec_nni.files import folder_in_progress, recover, sha256, write_json
from nasrec_nni.plugins import registry

PACKAGES = ("nasrec-nni", "numpy", "pyarrow", "scikit-learn")


def open_source(
    name: str, inputs: Iterable[Path | str], options: Mapping[str, Any]
) -> tuple[LogSource, PrepareOptions]:
    """The source and the options for all sources, both checked.

    Raises:
        UserError: unknown source or option, a bad value, an input that does not exist.
    """
    kind: type[LogSource] = registry("sources").load(name)
    common, own = divide(options, kind.Options)
    settings: PrepareOptions = checked(PrepareOptions, common, "prepare")
    paths = [Path(path) for path in inputs]
    for path in paths:
        if not path.exists():
            raise UserError("no such file or folder", where=str(path))
    chosen = settings.split or kind.default_split
    return kind(
        paths, checked(kind.Options, own, f"source {name!r}", list(PrepareOptions.model_fields)), chosen
    ), settings


def prepare(
    source: str,
    inputs: Iterable[Path | str],
    out: Path | str,
    options: Mapping[str, Any] | None = None,
    *,
    overwrite: bool = False,
    progress: bool = True,
) -> PreparedSet:
    """Read a log and write its prepared set; `out` appears whole or not at all.

    Args:
        source: plug-in name.
        inputs: raw files or folders, in order.
        out: the folder to make.
        options: fields of `PrepareOptions` and of the source's `Options`; None values count as not given.
        overwrite: replace an earlier prepared set at `out`.
        progress: notes and a bar on stderr.

    Raises:
        UserError: what is wrong with options, files or rows; nothing is written then.
    """
    out = Path(out)
    recover(out)
    given = {key: value for key, value in (options or {}).items() if value is not None}
    _check_place(out, overwrite)
    log, settings = open_source(source, inputs, given)
    columns = log.columns()
    if progress:
        for note in log.notes:
            print(note, file=sys.stderr)
    min_count = settings.min_count if settings.min_count is not None else log.default_min_count
    transform = settings.transform or log.transform or "auto"

    with folder_in_progress(out) as folder, TemporaryDirectory(dir=folder) as scratch:
        staged = stage(log, columns, Path(scratch), progress)
        splits = split_rows(log.split, staged.label, staged.part, settings.seed)
        for name, rows in splits.items():
            np.save(folder / f"split-{name}.npy", rows)
        dense, sparse, vocabularies = write_arrays(staged, columns, splits["train"], folder, min_count, transform)
        write_vocabulary(folder / "vocabulary.parquet", tuple(columns.sparse), vocabularies)
        schema = Schema(columns.label, dense, sparse, columns.ignored)
        write_json(folder / "schema.json", schema.as_dict())
        counts = Counts.of(staged, columns, splits, vocabularies)
        warnings = [*log.warnings, *counts.warnings]
        files = {
            path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)}
            for path in sorted(folder.iterdir())
            if path.is_file()
        }
        manifest = {
            "format": FORMAT,
            "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "source": source,
            "inputs": [{"path": str(path), "bytes": _size(path)} for path in log.inputs],
            "options": {"split": log.split, "min_count": min_count, "transform": transform}
            | ({} if settings.seed is None else {"seed": settings.seed})
            | log.options.model_dump(mode="json", exclude_defaults=True),
            "versions": {name: version(name) for name in PACKAGES} | {"python": sys.version.split()[0]},
            "rows": counts.rows,
            "splits": counts.splits,
            "columns": counts.columns,
            "facts": counts.facts,
            "notes": list(log.notes),
            "warnings": warnings,
            "fingerprint": identity(schema, files),
            "files": files,
        }
        write_json(folder / MANIFEST, manifest)
    if progress:
        for warning in warnings:
            print(f"warning: {warning}", file=sys.stderr)
    return PreparedSet.load(out)


def _check_place(out: Path, overwrite: bool) -> None:
    above = next(folder for folder in out.absolute().parents if folder.exists())
    if not above.is_dir():
        raise UserError(
            "the output place lies below a file", value=str(above), where=str(out), hint="Name a new folder"
        )
    if not out.exists():
        return
    if not out.is_dir():
        raise UserError("the output place is a file", where=str(out), hint="Name a new folder")
    if not any(out.iterdir()):
        return
    if not (out / MANIFEST).exists():
        raise UserError("the output folder holds something else", where=str(out), hint="Name a new folder")
    if not overwrite:
        raise UserError(
            "a prepared set is already there", where=str(out), hint="Name a new folder, or replace it with --overwrite"
        )


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)
