"""Criteo, MovieLens, synthetic and the roles of a table."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_matrix, hstack
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import OneHotEncoder

from nasrec_nni.data.prepare import prepare
from nasrec_nni.data.prepared import PreparedSet
from nasrec_nni.data.sources.roles import infer
from nasrec_nni.errors import UserError

RATINGS = 400


def movielens(folder: Path, *, dat: bool = False) -> list[tuple[int, int, int]]:
    """A made-up folder in MovieLens-1M's format; user 9 and item 9 have no attributes."""
    random = np.random.default_rng(3)
    folder.mkdir()
    users = [f"{user}::{'FM'[user % 2]}::{25 + user}::{user % 3}::0{user}48" for user in range(1, 9)]
    movies = [f"{item}::Été {item} (1999)::{'Drama|War' if item % 2 else 'Comedy'}" for item in range(1, 9)]
    (folder / "users.dat").write_text("\n".join(users) + "\n", encoding="latin-1")
    (folder / "movies.dat").write_text("\n".join(movies) + "\n", encoding="latin-1")
    drawn = zip(*(random.integers(1, top, RATINGS).tolist() for top in (10, 10, 6)), strict=True)
    ratings = [(user, item, stars) for user, item, stars in drawn]
    if dat:
        lines = [f"{user}::{item}::{stars}::9783{n:05d}" for n, (user, item, stars) in enumerate(ratings)]
        (folder / "ratings.dat").write_text("\n".join(lines) + "\n")
    else:
        lines = ["user,item,rating", *(f"{user},{item},{stars}" for user, item, stars in ratings)]
        (folder / "ratings.csv.gz").write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
    return ratings


def quiet(source: str, inputs: list[Path], out: Path, **options: Any) -> PreparedSet:
    return prepare(source, inputs, out, options, progress=False)


@pytest.mark.parametrize("dat", [False, True])
def test_movielens_rule(tmp_path: Path, dat: bool) -> None:
    ratings = [row for row in movielens(tmp_path / "ml", dat=dat) if row[2] != 3]
    prepared = quiet("movielens", [tmp_path / "ml"], tmp_path / "out")
    n = len(ratings)
    order = np.random.default_rng(0).permutation(n)
    assert prepared.label.tolist() == [float(stars > 3) for _, _, stars in ratings]
    assert prepared.rows("train").tolist() == order[: int(0.8 * n)].tolist()
    assert prepared.rows("val").tolist() == order[int(0.8 * n) : int(0.9 * n)].tolist()
    assert prepared.test_rows().tolist() == order[int(0.9 * n) :].tolist()
    assert prepared.sparse_names == ("user", "item", "gender", "age", "occupation", "zip", "genres")
    for row, (user, item, _) in enumerate(ratings):
        assert (prepared.sparse[row, 2:6] == 0).all() == (user == 9)
        assert (prepared.sparse[row, 6] == 0) == (item == 9)
    same_genre = {prepared.sparse[row, 6] for row, (_, item, _) in enumerate(ratings) if item % 2 and item != 9}
    assert len(same_genre) == 1


def test_movielens_identifiers_without_attributes_are_counted(tmp_path: Path) -> None:
    ratings = [row for row in movielens(tmp_path / "ml") if row[2] != 3]
    prepared = quiet("movielens", [tmp_path / "ml"], tmp_path / "out")
    users, items = (sum(row[at] == 9 for row in ratings) for at in (0, 1))
    told = "\n".join(prepared.manifest["warnings"])
    assert f"{users} rows name a user that users.dat does not have" in told
    assert f"{items} rows name a movie that movies.dat does not have" in told


def test_movielens_bad_rating_has_its_line(tmp_path: Path) -> None:
    movielens(tmp_path / "ml", dat=True)
    path = tmp_path / "ml" / "ratings.dat"
    lines = path.read_text().splitlines()
    lines[6] = "1::1::4.5::9"
    path.write_text("\n".join(lines))
    with pytest.raises(UserError, match=r"ratings\.dat:7: not a rating, got '4\.5'"):
        quiet("movielens", [tmp_path / "ml"], tmp_path / "out")


