"""A click log in, a prepared set out: one pass over the text, two over scratch arrays."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nasrec_nni.data.manifest import FORMAT
from nasrec_nni.data.prepared import MANIFEST, PreparedSet, identity, write_stamps
from nasrec_nni.data.preparing import reporting
from nasrec_nni.data.preparing.counting import Tally, count
from nasrec_nni.data.preparing.fields import (
    dense_columns,
    dense_names,
    encoding_of,
    field_names,
    fields_of,
    hash_rows_of,
    sparse_columns,
)
from nasrec_nni.data.preparing.options import PrepareOptions, check_names, check_use, divide, per_column
from nasrec_nni.data.preparing.place import check_place, clear_up, refuse_within
from nasrec_nni.data.preparing.splits import Split, make_split, refuse_empty
from nasrec_nni.data.preparing.staging import Staged, stage
from nasrec_nni.data.preparing.vocabulary import build
from nasrec_nni.data.preparing.writing import write_arrays, write_vocabulary
from nasrec_nni.data.schema import Schema
from nasrec_nni.data.sources.base import Columns, LogSource, checked
from nasrec_nni.data.split_names import SPLITS
from nasrec_nni.errors import UserError
from nasrec_nni.files import folder_in_progress, sha256, write_json
from nasrec_nni.plugins import registry

PACKAGES = ("nasrec-nni", "numpy", "pyarrow")


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


def open_columns(log: LogSource, settings: PrepareOptions) -> tuple[Columns, list[str]]:
    """The roles of the log's columns, and the names of the fields that they make.

    Raises:
        UserError: a bad header, or options that do not fit the columns or the split.
    """
    check_use(settings, log.split)
    columns = log.columns()
    fields = field_names(columns, settings)
    check_names(settings, columns.dense, fields)
    for name in fields:
        if encoding_of(settings, name) != "vocabulary":
            hash_rows_of(log, settings, name)
    if log.split == "by_time" and columns.time is None:
        raise UserError("split 'by_time' needs a column of times", where="split", hint="Name it: --time COLUMN")
    return columns, fields


def prepare(
    source: str,
    inputs: Iterable[Path | str],
    out: Path | str,
    options: Mapping[str, Any] | None = None,
    *,
    overwrite: bool = False,
    progress: bool = True,
    command: str | None = None,
) -> PreparedSet:
    """Read a log and write its prepared set; `out` appears whole or not at all.

    Memory is that of the distinct values, of a few chunks of rows, and of up to 16 bytes a row for a split that must
    know all rows at once; the rest waits in scratch files beside `out`.

    Args:
        source: plug-in name.
        inputs: raw files or folders, in order.
        out: the folder to make.
        options: fields of `PrepareOptions` and of the source's `Options`; None values count as not given.
        overwrite: replace an earlier prepared set at `out`.
        progress: notes and bars on stderr.
        command: what the person typed, for the manifest.

    Raises:
        UserError: what is wrong with options, files or rows; nothing is written then.
    """
    out, inputs = Path(out), list(inputs)
    given = {key: value for key, value in (options or {}).items() if value is not None}
    clear_up(out, progress)
    refuse_within(out, inputs)
    check_place(out, overwrite)
    log, settings = open_source(source, inputs, given)
    columns, _ = open_columns(log, settings)
    if progress:
        for note in log.notes:
            print(note, file=sys.stderr)
    with folder_in_progress(out, lambda: check_place(out, overwrite)) as folder:
        with TemporaryDirectory(dir=folder) as scratch:
            fields = fields_of(log, columns, settings, Path(scratch))
            staged = stage(log, dense_names(columns, settings), fields, Path(scratch), progress)
            split = make_split(log.split, staged, settings)
            manifest, schema = _write(log, columns, settings, staged, split, folder)
        manifest |= {"source": source, "command": command, "warnings": [*log.warnings, *manifest["warnings"]]}
        manifest["fingerprint"] = identity(schema, manifest["files"])
        write_stamps(folder, manifest["files"])
        write_json(folder / MANIFEST, manifest)  # last: a folder that has one is whole
    if progress:
        for warning in manifest["warnings"]:
            print(f"warning: {warning}", file=sys.stderr)
    return PreparedSet.load(out)


def _write(
    log: LogSource, columns: Columns, settings: PrepareOptions, staged: Staged, split: Split, folder: Path
) -> tuple[dict[str, Any], Schema]:
    """All files but the manifest; what is known of them."""
    wanted = {name: per_column(settings.transform, name, log.transform or "auto") for name in staged.dense}
    lengths = [
        per_column(settings.max_length, field.name, 16) if field.separator is not None else 1 for field in staged.fields
    ]
    tally = count(staged, split, lengths, {name for name, one in wanted.items() if one == "quantile"})
    splits = reporting.sizes(tally)
    refuse_empty(log.split, {name: size["rows"] for name, size in splits.items()}, staged.rows)
    min_counts = [per_column(settings.min_count, field.name, log.default_min_count) for field in staged.fields]
    vocabularies = [
        build(field.book, known.seen, least)
        for field, known, least in zip(staged.fields, tally.fields, min_counts, strict=True)
    ]
    schema = Schema(
        columns.label,
        dense_columns(columns, wanted, tally),
        sparse_columns(log, columns, staged.fields, vocabularies, min_counts, lengths),
        columns.ignored,
        columns.time,
        columns.weight,
        log.missing_words,
        split.negative_rate,
    )
    rows = {name: size["rows"] for name, size in splits.items()}
    files, sample = write_arrays(staged, schema.dense, schema.sparse, vocabularies, split, rows, folder)
    staged.delete()
    described = reporting.columns(schema, tally, vocabularies, sample)
    manifest = _manifest(log, settings, schema, splits, described, staged.rows) | {"facts": reporting.facts(tally)}
    manifest |= _negatives(split, tally)
    write_vocabulary(folder / "vocabulary.parquet", [one.name for one in schema.sparse], vocabularies)
    write_json(folder / "schema.json", schema.as_dict())
    for path in (folder / "vocabulary.parquet", folder / "schema.json"):
        files[path.name] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
    return manifest | {"files": files}, schema


def _manifest(
    log: LogSource,
    settings: PrepareOptions,
    schema: Schema,
    splits: Mapping[str, Mapping[str, int]],
    described: Sequence[dict[str, Any]],
    rows: int,
) -> dict[str, Any]:
    own = log.options.model_dump(mode="json", exclude_defaults=True)
    common = settings.model_dump(mode="json", exclude_defaults=True)
    said = {"split": log.split, "min_count": log.default_min_count, "transform": log.transform or "auto"}
    return {
        "format": FORMAT,
        "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "inputs": [{"path": str(path), "bytes": _size(path)} for path in log.inputs],
        "options": said | common | own,
        "versions": {name: version(name) for name in PACKAGES} | {"python": sys.version.split()[0]},
        "rows": rows,
        "splits": splits,
        "columns": described,
        "notes": list(log.notes),
        "warnings": reporting.warnings(schema, splits, described, rows),
    }


def _negatives(split: Split, tally: Tally) -> dict[str, Any]:
    left_out = int(tally.rows[len(SPLITS)])
    if split.negative_rate < 1:
        kept = int(tally.rows[0] - tally.clicks[0])
        return {"negatives": {"rate": split.negative_rate, "kept": kept, "left_out": left_out}}
    return {"left_out": left_out} if left_out else {}


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)
