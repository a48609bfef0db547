"""An exported network scores raw rows as training scored the arrays made of them: torch, torch.export, ONNX Runtime."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

from nasrec_nni import load_model
from nasrec_nni.architecture.json import from_json
from nasrec_nni.baselines.settings import BaselineSettings
from nasrec_nni.data.prepare import prepare
from nasrec_nni.data.prepared import PreparedSet
from nasrec_nni.errors import UserError
from nasrec_nni.export import layout
from nasrec_nni.export.description import build, hand_made, searched
from nasrec_nni.export.write import Trained, write_model
from nasrec_nni.files import read_json, sha256, write_json
from nasrec_nni.network import TableSettings
from nasrec_nni.plugins import registry
from nasrec_nni.profiling import Sizes
from nasrec_nni.strategies.sampling.sampler import architectures
from nasrec_nni.training.predict import predict

ROWS = 240
OPTIONS: dict[str, Any] = {
    "label": "click",
    "ignore": ["row"],
    "numeric": ["age", "price", "shown"],
    "categorical": ["user", "city", "tags", "code"],
    "separator": {"tags": "|"},
    "max_length": 3,
    "transform": {"shown": "log2_bins"},
    "encoding": {"code": "hash"},
    "hash_rows": {"code": 20},
    "missing": ["NA"],
}
SPACES = ("nasrec-small", "nasrec-full", "nasrec-plus")
SIZES = {"blocks": 3, "dense_widths": (4, 8, 16), "sparse_rows": (4, 8), "embedding": 8, "heads": 4}
SEARCHED = [(space, norm, draw) for space in SPACES for norm in (False, True) for draw in range(4)]
SKIPPED = ("onnx", "program")


def log() -> pd.DataFrame:
    """Rows of which many have missing values, and in validation and test values that training has not seen."""
    random = np.random.default_rng(5)
    users = random.integers(0, 90, ROWS)
    return pd.DataFrame(
        {
            "row": [f"r{number}" for number in range(ROWS)],
            "click": (random.random(ROWS) < 0.2 + 0.5 * (users % 3 == 0)).astype(int).astype(str),
            "age": np.where(random.random(ROWS) < 0.3, "", random.integers(18, 80, ROWS).astype(str)),
            "price": np.where(random.random(ROWS) < 0.2, "NA", random.normal(3, 20, ROWS).round(2).astype(str)),
            "shown": random.integers(0, 9, ROWS).astype(str),
            "user": [f"u{user}" for user in users],
            "city": random.choice(["Rome", "Oslo", "NA", ""], ROWS),
            "tags": ["|".join("abcde"[: random.integers(0, 6)]) for _ in range(ROWS)],
            "code": [f"{value:x}" for value in random.integers(0, 99, ROWS)],
        }
    )


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> PreparedSet:
    folder = tmp_path_factory.mktemp("set")
    log().to_csv(folder / "log.csv", index=False)
    found = prepare("table", [folder / "log.csv"], folder / "data", OPTIONS, progress=False)
    unseen = [column["unseen"]["val"] for column in found.manifest["columns"] if column.get("unseen")]
    assert max(unseen) > 0
    assert (found.sparse == 0).any(0).sum() > 1
    return found


def shaken(network: nn.Module, seed: int) -> nn.Module:
    """Weights as training leaves them: no bias is 0, no norm's weight 1."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    return network.eval()


def description_of(prepared: PreparedSet, space: str, norm: bool, draw: int) -> dict[str, Any]:
    described = registry("search_spaces").load(space).with_sizes(**SIZES)
    architecture = architectures(described, 7 + draw, 1)
    (one,) = architecture
    sizes = Sizes.of(described, prepared.dense_width, len(prepared.rows_per_field), norm)
    return searched(one, sizes, TableSettings(prepared.rows_per_field, max_rows_per_field=12, lengths=prepared.lengths))


def baseline_of(prepared: PreparedSet, name: str) -> dict[str, Any]:
    settings = BaselineSettings(embedding=8, hidden=(16, 8), lengths=prepared.lengths, max_rows_per_field=12)
    return hand_made(name, prepared.dense_width, prepared.rows_per_field, settings, {})


def exported(
    prepared: PreparedSet, description: dict[str, Any], out: Path, skip: tuple[str, ...] = SKIPPED
) -> tuple[Path, NDArray[np.float64]]:
    """The folder, and what training's own code says of all rows of the set."""
    network = shaken(build(description, "test"), 3)
    weights = out.with_suffix(".safetensors")
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, weights)
    write_model(out, Trained("mine", description, weights, {"seed": 3}), prepared, skip)
    return out, predict(network, prepared, np.arange(ROWS))


def apart(found: NDArray[Any], expected: NDArray[np.float64]) -> float:
    """Largest difference of two columns of probabilities."""
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max())


def check_torch(out: Path, expected: NDArray[np.float64]) -> None:
    model = load_model(out)
    assert expected.std() > 1e-4
    assert apart(model.predict(log()), expected) < 1e-6
    one_by_one = np.concatenate([model.predict(log().iloc[[row]]) for row in range(5)])
    assert apart(one_by_one, expected[:5]) < 1e-6


