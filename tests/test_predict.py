"""`predict` reads every source's log, with and without a label, in order; its figures are the libraries'."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file
from sklearn.metrics import log_loss, roc_auc_score

from nasrec_nni import load_model
from nasrec_nni.baselines.settings import BaselineSettings
from nasrec_nni.data import prepare as preparing
from nasrec_nni.data.lookup import ABSENT, Lookup
from nasrec_nni.data.prepared import PreparedSet
from nasrec_nni.errors import UserError
from nasrec_nni.export import figures as figures_module
from nasrec_nni.export.description import build, hand_made
from nasrec_nni.export.figures import Figures
from nasrec_nni.export.model import ExportedModel
from nasrec_nni.export.predict import predict_file
from nasrec_nni.export.write import Trained, write_model
from nasrec_nni.export.writers import score_file

ROWS = 150


def model_of(prepared: PreparedSet, out: Path) -> ExportedModel:
    """A small network of random weights on the columns of a set."""
    settings = BaselineSettings(embedding=4, hidden=(8,), lengths=prepared.lengths)
    description = hand_made("mlp", prepared.dense_width, prepared.rows_per_field, settings, {})
    network = build(description, "test")
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    weights = out.with_suffix(".safetensors")
    save_file(dict(network.state_dict()), weights)
    write_model(out, Trained("mlp", description, weights, {}), prepared, ("onnx", "program"))
    return load_model(out)


def criteo(folder: Path, generator: random.Random) -> list[Path]:
    def cell(at: int) -> str:
        if generator.random() < 0.2:
            return ""
        return str(generator.randint(-2, 900)) if at < 13 else f"{generator.randrange(60):08x}"

    rows = [[str(int(generator.random() < 0.3)), *map(cell, range(39))] for _ in range(ROWS)]
    (folder / "train.txt").write_text("".join("\t".join(row) + "\n" for row in rows))
    (folder / "test.txt").write_text("".join("\t".join(row[1:]) + "\n" for row in rows))
    return [folder / "train.txt"]


def avazu(folder: Path, generator: random.Random) -> list[Path]:
    names = "id click hour C1 banner_pos site_id site_domain site_category app_id app_domain app_category device_id"
    names += " device_ip device_model device_type device_conn_type C14 C15 C16 C17 C18 C19 C20 C21"
    rows = []
    for row in range(ROWS):
        hashed = [f"{generator.randrange(30):08x}" for _ in range(9)]
        cells = [10**19 + row, int(row % 6 == 0), f"141021{row % 24:02d}", 1005, row % 2, *hashed, 1, 0]
        rows.append([*map(str, cells), *map(str, [15706, 320, 50, 1722, 0, 35, -1, 79])])
    head = names.split()
    for name, kept in (("train.gz", range(24)), ("test.gz", [0, *range(2, 24)])):
        with gzip.open(folder / name, "wt") as stream:
            stream.writelines(",".join(line[at] for at in kept) + "\n" for line in [head, *rows])
    return [folder / "train.gz"]


def kdd12(folder: Path, generator: random.Random) -> list[Path]:
    rows = []
    for row in range(ROWS):
        cells = [int(row % 7 == 0), generator.randint(1, 9), *(generator.randrange(50) for _ in range(3))]
        rows.append([*map(str, [*cells, 3, 1]), *(str(generator.randrange(50)) for _ in range(5))])
    (folder / "training.txt").write_text("".join("\t".join(row) + "\n" for row in rows))
    (folder / "test.txt").write_text("".join("\t".join(row[2:]) + "\n" for row in rows))
    (folder / "userid_profile.txt").write_text("".join(f"{user}\t{user % 3}\t{user % 7}\n" for user in range(40)))
    return [folder / "training.txt", folder / "userid_profile.txt"]


def movielens(folder: Path, generator: random.Random) -> list[Path]:
    rows = [(generator.randint(1, 20), generator.randint(1, 30), generator.choice([1, 2, 4, 5])) for _ in range(ROWS)]
    made = folder / "ml"
    made.mkdir()
    (made / "ratings.csv").write_text("user,item,rating\n" + "".join(f"{u},{i},{stars}\n" for u, i, stars in rows))
    (made / "users.dat").write_text("".join(f"{user}::F::{user}::7::55117\n" for user in range(1, 18)))
    (made / "movies.dat").write_text("".join(f"{item}::T (1999)::Drama|War\n" for item in range(1, 31)))
    return [made]


def without_ratings(folder: Path) -> list[Path]:
    lines = (folder / "ml" / "ratings.csv").read_text().splitlines()
    (folder / "ml" / "ratings.csv").write_text("".join(",".join(line.split(",")[:2]) + "\n" for line in lines))
    return [folder / "ml"]


LOGS: dict[str, tuple[Callable[..., list[Path]], dict[str, Any], Callable[[Path], list[Path]], str | None]] = {
    "criteo": (criteo, {}, lambda folder: [folder / "test.txt"], "C3"),
    "avazu": (avazu, {}, lambda folder: [folder / "test.gz"], "id"),
    "kdd12": (
        kdd12,
        {"weight": True},
        lambda folder: [folder / "test.txt", folder / "userid_profile.txt"],
        "Age",
    ),
    "movielens": (movielens, {}, without_ratings, "item"),
}


@pytest.mark.parametrize("source", LOGS)
def test_every_source_with_and_without_a_label(source: str, tmp_path: Path) -> None:
    make, options, unlabelled, kept = LOGS[source]
    inputs = make(tmp_path, random.Random(1))
    prepared = preparing.prepare(source, inputs, tmp_path / "data", options | {"min_count": 2}, progress=False)
    model = model_of(prepared, tmp_path / "model")
    expected = model.scores(prepared.dense, prepared.sparse)
    assert expected.std() > 1e-3
    told = predict_file(model, inputs, tmp_path / "a.parquet", kept=kept, progress=False)
    found = pq.read_table(tmp_path / "a.parquet").to_pandas()
    assert np.abs(found["score"] - expected).max() < 1e-6
    assert list(found.columns) == [kept, "score"]
    weight = prepared.weight
    assert told["rows"] == told["labelled_rows"] == ROWS
    assert told["log_loss"] == pytest.approx(log_loss(prepared.label, expected, sample_weight=weight), abs=1e-6)
    assert told["auc"] == pytest.approx(roc_auc_score(prepared.label, expected, sample_weight=weight), abs=1e-6)
    told = predict_file(model, unlabelled(tmp_path), tmp_path / "b.csv", progress=False)
    assert told["labelled_rows"] == 0
    assert "log_loss" not in told
    assert np.abs(pd.read_csv(tmp_path / "b.csv")["score"] - expected).max() < 1e-6


def test_movielens_rows_of_three_stars_are_scored_and_have_no_label(tmp_path: Path) -> None:
    (folder,) = movielens(tmp_path, random.Random(2))
    prepared = preparing.prepare("movielens", [folder], tmp_path / "data", {}, progress=False)
    model = model_of(prepared, tmp_path / "model")
    ratings = folder / "ratings.csv"
    ratings.write_text(ratings.read_text() + "3,4,3\n1,99,3\n")
    told = predict_file(model, [folder], tmp_path / "a.csv", progress=False)
    assert (told["rows"], told["labelled_rows"]) == (ROWS + 2, ROWS)


def table_log() -> pd.DataFrame:
    generator = np.random.default_rng(2)
    return pd.DataFrame(
        {
            "row": np.arange(ROWS) * 7,
            "click": generator.integers(0, 2, ROWS),
            "price": generator.normal(0, 5, ROWS).round(2),
            "ad": generator.integers(2**53, 2**53 + 40, ROWS),
            "city": generator.choice(["Rome", "Oslo, East", 'the "Hague"', ""], ROWS),
        }
    )


OPTIONS: dict[str, Any] = {"label": "click", "ignore": ["row"], "numeric": ["price"], "categorical": ["ad", "city"]}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ExportedModel, np.ndarray[Any, Any]]:
    folder = tmp_path_factory.mktemp("table")
    table_log().to_csv(folder / "log.csv", index=False)
    prepared = preparing.prepare(
        "table", [folder / "log.csv"], folder / "data", OPTIONS | {"delimiter": ","}, progress=False
    )
    model = model_of(prepared, folder / "model")
    return folder, model, model.scores(prepared.dense, prepared.sparse)


def scores(model: ExportedModel, inputs: list[Path], out: Path, **options: Any) -> pd.DataFrame:
    predict_file(model, inputs, out, progress=False, overwrite=True, **options)
    return pq.read_table(out).to_pandas() if out.suffix == ".parquet" else pd.read_csv(out)


def test_tables_of_any_form(table: Any, tmp_path: Path) -> None:
    _, model, expected = table
    raw = table_log()
    raw.to_csv(tmp_path / "a.csv", index=False)
    raw.to_csv(tmp_path / "b.tsv", index=False, sep="\t")
    raw.drop(columns="click").sample(frac=1, axis=1, random_state=0).to_parquet(tmp_path / "c.parquet")
    raw.astype({"ad": str}).to_parquet(tmp_path / "d.parquet")
    for at, half in enumerate((raw[:60], raw[60:])):
        (tmp_path / "many").mkdir(exist_ok=True)
        half.to_csv(tmp_path / "many" / f"part-{at}.csv", index=False)
    cases: list[tuple[str, dict[str, Any]]] = [
        *(("a.csv", {}), ("b.tsv", {"delimiter": "\t"}), ("c.parquet", {}), ("d.parquet", {}), ("many", {})),
        ("a.csv", {"source": "table", "labelled": False}),
    ]
    for name, options in cases:
        for ending in ("parquet", "csv"):
            found = scores(model, [tmp_path / name], tmp_path / f"scores.{ending}", kept="row", **options)
            assert np.abs(found["score"] - expected).max() < 1e-6
            assert (found["row"].astype(int) == raw["row"]).all()
    assert pq.read_schema(tmp_path / "scores.parquet").field("score").type == pa.float64()
    assert np.abs(model.predict(tmp_path / "a.csv") - expected).max() < 1e-6


def test_a_column_that_is_a_feature_and_kept_stays_as_it_is_written(table: Any, tmp_path: Path) -> None:
    _, model, expected = table
    table_log().to_csv(tmp_path / "a.csv", index=False)
    written = pd.read_csv(tmp_path / "a.csv", dtype=str, keep_default_na=False)
    for kept in ("price", "ad", "city", "click"):
        found = scores(model, [tmp_path / "a.csv"], tmp_path / "scores.parquet", kept=kept)
        assert (found[kept].fillna("") == written[kept]).all()
        assert np.abs(found["score"] - expected).max() < 1e-6


def test_rows_without_a_label_among_others(table: Any, tmp_path: Path) -> None:
    _, model, expected = table
    raw = table_log().astype({"click": str})
    raw.loc[raw.index % 3 == 0, "click"] = ""
    raw.to_csv(tmp_path / "a.csv", index=False)
    told = predict_file(model, [tmp_path / "a.csv"], tmp_path / "s.csv", progress=False)
    known = raw["click"] != ""
    assert (told["rows"], told["labelled_rows"]) == (ROWS, int(known.sum()))
    assert told["log_loss"] == pytest.approx(log_loss(raw["click"][known].astype(int), expected[known]), abs=1e-6)


def _ended(table: Any, tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], **options: Any) -> str:
    _, model, _ = table
    change(table_log()).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(UserError) as caught:
        predict_file(model, [tmp_path / "a.csv"], tmp_path / "s.csv", progress=False, **options)
    assert not (tmp_path / "s.csv").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv"]
    return caught.value.message


def test_a_bad_input_is_one_error_and_leaves_no_file(table: Any, tmp_path: Path) -> None:
    def with_cell(column: str, value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
        def change(raw: pd.DataFrame) -> pd.DataFrame:
            raw = raw.astype({column: object})
            raw.loc[9, column] = value
            return raw

        return change

    assert "a.csv:1: no column 'ad', which the model reads" in _ended(
        table, tmp_path, lambda raw: raw.drop(columns="ad")
    )
    assert "no column 'rwo', which is to be kept" in _ended(table, tmp_path, lambda raw: raw, kept="rwo")
    assert "a.csv:11: column 'price' is numeric" in _ended(table, tmp_path, with_cell("price", "dear"))
    assert "a.csv:11: label 'click' is not a click or none" in _ended(table, tmp_path, with_cell("click", "maybe"))
    assert "no rows in this file" in _ended(table, tmp_path, lambda raw: raw[:0])
    assert "no sources plug-in has this name" in _ended(table, tmp_path, lambda raw: raw, source="tabel")
    _, model, _ = table
    for out, message in ((tmp_path / "s.txt", "not a kind of file that is written"), (tmp_path, "not a kind of file")):
        with pytest.raises(UserError, match=message):
            predict_file(model, [tmp_path / "a.csv"], out, progress=False)
    with pytest.raises(UserError, match="exists already"):
        predict_file(model, [tmp_path / "a.csv"], _touched(tmp_path / "s.csv"), progress=False)
    with pytest.raises(UserError, match="no such file or folder"):
        predict_file(model, [tmp_path / "nothing.csv"], tmp_path / "t.csv", progress=False)
    with pytest.raises(UserError, match="there is no input"):
        predict_file(model, [], tmp_path / "t.csv", progress=False)


def _touched(path: Path) -> Path:
    path.touch()
    return path


def test_a_parquet_column_of_another_type_is_refused(table: Any, tmp_path: Path) -> None:
    _, model, _ = table
    table_log().astype({"ad": float}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r"column ad: .*another type.*got 'double'"):
        predict_file(model, [tmp_path / "a.parquet"], tmp_path / "s.csv", progress=False)


@pytest.mark.parametrize("later", [[2**40, 1], [0.5, 1.0], ["a", "b"]])
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_kept_column_that_does_not_fit_its_first_part(later: list[Any], ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"s.{ending}"
    first = pa.array([1, 2], pa.int32())

    def write() -> None:
        with score_file(path, []) as file:
            for cells in (first, first.cast(pa.int64()), pa.array(later)):  # the second fits
                file.add({"row": cells, "score": pa.array([0.5, 0.5])})

    with pytest.raises(UserError, match="column 'row' has another type in a later file"):
        write()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("groups", [64, 1 << 21])
@pytest.mark.parametrize("weighted", [False, True])
def test_figures_of_streaming_rows(groups: int, weighted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures_module, "GROUPS", groups)
    generator = np.random.default_rng(0)
    logits = generator.normal(-1, 1, 5000).astype(np.float32).round(2)
    label = (generator.random(5000) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    weight = generator.integers(1, 5, 5000).astype(np.float32) if weighted else None
    found = Figures()
    for start in range(0, 5000, 700):
        part = slice(start, start + 700)
        found.add(logits[part], label[part], None if weight is None else weight[part])
    found.add(logits[:9], np.full(9, np.nan, np.float32))
    told = found.read()
    exact = roc_auc_score(label, logits, sample_weight=weight)
    probability = 1 / (1 + np.exp(-logits.astype(np.float64)))
    assert told["labelled_rows"] == 5000
    assert told["log_loss"] == pytest.approx(log_loss(label, probability, sample_weight=weight), abs=1e-9)
    assert abs(told["auc"] - exact) <= told["auc_error"] + 1e-12
    assert (told["auc_error"] == 0) == (groups > 5000)
    assert told["auc_error"] < 0.02
    assert Figures().read() == {"labelled_rows": 0}
    one = Figures()
    one.add(logits[:3], np.ones(3, np.float32))
    assert one.read()["auc"] is None


def test_look_up_finds_what_is_there_and_nothing_else() -> None:
    generator = random.Random(4)
    texts = list({"".join(generator.choices("ab\u00e9\U0001f600 ", k=generator.randint(0, 6))) for _ in range(3000)})
    known, strange = texts[::2], texts[1::2]
    lookup = Lookup(pa.array(known, pa.large_string()))
    asked = generator.sample(texts, len(texts))
    numbers = {text: number for number, text in enumerate(known)}
    found = lookup.find(pa.array(["x", *asked]).slice(1))
    assert found.tolist() == [numbers.get(text, ABSENT) for text in asked]
    assert (lookup.find(pa.array(strange)) == ABSENT).all()
    assert lookup.find(pa.array([], pa.string())).tolist() == []
    assert Lookup(pa.array([], pa.string())).find(pa.array(["", "a"])).tolist() == [ABSENT, ABSENT]
