"""Spans of time, and the config key that takes one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from nasrec_nni.config_file import parse_config
from nasrec_nni.durations import seconds_of, shown, written
from nasrec_nni.errors import UserErrors
from nasrec_nni.pipeline.staleness import stages


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("1.5h", 5400), (" 1H 2m 3s ", 3723), ("1s", 1)],
)
def test_forms(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@given(some.integers(1000, 10**9))
def test_a_written_span_reads_as_the_same(thousandths: int) -> None:
    assert seconds_of(written(thousandths / 1000)) == pytest.approx(thousandths / 1000, abs=1e-9)


def test_for_people() -> None:
    assert [shown(value) for value in (0.0, 3.14, 59.7, 3661.2)] == ["0s", "3.1s", "1m", "1h1m1s"]


@pytest.mark.parametrize("value", [30, 1.5, True, None, [], "", "m", "30", "-5m", "1m1h", "0.5s", "30 minutes", "nan"])
def test_anything_else_is_one_clear_error(value: object) -> None:
    if value is None:
        assert parse_config({"budget": None}).budget is None
        return
    with pytest.raises(UserErrors, match="config: budget: must be a span of time such as 90s") as told:
        parse_config({"budget": value})
    assert len(told.value.errors) == 1


def test_a_number_without_a_letter_is_not_guessed() -> None:
    with pytest.raises(UserErrors, match="it could be 30s, 30m or 30h"):
        parse_config({"budget": 30})


def test_configs_without_the_new_keys_are_stored_as_before() -> None:
    plain, with_budget = parse_config({}), parse_config({"budget": "1h"})
    assert "budget" not in plain.model_dump(mode="json")
    assert "max_steps" not in plain.model_dump(mode="json")["supernet"]
    assert with_budget.model_dump(mode="json")["budget"] == "1h"
    assert parse_config(with_budget.model_dump(mode="json")) == with_budget
    assert [stage.key for stage in stages(plain)] == [stage.key for stage in stages(with_budget)]
