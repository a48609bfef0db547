"""Objectives, limits and a warm start through the stages of a run: from the config to the records and back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from nasrec_nni.config import LimitsConfig, SearchConfig
from nasrec_nni.config_file import parse_config
from nasrec_nni.data.prepare import prepare
from nasrec_nni.data.prepared import PreparedSet
from nasrec_nni.errors import UserError
from nasrec_nni.pipeline import staleness
from nasrec_nni.pipeline.check import check
from nasrec_nni.pipeline.context import Context
from nasrec_nni.pipeline.goals import Goals
from nasrec_nni.pipeline.models import models
from nasrec_nni.pipeline.run import run_stages
from nasrec_nni.pipeline.search import read_records, search
from nasrec_nni.plugins import registry
from nasrec_nni.profiling import profile
from nasrec_nni.run_folder import RunFolder
from nasrec_nni.strategies.one_shot.train import train_supernet
from nasrec_nni.strategies.search import RandomSearch, Record, best, front

CONTENT: dict[str, Any] = {
    "threads": 1,
    "device": "cpu",
    "space": {"name": "nasrec-small", "blocks": 2, "dense_widths": [8, 16], "sparse_rows": [4, 8], "embedding": 8},
    "supernet": {"recipe": {"preset": "published", "batch": 256}, "validation_rows": 300},
    "search": {"algorithm": "nsga2", "candidates": 10, "options": {"population": 4}, "head_rows": 400, "in_flight": 2},
    "retrain": {"top_k": 1, "seeds": [0], "baselines": []},
}
BOTH = ["log_loss", "live_macs"]
Searched = tuple[dict[str, Any], list[Record]]
Find = Callable[..., Searched]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> PreparedSet:
    options = {"rows": 4000, "split": "random"}
    return prepare("synthetic", [], tmp_path_factory.mktemp("data") / "set", options, progress=False)


@pytest.fixture(scope="module")
def supernet(prepared: PreparedSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("supernet")
    train_supernet(context(prepared, folder).config, prepared, folder, progress=False)
    return folder


def context(prepared: PreparedSet, folder: Path, **changes: Any) -> Context:
    settings = CONTENT["search"] | changes
    config = parse_config(CONTENT | {"data": {"prepared": str(prepared.folder)}, "search": settings})
    return Context(config, RunFolder(folder), progress=False)


@pytest.fixture
def find(prepared: PreparedSet, supernet: Path, tmp_path: Path) -> Find:
    """A search in a run folder of its own, behind the records of an earlier attempt."""

    def run(name: str = "run", before: list[Record] | None = None, **changes: Any) -> Searched:
        one = context(prepared, tmp_path / name, **changes)
        shutil.copytree(supernet, one.folder.supernet)
        one.folder.search.mkdir()
        lines = [json.dumps(record.as_json()) + "\n" for record in before or []]
        one.folder.candidates.write_text("".join(lines))
        result = search(one)
        return result, read_records(one.folder)

    return run


def test_several_objectives_are_recorded_replayed_and_give_a_front(find: Find, prepared: PreparedSet) -> None:
    result, found = find("whole", objectives=[*BOTH, "live_parameters", "embedding_bytes"])
    rows = sum(prepared.rows_per_field)
    for record in found:
        facts = record.facts
        assert record.values == (facts["log_loss"], record.live_macs, facts["live_parameters"], 4 * 8 * rows)
        assert record.value == record.values[0]
    kept = front(found)
    assert result["front"] == [{"id": record.id, "values": record.values} for record in kept]
    assert result["best"] == best(found, 1)[0].id == kept[0].id
    assert len(kept) > 1
    _, again = find("again", found[:5], objectives=[*BOTH, "live_parameters", "embedding_bytes"])
    assert [(one.id, one.values) for one in again] == [(one.id, one.values) for one in found]


def test_one_objective_leaves_the_lines_as_they_were(find: Find) -> None:
    result, found = find(objectives=["auc"])
    assert all("values" not in record.as_json() for record in found)
    assert all(record.value == -record.facts["auc"] for record in found)
    assert "front" not in result


@pytest.mark.parametrize("algorithm", ["nsga2", "random", "predictor"])
def test_limits_hold_through_the_run(find: Find, prepared: PreparedSet, algorithm: str, tmp_path: Path) -> None:
    options = {} if algorithm != "nsga2" else CONTENT["search"]["options"]
    _, free = find("free", algorithm=algorithm, options=options)
    middle = sorted(record.live_macs or 0 for record in free)[4]
    limits = {"max_macs": str(middle)}  # as YAML reads 2e6: text
    _, found = find("limited", algorithm=algorithm, options=options, limits=limits)
    sizes = context(prepared, tmp_path).sizes(layer_norm=True)
    assert len(found) == 10
    assert all(profile(record.architecture, sizes).live_macs <= middle for record in found)


def test_limits_that_nothing_keeps_are_refused_before_training(prepared: PreparedSet, tmp_path: Path) -> None:
    for limits, told in (
        ({"max_macs": 3.0}, r"search\.limits: no architecture of this space keeps these limits"),
        ({"max_embedding_bytes": 9}, r"search\.limits\.max_embedding_bytes: the embedding table is larger"),
    ):
        config = context(prepared, tmp_path, limits=limits).config
        with pytest.raises(UserError, match=told):
            run_stages(config, tmp_path / "run", "search", command="test")
        assert not (tmp_path / "run" / "supernet").exists()


def test_a_plugin_that_takes_no_notice_of_limits_has_its_proposals_refused(
    find: Find, monkeypatch: pytest.MonkeyPatch
) -> None:
    def careless(space: Any, seed: int, options: Any = None, budget: Any = None, *, excess: Any = None) -> RandomSearch:
        return RandomSearch(space, seed, options, budget)

    monkeypatch.setitem(registry("search")._loaded, "careless", careless)
    _, free = find("free", algorithm="random", options={})
    middle = sorted(record.live_macs or 0 for record in free)[4]
    _, found = find("limited", algorithm="careless", options={}, limits={"max_macs": middle})
    assert [record.id for record in found] == [record.id for record in free]
    refused = {record.id for record in found if "although it breaks search.limits" in str(record.failure)}
    assert refused == {record.id for record in free if (record.live_macs or 0) > middle}
    assert {record.id for record in best(found, 99)} == {record.id for record in free} - refused


def test_measured_latency_is_an_objective_and_a_limit_that_is_no_fault(find: Find, tmp_path: Path) -> None:
    _, found = find("timed", candidates=6, objectives=["log_loss", "latency_ms"], latency_batch=600)
    for record in found:
        assert record.values is not None
        assert record.values[1] == pytest.approx(record.facts["latency_ms"], abs=1e-4)
        assert record.values[1] > 0
    result, found = find("slow", candidates=14, limits={"max_latency_ms": 1e-6})
    assert result["failed"] == 14
    assert result["best"] is None
    assert {record.facts["over_limit"] for record in found} == {"max_latency_ms"}
    assert "search.limits.max_latency_ms is 1e-06" in str(found[0].failure)


def test_no_winner_where_every_candidate_is_too_slow(find: Find, prepared: PreparedSet, tmp_path: Path) -> None:
    find("slow", limits={"max_latency_ms": 1e-6})
    with pytest.raises(UserError, match="no candidate of the search has a value"):
        models(context(prepared, tmp_path / "slow"))


def test_a_warm_start_learns_from_a_run_and_takes_its_figures_not_its_objective(
    find: Find, prepared: PreparedSet, tmp_path: Path
) -> None:
    _, earlier = find("earlier", objective="auc")
    file = str(tmp_path / "earlier" / "search" / "candidates.jsonl")
    told = Goals(context(prepared, tmp_path, objectives=BOTH, warm_start=file)).earlier()
    assert [record.values for record in told] == [(one.facts["log_loss"], one.live_macs) for one in earlier]
    _, found = find("warm", warm_start=file, objectives=BOTH)
    assert len(found) == 10
    assert not {record.id for record in found} & {record.id for record in earlier}
    _, cold = find("cold", objectives=BOTH)
    assert [record.id for record in cold] != [record.id for record in found]
    with pytest.raises(UserError, match="an earlier result has no latency_ms"):
        Goals(context(prepared, tmp_path, objectives=["log_loss", "latency_ms"], warm_start=file)).earlier()
    dearest = max(record.live_macs or 0 for record in earlier)
    limited = context(prepared, tmp_path, warm_start=file, limits={"max_macs": dearest - 1})
    assert 0 < len(Goals(limited).earlier()) < 10


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda line: line | {"id": "0" * 16}, r"earlier\.jsonl:2: id and architecture disagree"),
        (lambda line: line | {"architecture": line["architecture"] | {"space": "x"}}, "was in another space, got 'x'"),
        (None, r"search\.warm_start: no such file"),
    ],
)
def test_a_wrong_warm_start_is_refused_before_any_work(
    find: Find, prepared: PreparedSet, tmp_path: Path, change: Any, told: str
) -> None:
    _, earlier = find("earlier")
    file = tmp_path / "earlier.jsonl"
    lines = [record.as_json() for record in earlier]
    if change is not None:
        lines[1] = change(lines[1])
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(UserError, match=told):
        check(context(prepared, tmp_path, warm_start=str(file)).config)
    other = parse_config({"space": {"blocks": 3}, "search": {"warm_start": str(file)}})
    with pytest.raises(
        UserError, match=told if change is None else "not in this space: wrong number of blocks|" + told
    ):
        check(other)


def test_a_changed_file_makes_the_search_stale_and_a_moved_one_does_not(tmp_path: Path) -> None:
    one, other = tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    one.write_text("{}\n")
    other.write_text("{}\n")

    def key(file: Path) -> Any:
        return staleness.stages(parse_config({"search": {"warm_start": str(file)}}))[2].key

    before = key(one)
    assert key(other) == before
    one.write_text("{}\n{}\n")
    assert key(one) != before
    folder = RunFolder(tmp_path / "run")
    stage = staleness.stages(parse_config({"search": {"warm_start": str(other)}}))[2]
    staleness.start(folder, stage)
    other.write_text("")
    changed = staleness.stages(parse_config({"search": {"warm_start": str(other)}}))
    assert staleness.state(folder, changed[2]) == "stale"
    assert "search.warm_start: sha256" in staleness.changes(folder, changed[2])[0]


def test_later_keys_are_stored_only_where_they_are_set() -> None:
    later = {"objectives", "limits", "latency_batch", "warm_start"}
    assert not later & set(SearchConfig().model_dump())
    given = {"objectives": BOTH, "limits": {"max_macs": 2e6}, "warm_start": "x", "latency_batch": 64}
    found = SearchConfig.model_validate(given)
    assert later < set(found.model_dump(mode="json"))
    assert SearchConfig.model_validate(found.model_dump(mode="json")) == found
    assert SearchConfig.model_validate({"objectives": ["auc"]}) == SearchConfig(objective="auc")
    assert SearchConfig.model_validate({"objectives": ["auc", "live_macs"]}).objective == "auc"
    assert SearchConfig.model_validate({"limits": {"max_macs": "2e6"}}).limits.max_macs == 2_000_000


def test_the_docs_say_what_there_is() -> None:
    text = (Path(__file__).parents[1] / "docs" / "search.md").read_text(encoding="utf-8")
    config = parse_config(yaml.safe_load(text.split("```yaml\n")[1].split("```")[0]))
    check(config, retrains=False)
    assert config.search.limits.max_macs == 2_000_000
    for group in ("objectives", "search"):
        ours = [one.name for one in registry(group).list() if one.package == "nasrec-nni"]
        assert all(f"| `{name}` |" in text for name in ours)
    for key in (*LimitsConfig.model_fields, "latency_batch", "warm_start"):
        assert key in text


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"objective": "auc", "objectives": BOTH}, "must be the first of search.objectives"),
        ({"objectives": ["log_loss", "live_macs", "live_macs"]}, "must name each one once"),
        ({"objectives": BOTH, "early_rejection": 3}, "early_rejection knows one objective only"),
        ({"limits": {"max_mac": 2}}, "Did you mean"),
        ({"limits": {"max_macs": 0}}, "limits.max_macs"),
    ],
)
def test_wrong_goals_are_refused_by_the_config(given: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        parse_config({"search": given})


def test_unknown_objectives_are_named_with_their_key(prepared: PreparedSet, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"search\.objectives: no objectives plug-in has this name, got 'latency'"):
        check(context(prepared, tmp_path, objectives=["log_loss", "latency"]).config)


def test_auc_of_one_class_is_refused_as_a_second_objective(tmp_path: Path) -> None:
    rows = [f"{int(row % 3 == 0 and not 320 <= row < 360)},{'abcd'[row % 4]},{row % 7}" for row in range(400)]
    log = tmp_path / "log.csv"
    log.write_text("\n".join(["click,city,price", *rows]) + "\n")
    data = {"source": "table", "inputs": [str(log)], "options": {"label": "click", "split": "in_order"}}
    config = parse_config(CONTENT | {"data": data, "search": CONTENT["search"] | {"objectives": ["log_loss", "auc"]}})
    with pytest.raises(UserError, match=r"search\.objectives\[1\]: AUC does not exist"):
        run_stages(config, tmp_path / "run", "search", command="test")
    assert not (tmp_path / "run" / "supernet").exists()
