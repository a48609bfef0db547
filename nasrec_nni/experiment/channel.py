"""A trial's three words with NNI: its parameter, its intermediate results, its final one.

Fact: `import nni` takes two CPU seconds (pandas, scipy), as much as torch does, and every trial pays them; what it
says to the manager are three kinds of JSON over HTTP. Where the channel is not of that kind, NNI's own is used.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from typing import Any, Protocol

CHANNEL, TRIAL = "NNI_TRIAL_COMMAND_CHANNEL", "NNI_TRIAL_JOB_ID"
RECORDS = "records"  # key of a metric that is for the tuner, not for NNI's pages
SECONDS = 120.0


class Channel(Protocol):
    """What a trial needs of NNI."""

    trial: str

    def parameter(self) -> Any:
        """What the tuner handed out."""

    def intermediate(self, metric: dict[str, Any]) -> None:
        """A result on the way."""

    def final(self, metric: dict[str, Any]) -> None:
        """The result."""


def connect() -> Channel:
    """The channel of this trial."""
    url = os.environ.get(CHANNEL, "")
    return Http(url, os.environ.get(TRIAL, "")) if url.startswith("http://") else Nni()


class Http:
    """The protocol of NNI's own `TrialCommandChannelV3`.

    Args:
        url: of this trial's channel.
        trial: its id.
    """

    def __init__(self, url: str, trial: str) -> None:
        self._url, self.trial = url, trial
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._parameter_id: Any = None
        self._sequence = 0

    def parameter(self) -> Any:
        self._put({"type": "request_parameter"})
        while True:
            status, text = self._open("GET", None)
            if status == 200:
                break
            if status != 408:  # 408: not yet
                raise ConnectionError(f"the trial's channel answered {status}")
        answer = json.loads(json.loads(text)["parameter"])
        self._parameter_id = answer["parameter_id"]
        return answer["parameters"]

    def intermediate(self, metric: dict[str, Any]) -> None:
        self._send("PERIODICAL", self._sequence, metric)
        self._sequence += 1

    def final(self, metric: dict[str, Any]) -> None:
        self._send("FINAL", 0, metric)

    def _send(self, kind: str, sequence: int, value: dict[str, Any]) -> None:
        metric = {
            "parameter_id": self._parameter_id,
            "trial_job_id": self.trial,
            "type": kind,
            "sequence": sequence,
            "value": json.dumps({name: one for name, one in value.items() if name != RECORDS}),
        }
        if RECORDS in value:
            metric[RECORDS] = value[RECORDS]
        self._put({"type": "metric", "metric": json.dumps(metric)})

    def _put(self, content: dict[str, Any]) -> None:
        self._open("PUT", json.dumps(content).encode())

    def _open(self, method: str, data: bytes | None) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json"} if data is not None else {}
        request = urllib.request.Request(self._url, data, headers, method=method)
        try:
            with self._opener.open(request, timeout=SECONDS) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, b""


class Nni:
    """NNI's own, for training services with another kind of channel."""

    def __init__(self) -> None:
        import nni

        self._nni = nni
        self.trial = str(nni.get_trial_id())

    def parameter(self) -> Any:
        return self._nni.get_next_parameter()

    def intermediate(self, metric: dict[str, Any]) -> None:
        self._nni.report_intermediate_result(metric)

    def final(self, metric: dict[str, Any]) -> None:
        self._nni.report_final_result(metric)


def reunite(dispatcher: Any) -> None:
    """In the tuner's process: the records that a trial has sent beside its metric come back into it.

    Fact: the manager keeps and shows a metric's value only, and hands the whole message on to the dispatcher.
    """
    handle = dispatcher.handle_report_metric_data

    def handle_whole(data: dict[str, Any]) -> None:
        if RECORDS in data:
            data = {**data, "value": json.dumps({**json.loads(data["value"]), RECORDS: data[RECORDS]})}
        handle(data)

    dispatcher.handle_report_metric_data = handle_whole
