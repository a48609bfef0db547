"""A tuner that hands out a list of trials, one after the other; one that fails once more."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from nni.tuner import Tuner

from nasrec_nni.experiment import rest
from nasrec_nni.experiment.orphans import watch_port
from nasrec_nni.experiment.tuner import CHANNEL, Later


class ListTuner(Tuner):  # type: ignore[misc]
    """Every trial of a list, until it has ended well or failed so often.

    Args:
        trials: parameters.
        attempts: how often one is tried.
        optimize_mode: for NNI's web page.
    """

    def __init__(self, trials: Sequence[Any], attempts: int = 1, optimize_mode: str = "minimize") -> None:
        super().__init__()
        self._left = deque((trial, 1) for trial in trials)
        self._attempts = attempts
        self._out: dict[int, tuple[Any, int]] = {}
        self._requests: list[int] = []
        self._send: Any = None
        self._guard = threading.RLock()
        if url := os.environ.get(CHANNEL):
            watch_port(url, lambda: os._exit(1))

    def update_search_space(self, search_space: Any) -> None:
        """Only shown."""

    def generate_multiple_parameters(self, parameter_id_list: list[int], **more: Any) -> list[Any]:
        """Trials go out through the callback, now or when one has failed."""
        with self._guard:
            self._send = more["st_callback"]
            self._requests += parameter_id_list
            self._deliver()
        return Later(len(parameter_id_list))

    def receive_trial_result(self, parameter_id: int, parameters: Any, value: Any, **more: Any) -> None:
        """What counts is in the run folder."""

    def trial_end(self, parameter_id: int, success: bool, **more: Any) -> None:
        """A trial that failed is tried again."""
        with self._guard:
            trial, attempt = self._out.pop(parameter_id, (None, 0))
            if trial is not None and not success and attempt < self._attempts:
                self._left.append((trial, attempt + 1))
            self._deliver()

    def _deliver(self) -> None:
        while self._requests and self._left:
            parameter_id = self._requests.pop(0)
            self._out[parameter_id] = self._left.popleft()
            self._send(parameter_id, self._out[parameter_id][0])
        if not self._left and not self._out:
            threading.Thread(target=_done, daemon=True).start()


def _done() -> None:
    if url := os.environ.get(CHANNEL):
        rest.allow_no_more_trials(urlsplit(url).port or 80)
