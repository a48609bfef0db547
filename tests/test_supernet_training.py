"""Training the supernet of a run: what it is watched by changes no weight, and its end is always validated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from torch import equal

from nasrec_nni.config import Config
from nasrec_nni.config_file import parse_config
from nasrec_nni.data.prepare import prepare
from nasrec_nni.data.prepared import PreparedSet
from nasrec_nni.errors import UserError
from nasrec_nni.strategies.one_shot.train import train_supernet
from nasrec_nni.strategies.one_shot.training import SupernetTraining


def config(**changes: Any) -> Config:
    recipe = {"preset": "published", "batch": 256, "epochs": 2}
    return parse_config(
        {
            "device": "cpu",
            "space": {"blocks": 2, "dense_widths": [16], "sparse_rows": [8], "embedding": 4, "heads": 2},
            "supernet": {"recipe": recipe, "validation_rows": 100} | changes,
        }
    )


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> PreparedSet:
    return prepare("synthetic", [], tmp_path_factory.mktemp("data") / "set", {"rows": 2300}, progress=False)


@pytest.mark.parametrize(("every", "expected"), [(3, [3, 6, 10, 13, 14]), (7, [7, 14]), (500, [7, 14])])
def test_the_last_step_is_validated_however_often_the_others_are(
    every: int, expected: list[int], prepared: PreparedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two epochs of 7 steps."""
    seen: list[int] = []
    end = SupernetTraining.on_validation_epoch_end
    monkeypatch.setattr(
        SupernetTraining, "on_validation_epoch_end", lambda self: (seen.append(self.trainer.global_step), end(self))[1]
    )
    train_supernet(config(validate_every=every), prepared, tmp_path, progress=False)
    assert seen == expected


def test_watching_another_way_is_the_same_training(prepared: PreparedSet, tmp_path: Path) -> None:
    train_supernet(config(), prepared, tmp_path / "a", progress=False)
    watched = {"validate_every": 2, "checkpoint_every": 3, "validation_architectures": 1, "validation_rows": 50}
    train_supernet(config(**watched), prepared, tmp_path / "b", progress=False)
    a, b = (load_file(tmp_path / name / "model.safetensors") for name in "ab")
    assert a.keys() == b.keys()
    assert all(equal(a[name], b[name]) for name in a)

    found = train_supernet(config(**watched), prepared, tmp_path / "a", progress=False)
    assert found.training["steps"] == 14
    with pytest.raises(UserError, match="another training: supernet differs"):
        train_supernet(config(warmup=0.5), prepared, tmp_path / "a", progress=False)


def test_a_supernet_of_an_earlier_version_is_read(prepared: PreparedSet, tmp_path: Path) -> None:
    """Its identity named how it was watched."""
    train_supernet(config(), prepared, tmp_path, progress=False)
    facts = json.loads((tmp_path / "supernet.json").read_text())
    facts["identity"]["supernet"] |= {"validate_every": 9, "checkpoint_every": 9}
    (tmp_path / "supernet.json").write_text(json.dumps(facts))
    assert train_supernet(config(), prepared, tmp_path, progress=False).training["steps"] == 14


def test_the_resolved_config_is_a_config() -> None:
    for given in (config(), config(recipe="bars"), Config()):
        assert parse_config(given.model_dump(mode="json")) == given
