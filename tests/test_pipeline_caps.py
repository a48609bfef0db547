"""A cap on table rows below a hashed column's is refused before any training."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nasrec_nni.config_file import parse_config
from nasrec_nni.data.schema import Schema, SparseColumn
from nasrec_nni.errors import UserErrors
from nasrec_nni.pipeline.caps import hashed_beyond_caps
from nasrec_nni.pipeline.context import Context
from nasrec_nni.run_folder import RunFolder

SCHEMA = Schema(
    "y",
    (),
    (
        SparseColumn("city", 5000, 1, "text"),
        SparseColumn("ad", 3000, 1, "text", encoding="hash_mod"),
        SparseColumn("user", 1001, 1, "text", encoding="hash"),
    ),
)


def config(supernet: int | None, retrain: int | None, top_k: int = 1) -> Any:
    return parse_config(
        {
            "supernet": {"max_rows_per_field": supernet},
            "retrain": {"max_rows_per_field": retrain, "top_k": top_k, "baselines": ["lr"]},
        }
    )


@pytest.mark.parametrize(
    ("supernet", "retrain", "searches", "expected"),
    [
        (None, None, True, []),
        (3000, 3000, True, []),
        (2999, None, True, ["supernet ad"]),
        (2999, None, False, []),
        (None, 1000, True, ["retrain ad", "retrain user"]),
        (1000, 1000, True, ["supernet ad", "retrain ad", "supernet user", "retrain user"]),
    ],
)
def test_which_columns_are_told(supernet: int | None, retrain: int | None, searches: bool, expected: list[str]) -> None:
    found = list(hashed_beyond_caps(config(supernet, retrain), SCHEMA, searches))
    assert [f"{one.where.split('.')[0]} {one.what.split()[1]}" for one in found] == expected


def test_the_error_names_column_rows_cap_and_the_way_out() -> None:
    (found,) = hashed_beyond_caps(config(None, 1000), Schema("y", (), SCHEMA.sparse[2:]), True)
    for word in ("retrain.max_rows_per_field", "user", "1001 rows", "1000", "--hash-rows user=1000", "the cap to 1001"):
        assert word in found.message


@pytest.mark.parametrize("top_k", [0, 1])
def test_a_run_checks_it_before_any_training(top_k: int, tmp_path: Path) -> None:
    prepared = SimpleNamespace(
        folder=tmp_path,
        schema=SCHEMA,
        rows_per_field=(5000, 3000, 1001),
        split_sizes=lambda: {"train": 1, "val": 1, "test": 1},
    )
    for chosen, named in ((config(1000, None, top_k), "supernet"), (config(None, 1000, top_k), "retrain")):
        context = Context(chosen, RunFolder(tmp_path))
        context.__dict__["prepared"] = prepared
        if named == "supernet" and not top_k:
            prepared.label, prepared.rows = SimpleNamespace(), lambda split: None
            prepared.label = {None: None}
            context.check_data()  # no supernet is trained
            continue
        with pytest.raises(UserErrors, match=f"{named}.max_rows_per_field: column ad is hashed into 3000 rows"):
            context.check_data()
