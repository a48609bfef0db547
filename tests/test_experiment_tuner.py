"""The tuner inside NNI's own dispatcher, without a manager: what is handed out, what counts, when it ends.

The facts of NNI that the tuner works around are checked here with NNI's code: these tests fail when they change.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from nni.runtime import msg_dispatcher
from nni.runtime.msg_dispatcher import MsgDispatcher
from nni.runtime.tuner_command_channel import CommandType

from nasrec_nni.architecture.value import Architecture
from nasrec_nni.config_file import load_config
from nasrec_nni.data.prepare import prepare
from nasrec_nni.experiment import scored, tuner
from nasrec_nni.experiment.batch import SHOWN, final, tickets_of
from nasrec_nni.experiment.channel import RECORDS
from nasrec_nni.experiment.tuner import STOPPED, Later, SearchTuner
from nasrec_nni.files import read_json, write_json, write_text
from nasrec_nni.pipeline.context import Context
from nasrec_nni.pipeline.search import begun, read_records
from nasrec_nni.run_folder import RunFolder, new_manifest
from nasrec_nni.strategies.search import Evaluation, Record, Ticket, run_search

CONFIG: dict[str, Any] = {
    "data": {"prepared": "set"},
    "space": {"blocks": 2, "dense_widths": [8, 16], "sparse_rows": [4], "embedding": 4, "heads": 2},
    "search": {"candidates": 24, "in_flight": 8, "options": {"population": 8, "sample": 4}},
    "workers": {"batch": 4},
}
SENT = (CommandType.NewTrialJob, CommandType.NoMoreTrialJobs, CommandType.Error)


class Dispatcher(MsgDispatcher):
    """NNI's, with a list where the manager would be."""

    def __init__(self, run: RunFolder) -> None:
        super().__init__("ws://_unittest_placeholder_", SearchTuner(str(run.path), owned=True))
        self.sent: list[tuple[CommandType, Any]] = []
        self.handle_initialize({})

    def send(self, command: CommandType, data: str) -> None:
        self.sent.append((command, json.loads(data) if command is CommandType.NewTrialJob else data))

    def jobs(self) -> list[dict[str, Any]]:
        return [data for command, data in self.sent if command is CommandType.NewTrialJob]

    def result(self, job: dict[str, Any], value: Any) -> None:
        """As the manager hands a trial's message on."""
        said = {"type": "FINAL", "parameter_id": job["parameter_id"], "value": json.dumps(value), "trial_job_id": "t"}
        if isinstance(value, dict) and RECORDS in value:
            rest = {key: one for key, one in value.items() if key != RECORDS}
            said |= {"value": json.dumps(rest), RECORDS: value[RECORDS]}
        self.handle_report_metric_data(said)

    def end(self, job: dict[str, Any], event: str = "SUCCEEDED") -> None:
        self.handle_trial_end({"trial_job_id": "t", "event": event, "hyper_params": json.dumps(job)})
        self.handle_request_trial_jobs(1)


@pytest.fixture(scope="module")
def rows_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared set of a few rows."""
    folder = tmp_path_factory.mktemp("data") / "set"
    prepare("synthetic", [], folder, {"rows": 300}, progress=False)
    return folder


@pytest.fixture
def run(tmp_path: Path, rows_set: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A run folder that has data and a config: the tuner needs no supernet."""
    monkeypatch.setattr(msg_dispatcher, "_next_parameter_id", 0)
    monkeypatch.setattr(msg_dispatcher, "_trial_params", {})
    folder = RunFolder(tmp_path / "run")
    write_json(folder.manifest, new_manifest())
    write_text(folder.config, yaml.safe_dump(CONFIG | {"data": {"prepared": str(rows_set)}}))
    return folder


def record(ticket: Ticket) -> Record:
    architecture = ticket.architecture
    return Record(ticket.number, architecture.id, architecture, value(architecture), None, 7, {"log_loss": 0.5})


def value(architecture: Architecture) -> float:
    return int(architecture.id, 16) % 1009 / 1009


def metric(job: dict[str, Any]) -> Any:
    return final([record(ticket) for ticket in tickets_of(job["parameters"])])


def door_one(run: RunFolder) -> list[tuple[Any, ...]]:
    context = Context(load_config(run.config), run)
    search = context.config.search
    found = run_search(
        begun(context),
        lambda architecture: Evaluation(value(architecture), 7),
        budget=search.candidates,
        in_flight=search.in_flight,
    )
    return [(one.number, one.id, one.value) for one in found]


def rows(run: RunFolder) -> list[tuple[Any, ...]]:
    return [(one.number, one.id, one.value) for one in sorted(read_records(run), key=lambda one: one.number)]


def finish(dispatcher: Dispatcher, begun_at: int = 0) -> None:
    """Every trial ends well, the latest first."""
    done = begun_at
    while done < len(dispatcher.jobs()):
        jobs = dispatcher.jobs()[done:]
        done += len(jobs)
        for job in reversed(jobs):
            dispatcher.result(job, metric(job))
            dispatcher.end(job)


