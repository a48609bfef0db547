"""What a changed config makes stale, and that nothing stale is used or lost without a word."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from nasrec_nni.config_file import parse_config
from nasrec_nni.errors import UserError
from nasrec_nni.files import fingerprint, write_json
from nasrec_nni.pipeline.staleness import (
    STAGES,
    Clock,
    finish,
    pause,
    read_record,
    record_path,
    refuse_or_retire,
    stages,
    start,
    state,
)
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
        (
            {
                "supernet": {
                    "validate_every": 7,
                    "checkpoint_every": 7,
                    "validation_rows": 7,
                    "validation_architectures": 7,
                }
            },
            None,
        ),
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
    before = fingerprint(stages(config)[0].key)
    assert fingerprint(stages(config)[0].key) == before
    raw.write_text("click\n1\n0\n")
    assert fingerprint(stages(config)[0].key) != before


def test_a_raw_log_that_was_moved_is_still_the_same(tmp_path: Path) -> None:
    key = None
    for place in ("here", "there"):
        raw = tmp_path / place / "ml" / "ratings.dat"
        raw.parent.mkdir(parents=True)
        if key is None:
            raw.write_text("1::1::4::9\n")
        else:
            (tmp_path / "here" / "ml" / "ratings.dat").rename(raw)
        found = stages(parse_config({"data": {"source": "movielens", "inputs": [str(raw.parent)]}}))[0].key
        assert key in (None, found)
        key = found


def test_another_prepared_set_at_the_same_place_is_seen() -> None:
    config = parse_config({"data": {"prepared": "somewhere"}})
    assert stages(config, "a")[0].key != stages(config, "b")[0].key


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


def test_seconds_add_up_over_the_sessions_of_a_stage(tmp_path: Path) -> None:
    folder, stage = RunFolder(tmp_path), keys()[0]

    class Ticks(Clock):
        def read(self) -> dict[str, float]:
            return {"seconds": 2.0, "cpu_seconds": 1.5}

    for _ in range(2):
        start(folder, stage)
        pause(folder, stage, Ticks())
        assert states(folder)[0] == "started"
    start(folder, stage)
    finish(folder, stage, Ticks(), {})
    record = read_record(folder, "data")
    assert record is not None
    assert (record["seconds"], record["cpu_seconds"], record["sessions"]) == (6.0, 4.5, 3)


def test_records_of_an_earlier_version_are_read(tmp_path: Path) -> None:
    """Their supernet key held what no weight depends on, and a started stage had no CPU seconds."""
    folder, found = RunFolder(tmp_path), keys()
    watched = {"validate_every": 500, "checkpoint_every": 200, "validation_rows": 20_000, "validation_architectures": 4}
    after: dict[str, str] = {}
    for stage in found:
        key = stage.key | after
        if stage.name == "supernet":
            key["supernet"] = key["supernet"] | watched
        old = {"stage": stage.name, "key": key, "started": "2026-01-01", "seconds": 0.0, "state": "started"}
        write_json(record_path(folder, stage.name), old)
        after = {"after": fingerprint(key)}
    assert states(folder) == ["started"] * len(STAGES)
    for stage in found:
        finish(folder, stage, Clock(), {})
    assert states(folder) == ["done"] * len(STAGES)
    assert states(folder, supernet={"validate_every": 7}) == ["done"] * len(STAGES)
    assert states(folder, supernet={"warmup": 0.5}) == ["done", "stale", "stale", "stale"]


def test_a_stage_made_behind_another_one_is_stale(tmp_path: Path) -> None:
    """As after a kill in the middle of a redo: the supernet is new, the search is of the old one."""
    folder, changed = done_run(tmp_path), keys(seed=5)
    record_path(folder, "supernet").unlink()
    start(folder, changed[1])
    finish(folder, changed[1], Clock(), {})
    assert states(folder, seed=5) == ["done", "done", "stale", "stale"]


def test_stages_that_were_left_out_are_no_obstacle(tmp_path: Path) -> None:
    folder, found = RunFolder(tmp_path), keys(retrain={"top_k": 0})
    for stage in (found[0], found[3]):
        start(folder, stage)
        finish(folder, stage, Clock(), {})
    assert states(folder, retrain={"top_k": 0}) == ["done", "absent", "absent", "done"]
    assert states(folder, retrain={"top_k": 0}, seed=5)[3] == "stale"
    assert states(folder, retrain={"top_k": 0}, data={"options": {"rows": 7}}) == ["stale", "absent", "absent", "stale"]


@pytest.mark.parametrize(
    ("changes", "moved"),
    [
        ({"search": {"candidates": 7}}, {"search", "retrain"}),
        ({"retrain": {"seeds": [4]}}, {"retrain"}),
        ({"seed": 5}, {"supernet", "search", "retrain"}),
    ],
)
def test_tensorboard_of_redone_stages_is_moved_too(changes: dict[str, Any], moved: set[str], tmp_path: Path) -> None:
    folder = done_run(tmp_path)
    names = {"supernet", "search", "retrain"}
    for name in names:
        (folder.tensorboard / name).mkdir(parents=True)
    refuse_or_retire(folder, keys(**changes), redo=True)
    assert {path.name for path in folder.tensorboard.iterdir()} == names - moved
    assert {path.name for path in (folder.old / "1" / "tensorboard").iterdir()} == moved
