"""Raw logs to scores, part by part: memory is that of the model and of a few parts, however long the log."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from tqdm import tqdm

from nasrec_nni.data.encoder import Encoded
from nasrec_nni.data.prefetch import ahead
from nasrec_nni.data.sources.base import LogSource, checked
from nasrec_nni.data.sources.files import files_in
from nasrec_nni.data.sources.opening import kind_of
from nasrec_nni.data.sources.raw import RawRows, Wanted
from nasrec_nni.errors import UserError
from nasrec_nni.export.figures import Figures
from nasrec_nni.export.layout import SOURCE
from nasrec_nni.export.model import ExportedModel
from nasrec_nni.export.writers import SCORE, check_place, score_file
from nasrec_nni.files import read_json
from nasrec_nni.plugins import registry

PLAIN = "table"  # reads columns by their names, whatever log a model was trained on
INVENTED = "synthetic"  # has no files: its models are given tables


@dataclass(frozen=True)
class Part:
    """Some consecutive rows of the input, scored.

    Attributes:
        raw: as they were read.
        logits: `[n]`.
        scores: click probabilities `[n]`.
        source: where the rows come from.
    """

    raw: RawRows
    logits: NDArray[np.float32]
    scores: NDArray[np.float64]
    source: LogSource


def open_log(
    model: ExportedModel, inputs: Sequence[Path | str], source: str | None = None, delimiter: str | None = None
) -> LogSource:
    """The source that reads the input as the log of the model was read.

    Args:
        model: knows the source of its log and its options.
        inputs: files or folders.
        source: another one: `table` takes the columns by their names.
        delimiter: of text with a header.

    Raises:
        UserError: no input, one that does not exist, or an unknown source.
    """
    stored = read_json(model.folder / SOURCE)
    name = source or (PLAIN if stored["source"] == INVENTED else stored["source"])
    kind: type[LogSource] = registry("sources").load(name)
    own = {key: value for key, value in stored["options"].items() if key in kind.Options.model_fields}
    paths = [Path(path) for path in inputs]
    if not paths:
        raise UserError("there is no input", hint="Name the log to score: nasrec predict MODEL INPUT --out FILE")
    for path in paths:
        if not path.exists():
            raise UserError("no such file or folder", where=str(path))
    if delimiter is not None and "delimiter" not in kind.Options.model_fields:
        raise UserError(f"source {name!r} has no delimiter to be chosen", value=delimiter, where="--delimiter")
    if delimiter is not None:
        own["delimiter"] = delimiter
    elif "delimiter" in own and _is_parquet(paths[0]):
        del own["delimiter"]  # was of the text that the model was trained on
    return kind(paths, checked(kind.Options, own, f"source {name!r}"), kind.default_split)


def _is_parquet(path: Path) -> bool:
    return kind_of(files_in(path)[0][0] if path.is_dir() else path) == "parquet"


def scored(
    model: ExportedModel,
    inputs: Sequence[Path | str],
    *,
    source: str | None = None,
    delimiter: str | None = None,
    kept: Sequence[str] = (),
    labelled: bool = True,
) -> Iterator[Part]:
    """All rows in order; reading, encoding and the network work side by side.

    Args:
        model: loaded.
        inputs: files or folders.
        source: as of `open_log`.
        delimiter: as of `open_log`.
        kept: columns to hand through.
        labelled: read the label where there is one.

    Raises:
        UserError: a column that is needed is missing, or a bad row.
    """
    log = open_log(model, inputs, source, delimiter)
    encoder, schema = model.encoder, model.schema
    wanted = Wanted(
        tuple(dict.fromkeys(encoder.numbers)),
        tuple(encoder.categories),
        schema.label if labelled else None,
        schema.weight,
        tuple(kept),
    )

    def encoded() -> Iterator[tuple[RawRows, Encoded]]:
        for raw in log.raw_rows(wanted):
            yield raw, encoder.encode(raw.numbers, encoder.texts(raw.categories), raw.rows)

    rows = ahead(encoded())
    with closing(rows):  # type: ignore[type-var]
        for raw, arrays in rows:
            logits = model.logits(arrays.dense, arrays.sparse)
            with np.errstate(over="ignore"):
                yield Part(raw, logits, 1 / (1 + np.exp(-logits.astype(np.float64))), log)


def predict_file(
    model: ExportedModel,
    inputs: Sequence[Path | str],
    out: Path,
    *,
    source: str | None = None,
    delimiter: str | None = None,
    kept: str | None = None,
    labelled: bool = True,
    overwrite: bool = False,
    progress: bool = True,
) -> dict[str, Any]:
    """Score a log into a file of one line a row: the kept column, then `score`. It appears whole or not at all.

    Args:
        model: loaded.
        inputs: files or folders, in order.
        out: `.parquet` or `.csv`.
        source: as of `open_log`.
        delimiter: as of `open_log`.
        kept: a column to hand through, such as the row's id.
        labelled: read the label where there is one, for log loss and AUC.
        overwrite: replace a file there.
        progress: a bar on stderr.

    Returns:
        rows, seconds, rows a second, and log loss and AUC over the rows that have a label.

    Raises:
        UserError: as `scored`, or `out` cannot be written so.
    """
    check_place(out, overwrite, kept)
    begin, rows, figures = time.perf_counter(), 0, Figures()
    names = [*([kept] if kept else []), SCORE]
    parts = scored(model, inputs, source=source, delimiter=delimiter, kept=[kept] if kept else (), labelled=labelled)
    with (
        score_file(out, names) as file,
        tqdm(unit=" rows", unit_scale=True, desc="score", disable=not progress) as bar,
        closing(parts),  # type: ignore[type-var]
    ):
        for part in parts:
            file.add({**part.raw.kept, SCORE: pa.array(part.scores)})
            if part.raw.label is not None:
                figures.add(part.logits, part.raw.label, part.raw.weight)
            rows += part.raw.rows
            bar.total = part.source.rows_expected(rows)
            bar.update(part.raw.rows)
    seconds = time.perf_counter() - begin
    told = {"model": str(model.folder), "out": str(out), "rows": rows, "seconds": round(seconds, 3)}
    return told | {"rows_per_second": round(rows / max(seconds, 1e-9))} | figures.read()