def check_programs(out: Path, prepared: PreparedSet, expected: NDArray[np.float64]) -> None:
    manifest = read_json(out / "manifest.json")
    assert manifest["left_out"] == {}
    onnx = load_model(out, engine="onnx", threads=1)
    assert apart(onnx.predict(log()), expected) < 1e-5
    assert apart(onnx.predict(log().iloc[:1]), expected[:1]) < 1e-5
    encoded = onnx.encoder.encode_table(log())
    program = torch.export.load(out / layout.PROGRAM).module()
    with torch.no_grad():
        found = program(torch.from_numpy(encoded.dense), torch.from_numpy(encoded.sparse.astype(np.int64)))
    assert apart(found[0].numpy(), expected) < 1e-5
    assert all(one["largest_difference"] < 1e-5 for one in manifest["checked"].values())


@pytest.mark.parametrize(("space", "norm", "draw"), SEARCHED)
def test_random_architectures_score_raw_rows_as_training_did(
    prepared: PreparedSet, tmp_path: Path, space: str, norm: bool, draw: int
) -> None:
    check_torch(*exported(prepared, description_of(prepared, space, norm, draw), tmp_path / "model"))


@pytest.mark.parametrize("name", registry("baselines").names())
def test_baselines_score_raw_rows_as_training_did(prepared: PreparedSet, tmp_path: Path, name: str) -> None:
    check_torch(*exported(prepared, baseline_of(prepared, name), tmp_path / "model"))


def _block(dense: str, sparse: str, sources: list[int], **more: Any) -> dict[str, Any]:
    lists = {"dense_connections": sources, "sparse_connections": sources, "left": sources[0], "right": sources[-1]}
    merged = {"dense_to_sparse": True, "sparse_to_dense": True}
    chosen = {"dense_operator": dense, "dense_width": 16, "sparse_operator": sparse, "sparse_rows": 8}
    return chosen | lists | merged | more


EVERY_OPERATOR = {
    "space": "nasrec-full",
    "blocks": [
        _block("fc", "attn", [0]),
        _block("sum", "efc", [0, 1], dense_width=8),
        _block("sg", "attn", [1, 2]),
        _block("dp", "efc", [0, 2, 3]),
    ],
}


def test_programs_of_a_network_with_every_operator_of_full(prepared: PreparedSet, tmp_path: Path) -> None:
    sizes = Sizes(prepared.dense_width, len(prepared.rows_per_field), 8, 4, True)
    table = TableSettings(prepared.rows_per_field, lengths=prepared.lengths)
    found = exported(prepared, searched(from_json(EVERY_OPERATOR), sizes, table), tmp_path / "model", ())
    check_torch(*found)
    check_programs(found[0], prepared, found[1])


@pytest.mark.long
@pytest.mark.parametrize(("space", "norm", "draw"), SEARCHED)
def test_programs_of_random_architectures(
    prepared: PreparedSet, tmp_path: Path, space: str, norm: bool, draw: int
) -> None:
    out, expected = exported(prepared, description_of(prepared, space, norm, draw), tmp_path / "model", ())
    check_programs(out, prepared, expected)


@pytest.mark.long
@pytest.mark.parametrize("name", registry("baselines").names())
def test_programs_of_baselines(prepared: PreparedSet, tmp_path: Path, name: str) -> None:
    out, expected = exported(prepared, baseline_of(prepared, name), tmp_path / "model", ())
    check_programs(out, prepared, expected)


@pytest.fixture(scope="module")
def model(prepared: PreparedSet, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, NDArray[np.float64]]:
    out = tmp_path_factory.mktemp("models") / "model"
    return exported(prepared, description_of(prepared, "nasrec-full", True, 0), out)


ALONE = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("nni", "pytorch_lightning", "lightning", "lightning_fabric", "onnx", "onnxscript",
                                  "onnxruntime", "optuna", "pandas", "sklearn", "matplotlib", "tensorboard"):
            raise ImportError(f"{name} must not be loaded here")
sys.meta_path.insert(0, Blocked())
import pickle
def refuse(*_, **__): raise AssertionError("something was unpickled")
unpickle = pickle.load
def load(file, *more, **options):  # numba keeps its compiled code so, which is not the model's
    return (refuse if str(getattr(file, "name", "")).startswith(sys.argv[1]) else unpickle)(file, *more, **options)
import nasrec_nni
from pyarrow import csv
table = csv.read_csv(sys.argv[2], convert_options=csv.ConvertOptions(
    column_types={name: "string" for name in ("age", "price", "shown", "code", "city", "tags", "user")}))
