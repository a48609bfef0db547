"""Our checkpoints: round trip, refusal, damage."""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch

import nasrec_nni.training.checkpoint as checkpoints
from nasrec_nni.errors import UserError
from nasrec_nni.training.checkpoint import SafeCheckpointIO, read_checkpoint, write_checkpoint


def content() -> dict[str, Any]:
    table = torch.randn(6, 4)
    return {
        "state_dict": OrderedDict(weight=table, tied=table, view=table[:2], column=table[:, 1]),
        "optimizer_states": [
            {"state": {0: {"step": 3, "sum": torch.ones(2)}, 1: {}}, "param_groups": [{"params": [0]}]}
        ],
        "betas": (0.9, 0.999),
        "best": math.inf,
        "nothing": None,
        "flag": True,
        "$": {"$": "tensor"},
        "mixed": {("a", 1): [(), {}], None: 1.5},
        "scalar": torch.tensor(7, dtype=torch.int64),
        "half": torch.ones(3, dtype=torch.bfloat16),
        "empty": torch.zeros(0, 3),
    }


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, (list, tuple)):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)


def test_round_trip(tmp_path: Path) -> None:
    written = content()
    io = SafeCheckpointIO()
    io.save_checkpoint(written, tmp_path / "c")
    read = io.load_checkpoint(tmp_path / "c")
    assert same(written, read)
    assert {path.suffix for path in (tmp_path / "c").iterdir()} == {".json", ".safetensors"}
    read["state_dict"]["tied"].zero_()
    assert read["state_dict"]["weight"].abs().sum() > 0
    io.remove_checkpoint(tmp_path / "c")
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": [1, object()]}, r"checkpoint\.a\[1\]"),
        ({"a": Path("x")}, r"checkpoint\.a"),
        ({"a": torch.eye(3).to_sparse()}, r"checkpoint\.a"),
        ({"a": {1: torch.Size([1])}}, r"checkpoint\.a\[1\]"),
    ],
)
def test_what_cannot_be_stored_is_refused_and_the_old_checkpoint_stays(tmp_path: Path, value: Any, place: str) -> None:
    write_checkpoint({"good": 1}, tmp_path)
    with pytest.raises(TypeError, match=place):
        write_checkpoint(value, tmp_path)
    assert read_checkpoint(tmp_path) == {"good": 1}


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
@pytest.mark.parametrize("how", ["flip", "cut", "remove"])
def test_damage_is_seen(tmp_path: Path, suffix: str, how: str) -> None:
    write_checkpoint(content(), tmp_path)
    file = next(path for path in tmp_path.iterdir() if path.suffix == suffix)
    data = bytearray(file.read_bytes())
    if how == "remove":
        file.unlink()
    elif how == "cut":
        file.write_bytes(data[:-9])
    elif suffix == ".json":
        state = json.loads(data)
        state["tree"]["flag"] = False
        file.write_text(json.dumps(state))
    else:
        data[-1] ^= 1
        file.write_bytes(data)
    with pytest.raises(UserError, match=r"damaged|not found|not valid JSON"):
        read_checkpoint(tmp_path)


def test_a_kill_before_the_last_rename_leaves_the_last_good_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_checkpoint({"step": 1, "weight": torch.ones(3)}, tmp_path)

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        write_checkpoint({"step": 2, "weight": torch.zeros(3)}, tmp_path)
    monkeypatch.undo()
    assert read_checkpoint(tmp_path)["step"] == 1
    write_checkpoint({"step": 3, "weight": torch.zeros(3)}, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