def test_the_sequence_is_that_of_the_search_in_process(run: RunFolder) -> None:
    dispatcher = Dispatcher(run)
    dispatcher.handle_request_trial_jobs(2)
    assert [job["parameters"][SHOWN]["batch"] for job in dispatcher.jobs()] == ["0-3", "4-7"]
    finish(dispatcher)
    assert rows(run) == door_one(run)
    assert len(dispatcher.jobs()) == 6
    assert {command for command, _ in dispatcher.sent} == {CommandType.Initialized, CommandType.NewTrialJob}


def test_nothing_yet_is_not_the_end(run: RunFolder) -> None:
    """Fact: a shorter list is the end of NNI's search."""
    dispatcher = Dispatcher(run)
    dispatcher.handle_request_trial_jobs(3)  # eight in flight are two batches
    assert len(dispatcher.jobs()) == 2
    assert CommandType.NoMoreTrialJobs not in [command for command, _ in dispatcher.sent]
    dispatcher.tuner.generate_multiple_parameters = lambda ids, **more: []
    dispatcher.handle_request_trial_jobs(1)
    assert dispatcher.sent[-1][0] is CommandType.NoMoreTrialJobs
    assert (len(Later(3)), list(Later(3))) == (3, [])


def test_odd_metrics_and_repeated_ones_change_nothing(run: RunFolder) -> None:
    dispatcher = Dispatcher(run)
    dispatcher.handle_request_trial_jobs(2)
    first, second = dispatcher.jobs()
    for odd in (None, "text", [1], {"default": 0.5}, {"records": "{"}, 0.1):
        dispatcher.result(first, odd)
    assert not run.candidates.exists()
    dispatcher.result(first, metric(first))
    dispatcher.result(second, metric(first))  # the records say which candidates they are of
    assert [number for number, _, _ in rows(run)] == [0, 1, 2, 3]


def test_what_a_killed_trial_had_scored_is_kept_and_the_rest_handed_out_again(run: RunFolder) -> None:
    dispatcher = Dispatcher(run)
    dispatcher.handle_request_trial_jobs(2)
    first, _ = dispatcher.jobs()
    for ticket in tickets_of(first["parameters"])[:2]:
        scored.keep(run, "t", record(ticket))
    dispatcher.end(first, "USER_CANCELED")
    assert dispatcher.jobs()[-1]["parameters"][SHOWN]["batch"] == "2-3" or rows(run)[1][0] == 1
    finish(dispatcher, 1)
    assert rows(run) == door_one(run)
    assert list((run.search / "scored").glob("*.jsonl")) == []


def test_a_new_tuner_goes_on_where_the_old_one_was_killed(run: RunFolder) -> None:
    dispatcher = Dispatcher(run)
    dispatcher.handle_request_trial_jobs(2)
    first, second = dispatcher.jobs()
    dispatcher.result(first, metric(first))
    scored.keep(run, "t", record(tickets_of(second["parameters"])[0]))
    again = Dispatcher(run)
    assert [number for number, _, _ in rows(run)] == [0, 1, 2, 3, 4]
    again.handle_request_trial_jobs(2)
    finish(again)
    assert rows(run) == door_one(run)


def test_trials_that_nni_runs_again_after_a_resume_are_not_doubled(run: RunFolder) -> None:
    """Fact: NNI tells the tuner nothing of them, and gives their results as imported data."""
    before = Dispatcher(run)
    before.handle_request_trial_jobs(2)
    first, second = before.jobs()
    again = Dispatcher(run)
    again.handle_import_data([])
    again.handle_add_customized_trial([first, second])
    again.handle_request_trial_jobs(2)
    assert again.jobs() == []
    for job in (first, second):
        again.result(job, metric(job))
        again.end(job)
    assert [number for number, _, _ in rows(run)] == list(range(8))
    finish(again)
    assert rows(run) == door_one(run)


def test_a_resumed_trial_that_dies_is_noticed_when_no_other_is_at_work(run: RunFolder) -> None:
    before = Dispatcher(run)
    before.handle_request_trial_jobs(2)
    again = Dispatcher(run)
    again.handle_add_customized_trial(before.jobs())
    again.handle_request_trial_jobs(2)
    for job in before.jobs():
        again.end(job, "FAILED")
    finish(again)
    assert rows(run) == door_one(run)


def test_a_fault_in_the_tuner_is_told_instead_of_hanging_the_experiment(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    dispatcher = Dispatcher(run)
    dispatcher.handle_request_trial_jobs(2)

    def fail(*given: Any) -> Any:
        raise OSError("no space left")

    monkeypatch.setattr(tuner, "append_line", fail)
    dispatcher.result(dispatcher.jobs()[0], metric(dispatcher.jobs()[0]))
    assert dispatcher.sent[-1][0] is CommandType.Error
    assert "no space left" in read_json(run.search / STOPPED)["reason"]


def test_records_of_another_search_stop_the_experiment(run: RunFolder) -> None:
    Dispatcher(run).handle_request_trial_jobs(1)
    context = Context(load_config(run.config, ("seed=5",)), run)
    asked = begun(context).ask()
    assert asked is not None
    write_text(run.candidates, json.dumps(record(Ticket(0, asked)).as_json()) + "\n")
    Dispatcher(run).handle_request_trial_jobs(1)
    assert "not what this search asks here" in read_json(run.search / STOPPED)["reason"]
