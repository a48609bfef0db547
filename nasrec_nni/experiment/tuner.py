"""The tuner that NNI's dispatcher runs, through the command (door 2) and `nnictl create` (door 3) alike.

It owns `RUN/search/candidates.jsonl` and forgets nothing: what NNI remembers of a stopped experiment is not asked.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nni.tuner import Tuner

from nasrec_nni.config_file import load_config
from nasrec_nni.errors import UserError
from nasrec_nni.experiment import rest, scored
from nasrec_nni.experiment.batch import records_of, tickets_of, to_parameter
from nasrec_nni.experiment.channel import reunite
from nasrec_nni.experiment.ledger import Ledger
from nasrec_nni.experiment.orphans import watch_port
from nasrec_nni.experiment.scored import STOPPED
from nasrec_nni.files import append_line, read_json, write_json
from nasrec_nni.pipeline import staleness
from nasrec_nni.pipeline.context import Context
from nasrec_nni.pipeline.scalars import Scalars
from nasrec_nni.pipeline.search import begun, read_records, told
from nasrec_nni.run_folder import RunFolder
from nasrec_nni.strategies.search import Record

CHANNEL = "NNI_TUNER_COMMAND_CHANNEL"
_logger = logging.getLogger("nni.nasrec")


class Later(list[Any]):
    """Nothing yet, but not the end: empty to iterate over, as long as what was asked for.

    Fact: NNI's dispatcher takes a list shorter than the request for the end of the search.
    """

    def __init__(self, asked: int) -> None:
        super().__init__()
        self._asked = asked

    def __len__(self) -> int:
        return self._asked


class SearchTuner(Tuner):  # type: ignore[misc]
    """Hands out batches of candidates of one run.

    Args:
        run: the run folder; its supernet is trained.
        owned: a command holds the run's lock and does what is left when the search is over.
        optimize_mode: for NNI's web page, which sorts by it.
    """

    def __init__(self, run: str, owned: bool = False, optimize_mode: str = "minimize") -> None:
        super().__init__()
        self._folder, self._owned = RunFolder(Path(run)), owned
        self._guard = threading.RLock()
        self._ledger: Ledger | None = None
        self._requests: list[int] = []  # parameter ids that NNI waits for
        self._hand_outs: dict[int, int] = {}  # hand-out of each parameter id
        self._workers = 0
        self._send: Callable[[int, Any], None] | None = None
        self._ended = False
        if url := os.environ.get(CHANNEL):
            watch_port(url, lambda: os._exit(1))  # the manager has gone; state is on disk

    def update_search_space(self, search_space: Any) -> None:
        """Called at the start. The space is the run's config; what NNI shows of it is for people."""
        with self._guard, self._told():
            if self._ledger is None:
                self._ledger = self._open()

    def generate_multiple_parameters(self, parameter_id_list: list[int], **more: Any) -> list[Any]:
        """Batches go out through the callback, now or when there are some."""
        with self._guard, self._told():
            send = more["st_callback"]
            if self._ledger is None:  # it could not start, which `stopped.json` tells of
                self._give_up_late(send)
            elif self._send is None:
                if (dispatcher := getattr(send, "__self__", None)) is not None:
                    reunite(dispatcher)
                self._workers = len(parameter_id_list)
                self._claim_resumed(send)
            self._send = send
            self._requests += parameter_id_list
            self._deliver()
        return Later(len(parameter_id_list))

    def receive_trial_result(self, parameter_id: int, parameters: Any, value: Any, **more: Any) -> None:
        """The final metric of a trial; whatever is none of ours is ignored."""
        with self._guard, self._told():
            if self._ledger is not None:
                self._absorb(records_of(value))
                self._deliver()

    def trial_end(self, parameter_id: int, success: bool, **more: Any) -> None:
        """A trial has ended, well or not: what it did not finish is handed out again."""
        with self._guard, self._told():
            hand_out = self._hand_outs.pop(parameter_id, None)
            if self._ledger is None or hand_out is None:
                return
            self._absorb(scored.scored(self._folder))
            self._ledger.lost(hand_out, "it ended well" if success else "it failed or was killed", blame=not success)
            self._deliver()

    def import_data(self, data: Any) -> None:
        """Results of resumed trials come this way; those known already are ignored, as everywhere."""
        with self._guard, self._told():
            for one in data:
                if self._ledger is not None and isinstance(one, dict):
                    self._absorb(records_of(one.get("value")))
            self._deliver()

    def _open(self) -> Ledger:
        folder = self._folder
        if not self._owned:
            _held.enter_context(folder.locked("nnictl experiment"))
        (folder.search / STOPPED).unlink(missing_ok=True)
        context = Context(load_config(folder.config), folder, progress=False)
        if not self._owned:
            staleness.refuse_or_retire(folder, self._stages(context), redo=False)
            staleness.start(folder, self._stage(context))
        self._context = context
        config, before = context.config, read_records(folder)
        self._scalars = Scalars(folder, before)
        ledger = Ledger(
            begun(context),
            config.search.in_flight,
            config.search.candidates,
            config.workers.batch,
            before,
            self._keep,
            str(folder.candidates),
        )
        ledger.absorb(scored.scored(folder))
        return ledger

    def _claim_resumed(self, send: Any) -> None:
        """Trials that NNI starts again after a resume have their batches already.

        Fact: the dispatcher keeps their parameters, tells the tuner nothing of them, and swallows their end.
        """
        assert self._ledger is not None
        resumed = getattr(getattr(send, "__self__", None), "recovered_trial_params", {})
        for parameter in resumed.values():
            with contextlib.suppress(UserError):
                self._ledger.claim(tickets_of(parameter))
                self._workers += 1  # its end sets off one more request

    def _absorb(self, records: Any) -> None:
        assert self._ledger is not None
        self._ledger.absorb(records)

    def _keep(self, record: Record) -> None:
        append_line(self._folder.candidates, record.as_json())
        self._scalars.take(record)

    def _deliver(self) -> None:
        ledger, send = self._ledger, self._send
        if ledger is None or send is None:
            return
        while self._requests:
            found = ledger.next_tickets()
            if found is None and not ledger.over and len(self._requests) >= self._workers:
                self._absorb(scored.scored(self._folder))  # no trial is at work, yet something is out
                ledger.all_lost()
                found = ledger.next_tickets()
            if found is None:
                break
            hand_out, tickets = found
            parameter_id = self._requests.pop(0)
            self._hand_outs[parameter_id] = hand_out
            send(parameter_id, to_parameter(tickets))
        if ledger.over and not self._ended:
            self._ended = True
            self._end(ledger)

    def _end(self, ledger: Ledger) -> None:
        if ledger.stopped is not None:
            self._give_up(ledger.stopped)
            return
        scored.clear(self._folder)
        if not self._owned:
            context = self._context
            result = told(context, ledger.records)
            staleness.finish(self._folder, self._stage(context), staleness.Clock(), result)
        # in a thread of its own: the manager may be waiting for this one
        threading.Thread(target=_done, daemon=True).start()

    def _give_up_late(self, send: Any) -> None:
        self._send = send
        path = self._folder.search / STOPPED
        self._give_up(read_json(path)["reason"] if path.exists() else "the tuner could not start")

    def _give_up(self, reason: str) -> None:
        _logger.error("the search stops: %s", reason)
        write_json(self._folder.search / STOPPED, {"reason": reason})
        dispatcher = getattr(self._send, "__self__", None)
        if dispatcher is not None:
            dispatcher.report_error(f"the search stops: {reason}")

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Nothing may escape.

        Fact: an exception in a tuner's method ends the dispatcher's thread without a word; the experiment hangs.
        """
        try:
            yield
        except UserError as error:
            self._give_up(error.message)
        except Exception as error:
            _logger.exception(error)
            self._give_up(f"a fault of the tuner: {type(error).__name__}: {error}")

    def _stages(self, context: Context) -> list[staleness.Stage]:
        named = context.prepared.fingerprint if context.config.data.prepared is not None else None
        return staleness.stages(context.config, named)

    def _stage(self, context: Context) -> staleness.Stage:
        return next(stage for stage in self._stages(context) if stage.name == "search")


_held = contextlib.ExitStack()  # until the process ends


def _done() -> None:
    url = os.environ.get(CHANNEL)
    if url is None:
        return
    try:
        rest.allow_no_more_trials(urlsplit(url).port or 80)
    except OSError as error:
        _logger.warning("the experiment could not be marked as done: %s", error)
