"""The few words we exchange with a running manager over its REST interface."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

SECONDS = 20.0


def call(port: int, path: str, method: str = "GET", content: Any = None) -> Any:
    """One request to `/api/v1/nni/<path>`; None where the answer is no JSON.

    Raises:
        OSError: no answer, or not a good one.
    """
    data = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(
        f"http://localhost:{port}/api/v1/nni/{path}", data, {"Content-Type": "application/json"}, method=method
    )
    with _direct.open(request, timeout=SECONDS) as answer:
        text = answer.read()
    try:
        return json.loads(text)
    except ValueError:
        return None


# a proxy of the environment is not for this machine itself
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def status(port: int) -> str:
    """RUNNING, DONE, ERROR, …"""
    return str(call(port, "check-status")["status"])


def trials(port: int) -> list[dict[str, Any]]:
    """All trials with `trialJobId` and `status`."""
    found: list[dict[str, Any]] = call(port, "trial-jobs")
    return found


def allow_no_more_trials(port: int) -> None:
    """Let the experiment be done when the trials begun so far are.

    Fact: NNI takes "no more trials" of a tuner for a pause; an experiment is DONE only at its `maxTrialNumber`.
    """
    profile = call(port, "experiment")
    profile["params"]["maxTrialNumber"] = len(trials(port))
    call(port, "experiment?update_type=MAX_TRIAL_NUM", "PUT", profile)
