"""What a changed config makes stale, and that nothing stale is used or lost without a word."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from nasrec_nni.config import parse_config
from nasrec_nni.errors import UserError
from nasrec_nni.pipeline.staleness import STAGES, Clock, finish, read_record, refuse_or_retire, stages, start, state
from nasrec_nni.run_folder import RunFolder


def keys(**changes: Any) -> list[Any]:
    return stages(parse_config(changes))


def done_run(path: Path) -> RunFolder:
    """All stages done, each with a file."""
    folder = RunFolder(path)
    for stage in keys():
        getattr(folder, stage.name).mkdir(parents=True)
        (getattr(folder, stage.name) / "what.txt").write_text(stage.name)
        start(folder, stage)
        finish(folder, stage, Clock(), {"by": stage.name})
    return folder


def states(folder: RunFolder, **changes: Any) -> list[str]:
    return [state(folder, stage) for stage in keys(**changes)]


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({"data": {"options": {"rows": 7}}}, "data"),
        ({"seed": 5}, "supernet"),
        ({"space": {"blocks": 3}}, "supernet"),
        ({"supernet": {"warmup": 0.5}}, "supernet"),
        ({"search": {"candidates": 7}}, "search"),
        ({"retrain": {"seeds": [4]}}, "retrain"),
        ({"threads": 1}, None),
        ({"device": "cpu"}, None),
    ],
)
def test_a_change_makes_its_stage_and_the_later_ones_stale(
    changes: dict[str, Any], first: str | None, tmp_path: Path
) -> None:
    folder = done_run(tmp_path)
    at = len(STAGES) if first is None else STAGES.index(first)
    assert states(folder, **changes) == ["done"] * at + ["stale"] * (len(STAGES) - at)
    assert states(folder) == ["done"] * len(STAGES)


def test_a_started_stage_goes_on_and_under_another_config_is_stale(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    start(folder, keys()[0])
    assert states(folder) == ["started", "absent", "absent", "absent"]
    assert states(folder, data={"options": {"rows": 7}})[0] == "stale"


def test_a_stale_stage_is_refused_with_what_changed(tmp_path: Path) -> None:
    folder = done_run(tmp_path)
    with pytest.raises(
        UserError, match=r"search \(search\.candidates: 200 -> 7\); retrain \(an earlier stage\)"
    ) as told:
        refuse_or_retire(folder, keys(search={"candidates": 7}), redo=False)
    assert "--redo" in told.value.message
    assert states(folder) == ["done"] * len(STAGES)


def test_redo_keeps_the_old_stages_and_says_where(tmp_path: Path) -> None:
    folder = done_run(tmp_path)
    for round_, candidates in enumerate((7, 8), 1):
        changed = keys(search={"candidates": candidates})
        told = refuse_or_retire(folder, changed, redo=True)
        assert [line.split()[0] for line in told] == (["retrain", "search"] if round_ == 1 else ["search"])
        assert (folder.old / str(round_) / "search" / "what.txt").read_text() == "search"
        assert [state(folder, stage) for stage in changed] == ["done", "done", "absent", "absent"]
        folder.search.mkdir()
        (folder.search / "what.txt").write_text("search")
        start(folder, changed[2])
    assert refuse_or_retire(folder, changed, redo=True) == []


def test_a_changed_raw_file_is_seen(tmp_path: Path) -> None:
    raw = tmp_path / "log.csv"
    raw.write_text("click\n1\n")
    config = parse_config({"data": {"source": "table", "inputs": [str(raw)]}})
    before = stages(config)[0].fingerprint
    assert stages(config)[0].fingerprint == before
    raw.write_text("click\n1\n0\n")
    assert stages(config)[0].fingerprint != before


def test_another_prepared_set_at_the_same_place_is_seen() -> None:
    config = parse_config({"data": {"prepared": "somewhere"}})
    assert stages(config, "a")[0].fingerprint != stages(config, "b")[0].fingerprint


def test_the_record_has_times_and_the_result(tmp_path: Path) -> None:
    folder, stage = RunFolder(tmp_path), keys()[0]
    start(folder, stage)
    clock = Clock()
    time.sleep(0.02)
    finish(folder, stage, clock, {"rows": 3})
    record = read_record(folder, "data")
    assert record is not None
    assert record["result"] == {"rows": 3}
    assert record["seconds"] >= 0.02
    assert record["state"] == "done"
