"""Every source but the table on small files."""

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
from nasrec_nni.data.sources import avazu, criteo, kdd12
from nasrec_nni.data.sources import movielens as ml
from nasrec_nni.data.sources.base import checked
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


def opened(module: Any, inputs: list[Path], split: str = "random", **options: Any) -> Any:
    """A source and its columns, without the rest of preparing."""
    source = module.Source(inputs, checked(module.Source.Options, options, "source"), split)
    return source, source.columns()


def everything(source: Any) -> dict[str, list[Any]]:
    """All cells by column; the arrays of a chunk by `:label` and so on."""
    found: dict[str, list[Any]] = {}
    for chunk in source.chunks():
        assert all(len(column) == len(chunk.label) for column in (*chunk.dense.values(), *chunk.sparse.values()))
        for name, column in chunk.sparse.items():
            assert column.type in (pa.string(), pa.dictionary(pa.int32(), pa.string()))
            found.setdefault(name, []).extend(column.to_pylist())
        for name in ("label", "time", "weight", "part"):
            if getattr(chunk, name) is not None:
                found.setdefault(f":{name}", []).extend(getattr(chunk, name).tolist())
        for name, numbers in chunk.dense.items():
            assert numbers.dtype == np.float64
            found.setdefault(name, []).extend(numbers.tolist())
    return found


def test_movielens_times(tmp_path: Path) -> None:
    movielens(tmp_path / "ml", dat=True)
    source, columns = opened(ml, [tmp_path / "ml"])
    assert columns.time == "timestamp"
    found = everything(source)
    stars = [line.split("::") for line in (tmp_path / "ml" / "ratings.dat").read_text().splitlines()]
    assert found[":time"] == [float(row[3]) for row in stars if row[2] != "3"]
    assert found["user"] == [row[0] for row in stars if row[2] != "3"]


def hundred(folder: Path) -> None:
    """A made-up folder in MovieLens-100k's format."""
    folder.mkdir()
    flags = ["0|0|0|1|1" + "|0" * 14, "1" + "|0" * 18, "0" + "|0" * 18]
    items = [f"{item}|Été {item} (1995)|01-Jan-1995||http://x|{flags[item - 1]}" for item in (1, 2, 3)]
    (folder / "u.item").write_text("\n".join(items) + "\n", encoding="latin-1")
    (folder / "u.user").write_text("1|24|M|technician|85711\n2|53|F|other|T8H1N\n")
    (folder / "u.data").write_text("1\t1\t5\t881250949\n2\t2\t3\t881250950\n2\t3\t1\t881250951\n7\t2\t4\t881250900\n")


def test_movielens_100k(tmp_path: Path) -> None:
    hundred(tmp_path / "ml")
    source, columns = opened(ml, [tmp_path / "ml"])
    assert list(columns.sparse) == ["user", "item", "gender", "age", "occupation", "zip", "genres"]
    assert everything(source) == {
        "user": ["1", "2", "7"],
        "item": ["1", "3", "2"],
        "gender": ["M", "F", None],
        "age": ["24", "53", None],
        "occupation": ["technician", "other", None],
        "zip": ["85711", "T8H1N", None],
        "genres": ["Animation|Children's", None, "unknown"],
        ":label": [1, 0, 1],
        ":time": [881250949, 881250951, 881250900],
    }
    assert source.warnings == ["1 rows name a user that u.user does not have: its attributes are missing"]


@pytest.mark.parametrize(
    ("file", "line", "message"),
    [
        ("u.item", "9|x|y||z|1|0", r"u\.item:4: a line has another number of fields"),
        ("u.user", "1|1|M|x|y", r"u\.user:3: this identifier came before"),
        ("u.data", "1\t1\t6\t1", r"u\.data:5: not a rating, got '6'"),
        (
            "u.data",
            "1\t1\t4\tlate",
            r"u\.data:5: column 'timestamp' is the time of a row, and this is none, got 'late'",
        ),
        ("u.item", "9|x|y||z|2" + "|0" * 18, r"u\.item:4: not the flag of a genre, got '2'"),
    ],
)
def test_movielens_100k_faults(tmp_path: Path, file: str, line: str, message: str) -> None:
    hundred(tmp_path / "ml")
    with (tmp_path / "ml" / file).open("a", encoding="latin-1") as stream:
        stream.write(line + "\n")
    source, _ = opened(ml, [tmp_path / "ml"])
    with pytest.raises(UserError, match=message):
        everything(source)


def days(folder: Path, numbers: list[int]) -> None:
    """Files in the format of Criteo's Terabyte log; a row tells its day in C1."""
    folder.mkdir()
    for day in numbers:
        row = ["1", *["3"] * 13, f"{day:08x}", *["ab"] * 25]
        text = ("\t".join(row) + "\n") * 3
        (folder / f"day_{day}.gz").write_bytes(gzip.compress(text.encode()))


