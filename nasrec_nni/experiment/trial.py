"""The trial command, `nasrec-trial RUN`: scores the batch that NNI hands it. Neither Lightning nor `nni.nas` here.

Two processes: this one talks with NNI, a child scores, so that a bad candidate is not the end of the others. Every
trial pays for what both import, so this one has neither numpy nor pydantic.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from nasrec_nni import large_pages
from nasrec_nni.errors import UserError
from nasrec_nni.experiment import scored
from nasrec_nni.experiment.batch import final, intermediate, tickets_of
from nasrec_nni.experiment.channel import connect
from nasrec_nni.experiment.orphans import watch_parent
from nasrec_nni.experiment.supervisor import Supervisor
from nasrec_nni.run_folder import RunFolder
from nasrec_nni.strategies.search import Record, Ticket


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `nasrec-trial`; returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    large_pages.ask()
    try:
        if given[:1] == ["--child"]:
            gc.disable()  # it looks at every object over and over while all that torch has is made
            from nasrec_nni.experiment.child import main as child

            return child(given[1], int(given[2]))
        if given[:1] == ["--train"]:
            from nasrec_nni.experiment.training import main as train

            return train(Path(given[1]))
        if len(given) != 1 or given[0].startswith("-"):
            raise UserError("is started by NNI, as `nasrec-trial RUN`", value=" ".join(given), where="nasrec-trial")
        return run_trial(Path(given[0]))
    except UserError as error:
        print(f"error: {error.message}", file=sys.stderr, flush=True)
        return 2


def run_trial(run: Path) -> int:
    """Score one batch."""
    folder = RunFolder.open(run)
    for number in (signal.SIGINT, signal.SIGTERM):  # NNI ends a trial with SIGINT
        signal.signal(number, _leave)
    with Supervisor(run) as supervisor:
        watch_parent(lambda: _orphaned(supervisor))
        nni = connect()  # while the child loads
        tickets = tickets_of(nni.parameter())
        before = {record.number: record for record in scored.scored(folder)}
        records = []
        for ticket in tickets:
            record = before.get(ticket.number)
            if record is None or record.id != ticket.architecture.id:
                record = supervisor.score(ticket)
                scored.keep(folder, nni.trial, record)
            records.append(record)
            _tell(ticket, record)
            if figures := intermediate(record):
                nni.intermediate(figures)
        if (result := final(records)) is None:
            print("every candidate of this batch failed", file=sys.stderr, flush=True)
            return 1
        nni.final(result)
    return 0


def _tell(ticket: Ticket, record: Record) -> None:
    said = f"failed: {record.failure}" if record.failure is not None else f"{record.value:.6f}"
    stream = sys.stderr if record.failure is not None else sys.stdout
    print(f"candidate {ticket.number} {said}", file=stream, flush=True)


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _orphaned(supervisor: Supervisor) -> None:
    """NNI's side has gone: the child first, then this process, whatever it waits for."""
    supervisor.end()
    os._exit(1)