import torch
pickle.load, torch.load = load, refuse
model = nasrec_nni.load_model(sys.argv[1])
print(*model.predict(table).tolist())
print(*model.predict(sys.argv[2]).tolist())
"""


def test_loads_where_neither_nni_nor_lightning_nor_onnx_can_be_imported(
    model: tuple[Path, NDArray[np.float64]], tmp_path: Path
) -> None:
    log().to_csv(tmp_path / "log.csv", index=False)
    words = [sys.executable, "-I", "-c", ALONE, str(model[0]), str(tmp_path / "log.csv")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        assert apart(np.array(line.split(), float), model[1]) < 1e-6


@pytest.fixture
def copy(model: tuple[Path, NDArray[np.float64]], tmp_path: Path) -> Path:
    folder = tmp_path / "copy"
    folder.mkdir()
    for file in model[0].iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


@pytest.mark.parametrize("name", [*layout.NEEDED, layout.ARCHITECTURE, layout.CARD])
def test_a_changed_byte_is_one_clear_error(copy: Path, name: str) -> None:
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{name}: a file of the model was changed: its sha256 differs"):
        load_model(copy)


def test_a_file_that_is_cut_or_gone(copy: Path) -> None:
    (copy / layout.CARD).unlink()  # nobody needs it
    load_model(copy)
    (copy / layout.WEIGHTS).write_bytes((copy / layout.WEIGHTS).read_bytes()[:-1])
    with pytest.raises(UserError, match="has another size"):
        load_model(copy)
    (copy / layout.WEIGHTS).unlink()
    with pytest.raises(UserError, match="a file of the model is gone"):
        load_model(copy)


def _rewritten(folder: Path, name: str, change: dict[str, Any]) -> None:
    """Change a file and make the manifest agree with it."""
    write_json(folder / name, read_json(folder / name) | change)
    manifest = read_json(folder / "manifest.json")
    manifest["files"][name] = {"bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)}
    write_json(folder / "manifest.json", manifest)


def test_an_operator_that_is_not_installed_is_named_with_its_package(copy: Path) -> None:
    _rewritten(copy, layout.NETWORK, {"plugins": {"operators": {"warp": "nasrec-warp"}, "mergers": {}}})
    with pytest.raises(UserError, match=r"needs operator 'warp', which is not installed.*came from: nasrec-warp"):
        load_model(copy)


@pytest.mark.parametrize("entry", [None, 7, {"bytes": 7}])
def test_a_manifest_that_was_changed(copy: Path, entry: Any) -> None:
    manifest = read_json(copy / "manifest.json")
    manifest["files"][layout.WEIGHTS] = entry
    write_json(copy / "manifest.json", manifest)
    with pytest.raises(UserError, match="the manifest does not list all files"):
        load_model(copy)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (layout.NETWORK, {"sizes": {"dense": 2}}, "not the description of a network"),
        (layout.NETWORK, {"rows_per_field": [5] * 5}, "the weights do not fit the network"),
        (layout.SCHEMA, {"dense": 3}, "not a schema"),
    ],
)
def test_a_description_that_does_not_fit(copy: Path, name: str, change: dict[str, Any], message: str) -> None:
    _rewritten(copy, name, change)
    with pytest.raises(UserError, match=message):
        load_model(copy)


def test_what_is_no_model_and_what_is_missing(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        load_model(tmp_path / "nothing")
    with pytest.raises(UserError, match="not an exported model"):
        load_model(tmp_path)
    with pytest.raises(UserError, match=r"the model has no ONNX file.*--engine torch"):
        load_model(copy, engine="onnx")
    with pytest.raises(UserError, match=r"no such engine, got 'tpu'; allowed: torch, onnx"):
        load_model(copy, engine="tpu")  # type: ignore[arg-type]
    model = load_model(copy)
    with pytest.raises(UserError, match="a column is missing, got 'user'"):
        model.predict(log().drop(columns="user"))
    with pytest.raises(ValueError, match=r"needs \[n, 2\] and \[n, 7\]"):
        model.scores(np.zeros((3, 2)), np.zeros((3, 2)))


def test_a_place_that_is_taken_and_a_failure_leave_nothing(prepared: PreparedSet, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    description = baseline_of(prepared, "lr")
    with pytest.raises(UserError, match="exists already"):
        exported(prepared, description, tmp_path / "taken")
    assert list((tmp_path / "taken").iterdir()) == []
    with pytest.raises(FileNotFoundError):
        write_model(tmp_path / "new", Trained("mine", description, tmp_path / "absent", {}), prepared, SKIPPED)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["taken", "taken.safetensors"]


class Untraceable(nn.Module):
    """Looks at a value, as a careless operator may."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))

    def forward(self, dense: torch.Tensor, sparse: torch.Tensor) -> torch.Tensor:
        return dense[:, 0] * (2.0 if float(dense.sum()) > 0 else self.weight[0])


def test_what_cannot_be_traced_is_left_out_with_the_reason_and_the_rest_is_there(
    prepared: PreparedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry("baselines")._loaded, "careless", lambda *_, **__: Untraceable())
    out, expected = exported(prepared, baseline_of(prepared, "careless"), tmp_path / "model", ())
    manifest = read_json(out / "manifest.json")
    assert set(manifest["left_out"]) == {"onnx", "program"}
    assert "cannot be traced by torch.export" in manifest["left_out"]["onnx"]
    assert "cannot be traced" in (out / layout.CARD).read_text()
    assert apart(load_model(out).predict(log()), expected) < 1e-6
    assert json.loads(json.dumps(manifest)) == manifest
