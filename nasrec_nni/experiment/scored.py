"""What workers have scored, on disk before it is reported: nothing that was worked out is lost with a process.

A file a trial, `RUN/search/scored/<trial>.jsonl`, so that every file has one writer. Only the tuner moves records
on into `candidates.jsonl`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nasrec_nni.errors import UserError
from nasrec_nni.files import append_line, read_lines
from nasrec_nni.run_folder import RunFolder
from nasrec_nni.strategies.search import Record, record_from_json

STOPPED = "stopped.json"  # below RUN/search: why the tuner gave the search up, for the command that waits


def place(folder: RunFolder, trial: str) -> Path:
    """The file of one trial."""
    return folder.search / "scored" / f"{trial}.jsonl"


def keep(folder: RunFolder, trial: str, record: Record) -> None:
    """On disk when this returns."""
    append_line(place(folder, trial), record.as_json())


def scored(folder: RunFolder) -> Iterator[Record]:
    """The records of all trials; a file that something else has written to counts as far as it can be read."""
    for path in sorted((folder.search / "scored").glob("*.jsonl")):
        try:
            for number, line in enumerate(read_lines(path), 1):
                yield record_from_json(line, f"{path}:{number}")
        except UserError:
            continue


def clear(folder: RunFolder) -> None:
    """Once all are in `candidates.jsonl`."""
    for path in (folder.search / "scored").glob("*.jsonl"):
        path.unlink(missing_ok=True)
