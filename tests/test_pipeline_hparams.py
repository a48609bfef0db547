"""TensorBoard's HParams tab, read back: recipe and figures of every model, once, however often they are written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import api_pb2, metadata

from nasrec_nni.analysis.leaderboard import Result, standings
from nasrec_nni.pipeline.hparams import METRICS, write_hparams
from nasrec_nni.run_folder import RunFolder

RESULT = Result("mlp", None, 0, 0.31, 0.89, 0.313, 0.897, 1.01, 1000, 50, 5000, 63.0)
RESULTS = [
    RESULT,
    replace(RESULT, seed=1, test_log_loss=0.32),
    replace(RESULT, model="nasrec-small-1", architecture="0f3a5b7c9d1e2f30", live_macs=77),
]
RECIPES: dict[str, dict[str, Any]] = {
    "mlp": {"learning_rate": 1e-3, "embedding_init": "xavier", "clip": None, "preset": "bars"},
    "nasrec-small-1": {"learning_rate": 3e-3, "embedding_init": 0.01, "clip": 5.0, "preset": "bars"},
}


def read(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder)).Reload()


def content(found: EventAccumulator, tag: str) -> Any:
    parse = {
        metadata.EXPERIMENT_TAG: metadata.parse_experiment_plugin_data,
        metadata.SESSION_START_INFO_TAG: metadata.parse_session_start_info_plugin_data,
        metadata.SESSION_END_INFO_TAG: metadata.parse_session_end_info_plugin_data,
    }[tag]
    return parse(found.SummaryMetadata(tag).plugin_data.content)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """Twice, as two reports of a run do."""
    folder = RunFolder(tmp_path)
    for _ in range(2):
        write_hparams(folder, standings(RESULTS), RECIPES)
    return folder.tensorboard / "retrain"


def test_each_training_has_its_figures_once(written: Path) -> None:
    assert len(list(written.rglob("*.hparams"))) == 1 + len(RESULTS)
    for result in RESULTS:
        found = read(written / (result.architecture or result.model) / f"seed-{result.seed}")
        for name in METRICS:
            (point,) = found.Scalars(f"final/{name}")
            assert point.value == pytest.approx(getattr(result, name))
        assert content(found, metadata.SESSION_END_INFO_TAG).status == api_pb2.STATUS_SUCCESS


def test_the_recipe_of_each_model(written: Path) -> None:
    start = content(read(written / "mlp" / "seed-1"), metadata.SESSION_START_INFO_TAG)
    assert start.group_name == "mlp"  # seeds of a model are one line of the tab
    assert start.hparams["learning_rate"].number_value == 1e-3
    assert start.hparams["embedding_init"].string_value == "xavier"
    assert "clip" not in start.hparams
    other = content(read(written / "0f3a5b7c9d1e2f30" / "seed-0"), metadata.SESSION_START_INFO_TAG)
    assert other.group_name == "nasrec-small-1"
    assert other.hparams["kind"].string_value == "searched"
    assert other.hparams["embedding_init"].string_value == "0.01"  # a word elsewhere, so a word here
    assert other.hparams["clip"].number_value == 5.0


def test_columns_of_the_tab(written: Path) -> None:
    experiment = content(read(written), metadata.EXPERIMENT_TAG)
    types = {info.name: info.type for info in experiment.hparam_infos}
    assert types["learning_rate"] == api_pb2.DATA_TYPE_FLOAT64
    assert types["embedding_init"] == types["model"] == api_pb2.DATA_TYPE_STRING
    assert [info.name.tag for info in experiment.metric_infos] == [f"final/{name}" for name in METRICS]


def test_figures_that_do_not_exist_are_left_out(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    write_hparams(folder, standings([replace(RESULT, test_log_loss=None, test_auc=None)]), {})
    found = read(folder.tensorboard / "retrain" / "mlp" / "seed-0")
    assert "final/test_auc" not in found.Tags()["scalars"]
    assert "final/val_log_loss" in found.Tags()["scalars"]


def test_the_curves_of_a_training_stay(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    curve = folder.tensorboard / "retrain" / "mlp" / "seed-0" / "events.out.tfevents.1.host.1.0"
    curve.parent.mkdir(parents=True)
    curve.write_bytes(b"")
    write_hparams(folder, standings(RESULTS), RECIPES)
    assert curve.exists()
