"""Early rejection: paired differences, who is given up, who is compared with whom, and the same after a stop."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import ttest_rel

from nasrec_nni.architecture.space import SpaceDescription
from nasrec_nni.config import Config, SearchConfig
from nasrec_nni.config_file import parse_config
from nasrec_nni.data.prepare import prepare
from nasrec_nni.data.prepared import PreparedSet
from nasrec_nni.evaluation.evaluator import Evaluator
from nasrec_nni.evaluation.rejection import behind, hopeless
from nasrec_nni.evaluation.rows import look_first, shuffled, subset
from nasrec_nni.pipeline.best_told import BestTold
from nasrec_nni.pipeline.context import Context
from nasrec_nni.pipeline.search import read_records, search
from nasrec_nni.run_folder import RunFolder
from nasrec_nni.strategies.one_shot.train import train_supernet
from nasrec_nni.strategies.sampling.sampler import architectures
from nasrec_nni.strategies.search import Record, best

CONTENT: dict[str, Any] = {
    "threads": 1,
    "device": "cpu",
    "space": {"name": "nasrec-small", "blocks": 2, "dense_widths": [8, 16], "sparse_rows": [4, 8], "embedding": 8},
    "supernet": {"recipe": {"preset": "published", "batch": 256}, "validation_rows": 300},
    "search": {"candidates": 12, "options": {"population": 4, "sample": 2}, "head_rows": 600},
}


def config(data: Path, **search: Any) -> Config:
    return parse_config(CONTENT | {"data": {"prepared": str(data)}, "search": CONTENT["search"] | search})


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> PreparedSet:
    options = {"rows": 12_000, "split": "random"}
    return prepare("synthetic", [], tmp_path_factory.mktemp("data") / "set", options, progress=False)


@pytest.fixture(scope="module")
def supernet(prepared: PreparedSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("supernet")
    train_supernet(config(prepared.folder), prepared, folder, progress=False)
    return folder


@given(st.integers(1, 3000), st.integers(0, 9), st.data())
def test_subsets_are_sorted_seeded_and_part_of_larger_ones(count: int, seed: int, data: st.DataObject) -> None:
    rows = np.arange(count) * 3 + 1
    few = data.draw(st.integers(1, count))
    more = data.draw(st.integers(few, count))
    small, large = subset(rows, few, seed, 2**32), subset(rows, more, seed, 2**32)
    assert len(small) == few
    assert np.isin(small, large).all()
    assert np.isin(large, rows).all()
    assert (np.diff(small) > 0).all()
    assert np.array_equal(np.sort(shuffled(large, seed)), large)
    looked = look_first(rows, seed)
    assert np.array_equal(np.sort(np.concatenate(looked)), rows)
    assert [len(part) for part in looked] == ([1024, count - 1024] if count > 1024 else [count])


def test_difference_and_error_are_those_of_a_paired_test() -> None:
    generator = np.random.default_rng(0)
    one, other = generator.exponential(size=(2, 500))
    difference, error = behind(one, other, None)
    assert difference == pytest.approx((one - other).mean())
    expected = ttest_rel(one, other).statistic * np.sqrt(500 / 499)
    assert difference / error == pytest.approx(expected)
    assert behind(one, other, np.full(500, 3.0)) == pytest.approx((difference, error))
    weight = generator.integers(1, 4, 500).astype(float)
    weighted, _ = behind(one, other, weight)
    assert weighted == pytest.approx(np.average(one - other, weights=weight))


def test_only_a_finite_loss_behind_is_hopeless() -> None:
    assert hopeless(0.3, 0.09, 3)
    assert not hopeless(0.3, 0.11, 3)
    assert not hopeless(-0.3, 0.01, 3)
    assert not hopeless(*behind(np.array([np.inf, 1.0]), np.array([1.0, 1.0]), None), 3)
    assert not hopeless(*behind(np.array([np.nan, 1.0]), np.array([1.0, 1.0]), None), 3)


def test_a_rejected_candidate_is_scored_on_the_first_rows_only(supernet: Path, prepared: PreparedSet) -> None:
    plain = Evaluator(supernet, prepared, SearchConfig(head_rows=600))
    strict = Evaluator(supernet, prepared, SearchConfig(head_rows=600, early_rejection=1e-9))
    lenient = Evaluator(supernet, prepared, SearchConfig(head_rows=600, early_rejection=1e9))
    order = np.argsort(strict.score_rows)
    assert np.array_equal(strict.score_rows[order], plain.score_rows)
    seen = set()
    first, *others = architectures(plain.supernet.facts.space, 1, 6)
    for evaluator in (plain, strict, lenient):
        assert not evaluator.evaluate(first).rejected
    reference = strict.evaluate(first)
    for architecture in others:
        expected, alone = plain.evaluate(architecture), strict.evaluate(architecture)
        np.testing.assert_allclose(alone.losses[order], expected.losses, rtol=0, atol=1e-5)
        kept, score = lenient.evaluate(architecture, reference), strict.evaluate(architecture, reference)
        assert np.array_equal(kept.losses, alone.losses)
        assert not kept.rejected
        difference = alone.losses[:1024].mean() - reference.losses[:1024].mean()
        assert score.rejected == (difference > 0)
        seen.add(score.rejected)
        if score.rejected:
            assert score.score_rows == len(score.losses) == 1024
            assert np.array_equal(score.losses, alone.losses[:1024])
            assert score.log_loss == pytest.approx(reference.log_loss + difference)
            assert score.log_loss > reference.log_loss
            assert score.auc is None
        else:
            assert np.array_equal(score.losses, alone.losses)
    assert seen == {True, False}


def _run(folder: Path, supernet: Path, prepared: PreparedSet, lines: list[str], **more: Any) -> list[dict[str, Any]]:
    """A search behind some lines of an earlier one: its lines, without clock times."""
    run = RunFolder(folder)
    shutil.copytree(supernet, run.supernet)
    run.search.mkdir()
    run.candidates.write_text("".join(lines))
    context = Context(config(prepared.folder, early_rejection=1.0, **more), run, progress=False)
    result = search(context)
    records = read_records(run)
    assert result["rejected"] == sum("rejected_after" in record.facts for record in records)
    assert "rejected_after" not in best(records, 1)[0].facts
    return [json.loads(line) for line in run.candidates.read_text().splitlines()]


def _timeless(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        line | {"facts": {k: v for k, v in line["facts"].items() if k not in ("time", "cpu_seconds")}} for line in lines
    ]


@pytest.mark.parametrize("in_flight", [1, 3])
def test_a_stopped_search_rejects_the_same_candidates(
    supernet: Path, prepared: PreparedSet, tmp_path: Path, in_flight: int
) -> None:
    whole = _run(tmp_path / "whole", supernet, prepared, [], in_flight=in_flight)
    rejected = [line for line in whole if "rejected_after" in line["facts"]]
    assert 0 < len(rejected) < len(whole)
    for line in rejected:  # an estimate above the best one that had been told when it was asked
        told = [one["value"] for one in whole if one["number"] <= line["number"] - in_flight and one not in rejected]
        assert line["value"] > min(told)
        assert line["facts"]["rejected_after"] == 1024
    assert not any(line["number"] < in_flight for line in rejected)
    for stop in (1, 6, 11):
        again = _run(
            tmp_path / str(stop), supernet, prepared, [json.dumps(x) + "\n" for x in whole[:stop]], in_flight=in_flight
        )
        assert _timeless(again) == _timeless(whole)


def test_candidates_are_compared_with_the_best_told_when_they_were_asked() -> None:
    values = {0: 0.5, 1: 0.4, 2: None, 3: 0.3, 4: 0.6}
    made = architectures(SpaceDescription("nasrec-small", ("fc", "dp"), ("efc",), blocks=3), 3, 5)
    records = [
        Record(n, made[n].id, made[n], value, None if value is not None else "failed", 1) for n, value in values.items()
    ]
    asked: list[str] = []

    class Scores:
        def evaluate(self, architecture: Any) -> str:
            asked.append(architecture.id)
            return architecture.id

    told = BestTold(Scores(), records, 2)  # type: ignore[arg-type]
    assert told.next_number() == 5
    found = [told.score(number) for number in range(7)]
    assert found == [None, None, made[0].id, made[1].id, made[1].id, made[3].id, made[3].id]
    assert asked == [made[0].id, made[1].id, made[3].id]
    del records[1]
    assert told.next_number() == 1


def test_only_log_loss_can_be_compared_in_pairs() -> None:
    with pytest.raises(ValidationError, match=r"search\.objective must be log_loss"):
        SearchConfig(objective="auc", early_rejection=3)
    assert SearchConfig().early_rejection is None


def test_the_published_budget_is_one_key_away() -> None:
    found = SearchConfig.model_validate({"preset": "published"})
    assert (found.head, found.head_rows, found.score_rows) == ("adagrad", 256_000, 1_228_800)
    assert SearchConfig.model_validate({"preset": "published", "head": "lbfgs"}).head == "lbfgs"
    assert SearchConfig.model_validate(found.model_dump()) == found
    with pytest.raises(ValidationError, match="published"):
        SearchConfig.model_validate({"preset": "other"})
