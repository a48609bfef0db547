"""What a training keeps is what was reckoned, and one that cannot fit is refused with figures, before any work."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nasrec_nni.baselines.settings import BaselineSettings
from nasrec_nni.config import Recipe
from nasrec_nni.config_file import parse_config
from nasrec_nni.data.prepare import prepare
from nasrec_nni.data.prepared import PreparedSet
from nasrec_nni.errors import UserError, UserErrors
from nasrec_nni.operators import memory
from nasrec_nni.operators.embedding import FusedEmbedding
from nasrec_nni.operators.optimizers import build_optimizer, sparse_gradients_for
from nasrec_nni.pipeline import plan as planning
from nasrec_nni.pipeline.check import check
from nasrec_nni.pipeline.plan import plan
from nasrec_nni.plugins import registry
from nasrec_nni.strategies.one_shot.train import train_supernet
from nasrec_nni.training.fit import fit

RULES = [
    name
    for key in ("optimizer", "embedding_optimizer")
    for kind in get_args(Recipe.model_fields[key].annotation)
    for name in (get_args(kind) or (kind,))
    if isinstance(name, str)
]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> PreparedSet:
    folder = tmp_path_factory.mktemp("logs")
    return prepare("synthetic", [], folder / "set", {"rows": 2000}, progress=False)


def config(prepared: PreparedSet, **changes: Any) -> Any:
    sizes = {"blocks": 2, "dense_widths": [16], "sparse_rows": [8], "embedding": 8}
    retrain = {"top_k": 1, "seeds": [0], "baselines": ["lr"]}
    given = {"device": "cpu", "data": {"prepared": str(prepared.folder)}, "space": sizes, "retrain": retrain}
    return parse_config(given | changes)


@given(
    st.sampled_from(sorted(set(RULES) & {"adagrad", "adam"})),
    st.sampled_from([None, *sorted(set(RULES))]),
    st.lists(st.integers(2, 40), min_size=1, max_size=4),
    st.integers(1, 9),
    st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_reckoned_is_what_an_optimizer_keeps(
    optimizer: str, of_tables: str | None, rows: list[int], width: int, whole: bool
) -> None:
    more = {"embedding_l2": 1e-3, "embedding_l2_scope": "table"} if whole else {}
    recipe = Recipe.model_validate({"optimizer": optimizer, "embedding_optimizer": of_tables} | more)
    network = nn.ModuleDict(
        {"table": FusedEmbedding(rows, width, sparse=sparse_gradients_for(recipe)), "rest": nn.Linear(width, 3)}
    )
    trained = build_optimizer(network, recipe)
    network["rest"](network["table"](torch.zeros(2, len(rows), dtype=torch.long))).sum().backward()
    table = network["table"].weight
    assert table.grad is not None
    dense = 0 if table.grad.is_sparse else table.grad.numel()
    trained.step()

    def kept(weight: nn.Parameter) -> int:
        return sum(v.numel() for v in trained.state[weight].values() if isinstance(v, torch.Tensor) and v.ndim)

    found = memory.need_of(network, recipe)
    assert found.table == 4 * table.numel()
    assert found.gradients == 4 * dense
    assert found.states == 4 * kept(table)
    assert found.rest == 4 * sum(2 * weight.numel() + kept(weight) for weight in network["rest"].parameters())
    assert found == memory.need(sum(rows), width, sum(w.numel() for w in network["rest"].parameters()), recipe)


def small_gpu(monkeypatch: pytest.MonkeyPatch, free: int, reserved: int = 0, allocated: int = 0) -> list[int]:
    """A GPU that nothing may use, with so much memory; the list gets the numbers of those that were asked for."""
    asked: list[int] = []

    def look(number: int) -> tuple[int, int]:
        asked.append(number)
        return free, 80 << 30

    monkeypatch.setattr(torch.cuda, "mem_get_info", look)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda number: reserved)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda number: allocated)
    return asked


def test_free_is_what_torch_can_use_again(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = memory.need(1 << 20, 16, 0, Recipe(optimizer="adam"))
    assert wanted.total == 3 * 64 << 20
    enough = wanted.total + memory.WORKING
    small_gpu(monkeypatch, enough - 1, reserved=10, allocated=10)
    with pytest.raises(UserError, match=r"1,048,576 table rows of 16 numbers take 64 MiB, adam's .* 128 MiB"):
        memory.refuse_beyond_gpu(wanted, 0)
    small_gpu(monkeypatch, enough - 1, reserved=11, allocated=10)
    memory.refuse_beyond_gpu(wanted, 0)


def test_a_training_beyond_the_gpu_does_not_begin(
    prepared: PreparedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = small_gpu(monkeypatch, memory.WORKING)
    rows = {"train_rows": prepared.rows("train"), "val_rows": prepared.rows("val")}
    network = registry("baselines").load("fm")(prepared.dense_width, prepared.rows_per_field, BaselineSettings())
    for place in ("nasrec_nni.training.fit", "nasrec_nni.strategies.one_shot.train"):
        module = importlib.import_module(place)  # `nasrec_nni.training.fit` is also the function's name
        monkeypatch.setattr(module, "on_gpu", lambda device: True)
        monkeypatch.setattr(module, "here", lambda: SimpleNamespace(number=3, count=4))
    with pytest.raises(UserError, match="free on GPU 3") as caught:
        fit(network, prepared, Recipe(), seed=0, folder=tmp_path, progress=False, **rows)
    assert "TorchRec" in str(caught.value)
    assert "max_rows_per_field" in str(caught.value)
    with pytest.raises(UserError, match="free on GPU 3"):
        train_supernet(config(prepared), prepared, tmp_path, progress=False)
    assert set(asked) == {3}
    assert not list(tmp_path.iterdir())


def test_tables_beyond_every_gpu_are_told_by_check(prepared: PreparedSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    sizes = [80 << 30, memory.WORKING]
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: SimpleNamespace(total_memory=sizes[number]))
    check(config(prepared, device="cuda"))
    check(config(prepared))
    with pytest.raises(UserErrors) as caught:
        check(config(prepared, device="cuda", devices=2))
    assert [error.where for error in caught.value.errors] == [
        "supernet.max_rows_per_field",
        "retrain.max_rows_per_field",
    ]


def test_tables_beyond_the_machine_are_refused(prepared: PreparedSet, monkeypatch: pytest.MonkeyPatch) -> None:
    table = 4 * 8 * sum(prepared.rows_per_field)
    for count in (1, 2):
        monkeypatch.setattr(memory, "machine_memory", lambda count=count: count * table)
        check(config(prepared, devices=count))
        monkeypatch.setattr(memory, "machine_memory", lambda count=count: count * table - 1)
        with pytest.raises(UserErrors, match="this machine cannot hold the tables") as caught:
            check(config(prepared, devices=count))
        assert ("set devices: 1" in str(caught.value)) == (count > 1)
    check(config(prepared, retrain={"top_k": 0, "baselines": ["lr"]}))  # its table is one number wide
    monkeypatch.setattr(memory, "machine_memory", lambda: None)
    check(config(prepared))


def test_a_plan_counts_every_process(prepared: PreparedSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "machine_memory", lambda: 1 << 20)
    one, two = (plan(config(prepared, devices=count)) for count in (1, 2))
    before, after = ({stage["stage"]: stage["memory_mib"] for stage in found["stages"]} for found in (one, two))
    library = planning.PROCESS_MIB
    assert after["search"] == before["search"]
    assert after["retrain"] > before["retrain"] + 2 * library
    assert after["supernet"] > before["supernet"] + 2 * library
    assert not any("processes" in line for line in one["assumptions"])
    assert any("2 processes have a whole table each" in line for line in two["assumptions"])
    assert "may be ended by the system" in one["warnings"][0]
    monkeypatch.setattr(planning, "machine_memory", lambda: 1 << 50)
    assert plan(config(prepared))["warnings"] == []


def test_memory_as_the_system_tells_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, group = tmp_path / "meminfo", tmp_path / "memory.max"
    monkeypatch.setattr(memory, "MEMORY", table)
    monkeypatch.setattr(memory, "GROUP", group)
    assert memory.machine_memory() is None
    table.write_text("MemTotal:       1000 kB\nMemFree:        10 kB\nSwapTotal:      24 kB\n")
    assert memory.machine_memory() == 1024 * 1024
    for text, expected in (("max\n", 1 << 20), ("4096\n", 4096), (f"{1 << 60}\n", 1 << 20)):
        group.write_text(text)
        assert memory.machine_memory() == expected
    table.write_text("no table")
    assert memory.machine_memory() is None