def test_criteo_days_of_a_folder_are_read_as_people_count(tmp_path: Path) -> None:
    days(tmp_path / "tera", [0, 1, 2, 10, 11])
    (tmp_path / "tera" / ".DS_Store").write_text("x")
    (tmp_path / "tera" / "_SUCCESS").write_text("")
    source, _ = opened(criteo, [tmp_path / "tera"])
    assert everything(source)["C1"] == [f"{day:08x}" for day in (0, 1, 2, 10, 11) for _ in range(3)]
    assert source.notes == ["tera: 5 files, from day_0.gz to day_11.gz", "tera: passed over .DS_Store, _SUCCESS"]
    assert source.rows_expected(15) == 15
    assert sum(criteo.Source.default_hash_rows.values()) == 33_762_601
    assert criteo.Source.decimal_first is False


def test_criteo_by_time_never_cuts_a_day(tmp_path: Path) -> None:
    days(tmp_path / "tera", list(range(10)))
    prepared = quiet("criteo", [tmp_path / "tera"], tmp_path / "out", split="by_time", min_count=1)
    assert prepared.rows("train").tolist() == list(range(24))
    assert prepared.rows("val").tolist() == [24, 25, 26]
    assert prepared.test_rows().tolist() == [27, 28, 29]
    with pytest.raises(UserError, match="by_time"):
        quiet("criteo", [tmp_path / "tera" / "day_0.gz"], tmp_path / "one", split="by_time")


def test_criteo_given_as_three_folders(tmp_path: Path) -> None:
    for name, numbers in (("train", [1, 2]), ("val", [3]), ("test", [4])):
        days(tmp_path / name, numbers)
    source, _ = opened(criteo, [tmp_path / name for name in ("train", "val", "test")], "given")
    assert everything(source)[":part"] == [0] * 6 + [1] * 3 + [2] * 3


AVAZU = ["id", "click", *list(avazu.ROWS)[1:]]


def avazu_file(path: Path, rows: int = 30, names: list[str] = AVAZU) -> None:
    lines = [",".join(names)]
    for row in range(rows):
        cells = {"id": f"1000{row}", "click": str(row % 3 % 2), "hour": f"141021{row % 24:02d}"}
        lines.append(",".join(cells.get(name, f"{name}{row % 5}") for name in names))
    path.write_text("\n".join(lines) + "\n")


def test_avazu(tmp_path: Path) -> None:
    avazu_file(tmp_path / "train.csv")
    source, columns = opened(avazu, [tmp_path / "train.csv"])
    assert list(columns.sparse) == list(avazu.ROWS)[1:]
    assert (columns.dense, columns.ignored, columns.time) == ({}, ("id",), "hour")
    assert any(note.startswith("id: ignored") for note in source.notes)
    found = everything(source)
    assert found["hour"] == [f"141021{row % 24:02d}" for row in range(30)]
    assert found[":time"] == [float(text) for text in found["hour"]]
    assert sum(avazu.Source.default_hash_rows.values()) == 9_459_467
    source, columns = opened(avazu, [tmp_path / "train.csv"], keep_id=True)
    assert list(columns.sparse) == list(avazu.ROWS)
    assert everything(source)["id"][:2] == ["10000", "10001"]


def test_avazu_without_clicks_says_which_file_it_is(tmp_path: Path) -> None:
    avazu_file(tmp_path / "test.csv", names=[name for name in AVAZU if name != "click"])
    with pytest.raises(UserError, match=r"test\.csv:1: not the header of Avazu's log.*train\.csv"):
        opened(avazu, [tmp_path / "test.csv"])


KDD = [
    ["0", "1", "url1", "11", "21", "2", "1", "31", "41", "51", "61", "5"],
    ["2", "3", "url2", "12", "21", "3", "2", "32", "42", "52", "62", "7"],
    ["1", "9", "url1", "11", "22", "1", "1", "33", "43", "53", "63", "99"],
    ["0", "4", "url3", "11", "22", "1", "1", "33", "43", "53", "63", "0"],
]


