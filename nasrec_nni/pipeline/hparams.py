"""TensorBoard's HParams tab of a run: a line per model trained from scratch, with its recipe and its final figures.

Written anew by each report, in files of their own beside the curves of the same training, so that one `--logdir` shows
supernet, search and retraining with their hyper-parameters. Seeds of a model are sessions of one group: the tab shows
their mean. Protocol: the HParams plugin of tensorboard (`api.proto`, `plugin_data.proto`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from nasrec_nni.analysis.leaderboard import Result, Standing
from nasrec_nni.run_folder import RunFolder

SUFFIX = ".hparams"
# Figure of a result: tag of its scalar, name in the tab.
METRICS = {
    "val_log_loss": "validation log loss",
    "test_log_loss": "test log loss",
    "test_auc": "test AUC",
    "calibration": "calibration",
    "live_macs": "live MACs",
    "parameters": "parameters",
    "all_parameters": "parameters with embeddings",
    "train_cpu_seconds": "training CPU seconds",
}
Values = Mapping[str, Any]


def write_hparams(folder: RunFolder, table: Sequence[Standing], recipes: Mapping[str, Values]) -> None:
    """Replace what an earlier report wrote.

    Args:
        folder: of the run.
        table: trained models.
        recipes: by model, key to value of what it was trained with.
    """
    place = folder.tensorboard / "retrain"
    for old in place.rglob(f"events.out.tfevents.*{SUFFIX}"):
        old.unlink()
    told = _alike([_told(standing, recipes.get(standing.model, {})) for standing in table])
    _write(place, [_experiment(told)])
    for standing, values in zip(table, told, strict=True):
        for result in standing.results:
            target = place / (standing.architecture or standing.model) / f"seed-{result.seed}"
            _write(target, _session(standing.model, values, result))


def _told(standing: Standing, recipe: Values) -> dict[str, Any]:
    """The model and its recipe as TensorBoard takes values: words, numbers, yes and no; what is unset is left out."""
    found: dict[str, Any] = {"model": standing.model, "kind": standing.kind}
    if standing.architecture is not None:
        found["architecture"] = standing.architecture
    for key, value in recipe.items():
        if value is not None:
            found[key] = value if isinstance(value, (bool, int, float)) else str(value)
    return found


def _alike(models: Sequence[Values]) -> list[dict[str, Any]]:
    """One type a column: what is a word for some models is one for all."""
    words = {key for values in models for key, value in values.items() if isinstance(value, str)}
    return [{key: str(value) if key in words else value for key, value in values.items()} for values in models]


def _experiment(models: Sequence[Values]) -> Summary.Value:
    """Columns of the tab."""
    keys = dict.fromkeys(key for values in models for key in values)
    columns = []
    for key in keys:
        values = [one[key] for one in models if key in one]
        columns.append(api_pb2.HParamInfo(name=key, type=_type(values)))
    metrics = [
        api_pb2.MetricInfo(name=api_pb2.MetricName(group="", tag=_tag(name)), display_name=label)
        for name, label in METRICS.items()
    ]
    content = api_pb2.Experiment(hparam_infos=columns, metric_infos=metrics, time_created_secs=time.time())
    return _value(metadata.EXPERIMENT_TAG, HParamsPluginData(experiment=content))


def _type(values: Sequence[Any]) -> Any:
    if all(isinstance(value, bool) for value in values):
        return api_pb2.DATA_TYPE_BOOL
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        return api_pb2.DATA_TYPE_FLOAT64
    return api_pb2.DATA_TYPE_STRING


def _session(group: str, values: Values, result: Result) -> list[Summary.Value]:
    """One training: its hyper-parameters, its final figures, and that it ended well."""
    start = SessionStartInfo(group_name=group, start_time_secs=time.time())
    for key, value in values.items():
        if isinstance(value, bool):
            start.hparams[key].bool_value = value
        elif isinstance(value, (int, float)):
            start.hparams[key].number_value = value
        else:
            start.hparams[key].string_value = value
    end = SessionEndInfo(status=api_pb2.STATUS_SUCCESS, end_time_secs=time.time())
    figures = {name: getattr(result, name) for name in METRICS}
    return [
        _value(metadata.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=start)),
        *(Summary.Value(tag=_tag(name), simple_value=value) for name, value in figures.items() if value is not None),
        _value(metadata.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=end)),
    ]


def _tag(name: str) -> str:
    return f"final/{name}"


def _value(tag: str, content: HParamsPluginData) -> Summary.Value:
    return Summary.Value(tag=tag, metadata=metadata.create_summary_metadata(content), tensor=metadata.NULL_TENSOR)


def _write(folder: Path, values: Sequence[Summary.Value]) -> None:
    writer = EventFileWriter(str(folder), filename_suffix=SUFFIX)
    for value in values:
        writer.add_event(Event(step=0, wall_time=time.time(), summary=Summary(value=[value])))
    writer.close()