def test_criteo_small_file(tmp_path: Path) -> None:
    rows = [["01"[row % 4 == 0], *[str(row - 2)] * 12, "", *["ab"] * 25, f"{row % 2:08x}"] for row in range(100)]
    path = tmp_path / "train.txt"
    path.write_text("".join("\t".join(row) + "\n" for row in rows))
    prepared = quiet("criteo", [path], tmp_path / "out", min_count=1)
    expected = np.log1p(np.maximum(np.arange(100) - 2, 0)).astype(np.float32)
    np.testing.assert_array_equal(prepared.dense[:, 0], expected)
    assert (prepared.dense[:, 12] == 0).all()
    assert prepared.rows_per_field == (*[3] * 25, 4)
    assert prepared.manifest["options"]["split"] == "nasrec"
    assert prepared.split_sizes() == {"train": 80, "val": 10, "test": 10}


def test_synthetic_is_its_seed_and_states_the_best(tmp_path: Path) -> None:
    one = quiet("synthetic", [], tmp_path / "a", rows=5000, seed=1)
    again = quiet("synthetic", [], tmp_path / "b", rows=5000, seed=1)
    other = quiet("synthetic", [], tmp_path / "c", rows=5000, seed=2)
    assert one.fingerprint == again.fingerprint != other.fingerprint
    assert 0.17 < one.label.mean() < 0.23
    p = np.load(tmp_path / "a" / "probability.npy")
    rows = one.test_rows()
    entropy = -(p * np.log(p) + (1 - p) * np.log1p(-p))
    assert one.facts["best_log_loss"]["test"] == pytest.approx(entropy[rows].mean(), abs=1e-12)
    # the labels follow the planted probabilities: their loss is within three deviations of the entropy
    losses = -np.where(one.label == 1, np.log(p), np.log1p(-p))
    assert abs(losses.mean() - entropy.mean()) < 3 * losses.std() / np.sqrt(len(p))
    assert (one.sparse == 0).any()
    transforms = {column.name: column.transform.name for column in one.schema.dense}
    assert transforms["price"] == "log1p"
    assert transforms["balance"] == "standardize"


def test_synthetic_interactions_are_beyond_logistic_regression(tmp_path: Path) -> None:
    prepared = quiet("synthetic", [], tmp_path / "a", rows=40_000)
    encoder = OneHotEncoder(handle_unknown="ignore")

    def features(rows: Any) -> Any:
        return hstack([csr_matrix(prepared.dense[rows]), encoder.transform(prepared.sparse[rows])]).tocsr()

    train, val = prepared.rows("train"), prepared.rows("val")
    encoder.fit(prepared.sparse[train])
    model = LogisticRegression(C=0.3, solver="liblinear").fit(features(train), prepared.label[train])
    reached = log_loss(prepared.label[val], model.predict_proba(features(val))[:, 1])
    base = log_loss(prepared.label[val], np.full(len(val), prepared.label[train].mean()))
    assert prepared.facts["best_log_loss"]["val"] + 0.05 < reached < base - 0.05


@pytest.mark.parametrize(
    ("values", "role", "reason"),
    [
        (["1.5", "2.25", None], "numeric", "fraction"),
        (["007", "12"], "categorical", "leading zero"),
        (["a", "1"], "categorical", "'a' is not a number"),
        (["inf", "1"], "categorical", "'inf' is not a number"),
        ([None, None], "categorical", "no value"),
        (["9007199254740993"] * 3, "categorical", "too long"),
        (["1", "0", "1"], "categorical", "code"),
        ([str(n) for n in range(50)], "categorical", "identifier"),
        ([str(n % 50) for n in range(100)], "numeric", "quantity"),
        ([str(1000 + n % 50) for n in range(100)], "categorical", "code"),
    ],
)
def test_roles_are_inferred_with_a_reason(values: list[str | None], role: str, reason: str) -> None:
    found, why = infer(pa.array(values, pa.string()))
    assert found == role
    assert reason in why
