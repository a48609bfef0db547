"""The model card: what a person must know who is handed the folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nasrec_nni.data.schema import Schema
from nasrec_nni.export.model import columns_of

FIGURES = {
    "val_log_loss": "validation log loss",
    "val_auc": "validation AUC",
    "test_log_loss": "test log loss",
    "test_auc": "test AUC",
    "calibration": "test calibration (mean predicted / mean observed click rate)",
}
FILES = {
    "model.safetensors": "weights, as training has left them",
    "network.json": "how the network is built",
    "architecture.json": "the searched architecture; `nasrec draw` and `nasrec profile` read it",
    "schema.json": "columns and their transforms, fitted on training rows",
    "vocabulary.parquet": "ids of categorical values",
    "source.json": "how the raw log is read",
    "model.onnx": "encoded rows to `probability` and `logit`, any number of rows",
    "model.onnx.data": "weights of model.onnx",
    "model.pt2": "the same as a `torch.export` program",
    "manifest.json": "figures, versions, sha256 of every file",
}


def model_card(manifest: Mapping[str, Any], schema: Schema) -> str:
    """Markdown.

    Args:
        manifest: of the model, without its files.
        schema: of its data.
    """
    model, data = manifest["model"], manifest["data"]
    kind = "network found by architecture search" if model["kind"] == "searched" else "hand-made model"
    parts = [
        f"# {model['name']}",
        f"Click probability of a row of a click log. A {kind}, exported by nasrec-nni "
        f"{manifest['versions']['nasrec-nni']} on {manifest['made']}.",
        "## Use",
        _use(schema),
        "## Figures",
        _figures(manifest),
        "## Data",
        _table(
            ("what", "value"),
            [
                ("source", data["source"]),
                ("fingerprint", f"`{data['fingerprint']}`"),
                ("rows", f"{data['rows']:,}"),
                ("split", data["split_rule"] or "-"),
                *((name, f"{one['rows']:,} rows, {one['clicks']:,} clicks") for name, one in data["splits"].items()),
                ("negatives kept in training", f"{data['negative_rate']:.3g}"),
            ],
        ),
        "Columns that a row needs:",
        _table(("column", "role", "read as"), [tuple(one.values()) for one in columns_of(schema)]),
        "## Training",
        _table(("setting", "value"), [(key, _shown(value)) for key, value in manifest.get("recipe", {}).items()]),
        "## Intended use and limits",
        _limits(manifest),
        "## Files",
        _table(("file", "what"), [(f"`{name}`", text) for name, text in FILES.items() if _is_there(name, manifest)]),
    ]
    if manifest["left_out"]:
        parts += ["Not written:", _table(("format", "reason"), list(manifest["left_out"].items()))]
    return "\n\n".join(parts) + "\n"


def _is_there(name: str, manifest: Mapping[str, Any]) -> bool:
    if name == "architecture.json":
        return bool(manifest["model"]["kind"] == "searched")
    if name == "model.onnx.data":
        return False
    left = {"model.onnx": "onnx", "model.pt2": "program"}.get(name)
    return left not in manifest["left_out"]


def _use(schema: Schema) -> str:
    return "\n".join(
        [
            "```python",
            "from nasrec_nni import load_model",
            "",
            'model = load_model(".")                # verifies every hash; needs neither NNI nor Lightning',
            "scores = model.predict(frame)          # pandas or Arrow, or the path of a log",
            "```",
            "",
            f"or `nasrec predict . LOG --out scores.parquet`. A label ({schema.label!r}) is not needed.",
        ]
    )


def _figures(manifest: Mapping[str, Any]) -> str:
    figures, means, run = manifest.get("figures", {}), manifest.get("over_seeds", {}), manifest.get("run", {})
    rows: list[tuple[str, ...]] = [
        (text, "-" if figures.get(key) is None else f"{figures[key]:.5f}", means.get(key) or "-")
        for key, text in FIGURES.items()
    ]
    seeds = run.get("seeds", [])
    text = _table(("figure", f"this network (seed {manifest.get('seed')})", f"over seeds {_shown(seeds)}"), rows)
    where = (
        f"Measured in run `{run.get('name')}`: validation figures picked the epoch, this seed ({run.get('seed_rule')}) "
        f"and the winner, so they flatter; the test split was read once a model and seed, behind the choice "
        f"({run.get('test_reads')} reads in the run)."
    )
    won = "It is the winner of its run" if run.get("is_winner") else f"The winner of its run is {run.get('winner')}"
    costs = f"{figures.get('live_macs', 0):,} multiply-accumulates a row, {figures.get('parameters', 0):,} parameters"
    return "\n\n".join([text, where, f"{won}. Rule: {run.get('rule')}", f"{costs} without tables."])


def _limits(manifest: Mapping[str, Any]) -> str:
    lines = [
        "Meant to rank and price impressions like those of the log that it was trained on.",
        "Scores are probabilities of the training log's population: on other traffic, check calibration first.",
        "Values that were rare or unseen in training share one id a column; missing values have one of their own. As "
        "new values come in, scores grow poorer: watch their share and train again.",
        "Not examined: fairness over groups of people, robustness against crafted input, drift behind the last row.",
    ]
    if manifest["data"]["negative_rate"] < 1:
        lines.append("Trained on a sample of the rows without a click; scores are corrected to the whole log.")
    return "\n".join(f"- {line}" for line in lines)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    def line(cells: tuple[str, ...]) -> str:
        return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    return "\n".join([line(head), "|" + "---|" * len(head), *map(line, rows)])


def _shown(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_shown, value)) or "-"
    return "-" if value is None else str(value)
