"""`nasrec compare`: runs on one prepared set, read and put side by side; nothing is trained and no model is run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nasrec_nni.analysis.comparison import Comparison, Entry, Rows, RunFacts, compare
from nasrec_nni.analysis.comparison_files import against_record, as_markdown, lines, write_comparison
from nasrec_nni.analysis.leaderboard import standings
from nasrec_nni.analysis.paired import RowDifference
from nasrec_nni.config_file import load_config
from nasrec_nni.errors import UserError
from nasrec_nni.files import read_lines
from nasrec_nni.pipeline import staleness
from nasrec_nni.pipeline.context import Context
from nasrec_nni.pipeline.page import stage_times
from nasrec_nni.pipeline.report import row_difference
from nasrec_nni.pipeline.retrain import read_results
from nasrec_nni.run_folder import RunFolder


def compare_runs(paths: Sequence[Path], out: Path | None = None) -> dict[str, Any]:
    """Models of all runs in one table, with paired differences; a page, a CSV and a Markdown file below `out`.

    Raises:
        UserError: fewer than two runs, one given twice, one that is not trained yet, other data, or a place that is
            taken.
    """
    folders = _folders(paths)
    fingerprint = _one_fingerprint(folders)
    if out is not None:
        _refuse_place(out)
    names = dict(zip(map(str, _names([folder.path for folder in folders])), folders, strict=True))
    contexts = [Context(load_config(folder.config), folder) for folder in folders]
    source, notes = _prepared(contexts, fingerprint)
    runs = [_facts(name, context) for name, context in zip(names, contexts, strict=True)]
    data: dict[str, Any] = {"fingerprint": fingerprint}
    if source is not None:
        data |= {"rows": len(source.prepared.label), "splits": source.prepared.split_sizes()}
    rows = Rows() if source is None else _Rows(source, names)
    found = compare(runs, data, notes, rows)
    return _told(found) | ({} if out is None else {"files": write_comparison(found, out)})


class _Rows(Rows):
    """Over the saved predictions of the runs.

    Args:
        source: context of a run whose prepared set is at hand.
        folders: of the runs by name.
    """

    def __init__(self, source: Context, folders: Mapping[str, RunFolder]) -> None:
        self._source, self._folders = source, folders

    def difference(self, first: Entry, second: Entry) -> RowDifference | None:
        if first is second:
            return None
        (a, b) = ((self._folders[one.runs[0]], one.standing, one.model) for one in (first, second))
        return row_difference(self._source, a, b)


def _folders(paths: Sequence[Path]) -> list[RunFolder]:
    if len(paths) < 2:
        raise UserError("two or more runs are needed", value=", ".join(map(str, paths)), where="nasrec compare RUN RUN")
    folders = [RunFolder.open(path) for path in paths]
    seen: dict[Path, Path] = {}
    for path in paths:
        if (known := seen.setdefault(path.resolve(), path)) is not path:
            raise UserError("the same run is given twice", value=str(path), where=str(known))
    for folder in folders:
        record = staleness.read_record(folder, "retrain")
        if record is None or record["state"] != "done":
            raise UserError(
                "the models of this run are not trained yet",
                where=str(folder.path),
                hint="`nasrec run CONFIG --out RUN` goes on",
            )
    return folders


def _one_fingerprint(folders: Sequence[RunFolder]) -> str:
    found = {str(folder.path): str(folder.read_manifest()["data_fingerprint"]) for folder in folders}
    if len(set(found.values())) > 1:
        raise UserError(
            "these runs are of different rows or splits, so their figures do not compare",
            value="; ".join(f"{path}: {fingerprint}" for path, fingerprint in found.items()),
            where="data fingerprint",
            allowed="runs of one prepared set",
            hint="Prepare once with `nasrec prepare`, and name the folder as data.prepared in every config",
        )
    return next(iter(found.values()))


def _refuse_place(out: Path) -> None:
    if out.is_file():
        raise UserError("the place of the comparison is a file", where=str(out), hint="Name a folder: --out FOLDER")
    if RunFolder(out).exists:
        raise UserError("the place of the comparison is a run", where=str(out), hint="Name a folder of its own: --out")


def _names(paths: Sequence[Path]) -> list[Path]:
    """The shortest ends of the paths that are unique."""
    whole = [path.absolute() for path in paths]
    for depth in range(1, max(len(path.parts) for path in whole) + 1):
        ends = [Path(*path.parts[-depth:]) for path in whole]
        if len(set(ends)) == len(ends):
            return ends
    return whole


def _prepared(contexts: Sequence[Context], fingerprint: str) -> tuple[Context | None, list[str]]:
    """The first run whose prepared set is still there and still the same; else None, and a note."""
    problems = []
    for context in contexts:
        try:
            if context.prepared.fingerprint == fingerprint:
                return context, []
        except UserError as error:
            problems.append(error.message)
    told = f" ({problems[0]})" if problems else " (it was prepared anew)"
    return None, [f"The prepared set is not at hand any more{told}, so the chance of the test rows is not judged."]


def _facts(name: str, context: Context) -> RunFacts:
    folder, manifest = context.folder, context.folder.read_manifest()
    config = {key: value for key, value in _flat(context.config.model_dump(mode="json")) if not key.startswith("data.")}
    return RunFacts(
        name,
        config,
        tuple(standings(read_results(folder))),
        tuple(stage_times(folder)),
        len(read_lines(folder.candidates)),
        manifest["test_reads"],
        {
            "made": manifest["made"],
            "commit": manifest["commit"],
            "processor": manifest["hardware"].get("processor"),
            "cores": manifest["hardware"].get("cores"),
            "versions": manifest["versions"],
        },
    )


def _flat(content: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _told(found: Comparison) -> dict[str, Any]:
    names = [run.name for run in found.runs]
    return {
        "verdict": found.verdict.headline,
        "detail": found.verdict.detail,
        "data": dict(found.data),
        "reference": {"run": found.base.runs[0], "model": found.base.model},
        "models": lines(found),
        "pairs": [{"model": one.model.model} | against_record(one) for one in found.bests],
        "runs": [
            {
                "run": run.name,
                "cpu_seconds": round(run.cpu_seconds, 2),
                "candidates": run.candidates,
                "models": len(run.table),
                "test_reads": run.test_reads,
                "dominated": share,
            }
            for run, share in zip(found.runs, found.shares, strict=True)
        ],
        "differs": {key: dict(zip(names, values, strict=True)) for key, values in found.differs.items()},
        "notes": list(found.notes),
        "table_markdown": as_markdown(found),
    }