def kdd_folder(folder: Path, *, order: tuple[int, ...] = (0, 1, 2), packed: bool = False) -> Path:
    folder.mkdir()
    profile = [["5", "1", "4"], ["7", "2", "6"], ["8", "0", "1"]]
    for name, rows in (("training.txt", KDD), ("userid_profile.txt", [profile[at] for at in order])):
        text = "".join("\t".join(row) + "\n" for row in rows)
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
        else:
            (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
@pytest.mark.parametrize("packed", [False, True])
def test_kdd12_joins_the_profile(tmp_path: Path, order: tuple[int, ...], packed: bool) -> None:
    source, columns = opened(kdd12, [kdd_folder(tmp_path / "kdd", order=order, packed=packed)])
    assert list(columns.dense) == ["Impression", "Depth", "Position"]
    assert list(columns.sparse) == list(kdd12.ROWS)
    found = everything(source)
    assert found[":label"] == [0, 1, 1, 0]
    assert found["Gender"] == ["1", "2", "0", "0"]
    assert found["Age"] == ["4", "6", "0", "0"]
    assert found["UserID"] == ["5", "7", "99", "0"]
    assert found["Impression"] == [1, 3, 9, 4]
    assert source.warnings[0].startswith("2 rows have a user without a profile")
    assert sum(kdd12.Source.default_hash_rows.values()) == 50_666_853


def test_kdd12_impressions_as_weights(tmp_path: Path) -> None:
    folder = kdd_folder(tmp_path / "kdd")
    source, columns = opened(kdd12, [folder / "userid_profile.txt", folder / "training.txt"], weight=True)
    assert columns.weight == "Impression"
    assert list(columns.dense) == ["Depth", "Position"]
    assert everything(source)[":weight"] == [1, 3, 9, 4]


@pytest.mark.parametrize(
    ("file", "line", "message"),
    [
        ("userid_profile.txt", "7\t1\t1", r"userid_profile\.txt:4: this user came before, got '7'"),
        ("userid_profile.txt", "x\t1\t1", r"userid_profile\.txt:4: UserID is not an identifier, got 'x'"),
        ("userid_profile.txt", "9\t1", r"userid_profile\.txt:4: a row has another number of fields"),
        ("training.txt", "\t".join(["-1", *KDD[0][1:]]), r"training\.txt:5: not a number of clicks, got '-1'"),
        ("training.txt", "\t".join(["0.5", *KDD[0][1:]]), r"training\.txt:5: not a number of clicks, got '0\.5'"),
        ("training.txt", "\t".join(["", *KDD[0][1:]]), r"training\.txt:5: not a number of clicks, got ''"),
        ("training.txt", "\t".join([*KDD[0][:5], "two", *KDD[0][6:]]), r"training\.txt:5: column 'Depth' is numeric"),
        ("training.txt", "\t".join([*KDD[0][:11], "u5"]), r"training\.txt:5: UserID is not an identifier, got 'u5'"),
    ],
)
def test_kdd12_faults(tmp_path: Path, file: str, line: str, message: str) -> None:
    folder = kdd_folder(tmp_path / "kdd")
    with (folder / file).open("a") as stream:
        stream.write(line + "\n")
    source, _ = opened(kdd12, [folder])
    with pytest.raises(UserError, match=message):
        everything(source)


def test_kdd12_needs_both_files(tmp_path: Path) -> None:
    folder = kdd_folder(tmp_path / "kdd")
    with pytest.raises(UserError, match=r"takes one userid_profile\.txt"):
        opened(kdd12, [folder / "training.txt"])
    (tmp_path / "more.txt").write_text("x")
    with pytest.raises(UserError, match="takes two files"):
        opened(kdd12, [folder / "training.txt", folder / "userid_profile.txt", tmp_path / "more.txt"])


def test_avazu_by_time_and_as_the_authors_have_it(tmp_path: Path) -> None:
    names = [name for name in AVAZU if name not in ("id", "click", "hour")]
    lines = [",".join(AVAZU)]
    for row in range(48):
        lines.append(
            ",".join(
                [str(10**19 + row), str(row % 2), f"141021{(row * 7) % 24:02d}", *(f"{row % 5:08x}" for _ in names)]
            )
        )
    path = tmp_path / "train.csv"
    path.write_text("\n".join(lines) + "\n")
    prepared = quiet("avazu", [path], tmp_path / "time", split="by_time")
    hours = np.array([(row * 7) % 24 for row in range(48)])
    assert hours[prepared.rows("train")].max() < hours[prepared.rows("val")].min()
    prepared = quiet("avazu", [path], tmp_path / "authors", keep_id=True, encoding="hash_mod", split="random")
    assert prepared.sparse[:, 0].tolist() == [(10**19 + row) % (2**31 - 1) % 9999 + 1 for row in range(48)]
    assert prepared.rows_per_field == tuple(avazu.ROWS.values())


def test_kdd12_is_prepared(tmp_path: Path) -> None:
    folder = kdd_folder(tmp_path / "kdd")
    rows = [[str(row % 2), *KDD[row % 4][1:]] for row in range(40)]
    numeric = [[row[0], row[1], *(cell.strip("url") for cell in row[2:])] for row in rows]
    (folder / "training.txt").write_text("".join("\t".join(row) + "\n" for row in numeric))
    prepared = quiet("kdd12", [folder], tmp_path / "out", encoding="hash_mod")
    assert prepared.label.tolist() == [row % 2 for row in range(40)]
    assert prepared.sparse[:4, -2:].tolist() == [[1 % 3 + 1, 4 % 7 + 1], [2 % 3 + 1, 6 % 7 + 1], [1, 1], [1, 1]]
    weighted = quiet("kdd12", [folder], tmp_path / "weighted", weight=True)
    assert weighted.weight is not None
    assert weighted.weight[:4].tolist() == [1, 3, 9, 4]
