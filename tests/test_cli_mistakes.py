"""A user's mistake: exit status 2, one clear error that names the place, no traceback, nothing half-written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nasrec_nni.cli import main
from nasrec_nni.data.prepare import prepare
from nasrec_nni.run_folder import RunFolder

ARCHITECTURE = Path(__file__).with_name("published") / "criteo_autoctr.json"
GOOD = "data: {source: synthetic}\n"


def write(name: str, content: str) -> Callable[[], None]:
    return lambda: Path(name).write_text(content) and None


def nothing() -> None:
    pass


def a_folder_of_something_else() -> None:
    write("good.yaml", GOOD)()
    Path("thesis").mkdir()
    Path("thesis/chapter.tex").touch()


def an_existing_example() -> None:
    Path("quickstart.yaml").write_text("mine")


def an_empty_folder_for_a_set() -> None:
    Path("set").mkdir()
    Path("c.yaml").write_text("data: {prepared: set}\n")


def a_cut_architecture() -> None:
    Path("cut.json").write_text(ARCHITECTURE.read_text()[:200])


def an_unfinished_run() -> None:
    RunFolder(Path("run")).update_manifest()


# name, what is there, command, words that the error must hold
MISTAKES: list[tuple[str, Callable[[], None], str, tuple[str, ...]]] = [
    ("misspelt verb", nothing, "serach x.yaml", ("serach", "Did you mean 'search'?")),
    ("no config", nothing, "run --out r", ("CONFIG",)),
    ("no out", write("c.yaml", GOOD), "run c.yaml", ("--out",)),
    ("misspelt option", write("c.yaml", GOOD), "run c.yaml --ouut r", ("--ouut", "Did you mean '--out'?")),
    ("option without its value", nothing, "profile a.json --dense", ("--dense",)),
    ("option not a number", nothing, f"profile {ARCHITECTURE} --dense x --sparse 3", ("--dense", "'x'")),
    ("negative columns", nothing, f"profile {ARCHITECTURE} --dense 3 --sparse=-2", ("--sparse", "-2")),
    ("no columns", nothing, f"profile {ARCHITECTURE}", ("--dense N --sparse N", "--data")),
    ("no sparse field", nothing, f"profile {ARCHITECTURE} --dense 3 --sparse 0", ("--sparse", "at least one")),
    ("heads", nothing, f"profile {ARCHITECTURE} --dense 3 --sparse 3 --heads 5", ("--heads", "divide")),
    ("architecture absent", nothing, "profile none.json --dense 3 --sparse 3", ("none.json", "not found")),
    ("architecture cut", a_cut_architecture, "inspect cut.json", ("cut.json:", "not valid JSON")),
    ("architecture is a list", write("a.json", "[]"), "inspect a.json", ("a.json", "list")),
    (
        "architecture with wrong keys",
        write("a.json", '{"space": "nasrec-small", "blocks": [{"dense_operator": "fcc"}]}'),
        "draw a.json --out a.svg",
        ("block1", "dense_operator", "'fcc'"),
    ),
    ("kind of picture", nothing, f"draw {ARCHITECTURE} --out a.gif", (".svg", ".png", "a.gif")),
    ("nothing to inspect", nothing, "inspect nowhere", ("nowhere", "no such")),
    ("unknown list", nothing, "ls operatros", ("operatros", "Did you mean 'operators'?")),
    ("unknown example", nothing, "cp quikstart", ("quikstart", "Did you mean 'quickstart'?")),
    ("example there already", an_existing_example, "cp quickstart", ("quickstart.yaml", "already")),
    ("config absent", nothing, "validate none.yaml", ("none.yaml", "nasrec ls examples")),
    ("config is a folder", nothing, "validate .", ("cannot read",)),
    ("config not YAML", write("c.yaml", "seed: [1\n"), "validate c.yaml", ("c.yaml:", "YAML")),
    ("config a list", write("c.yaml", "- 1\n"), "validate c.yaml", ("c.yaml", "mapping", "list")),
    ("config not text", lambda: Path("c.yaml").write_bytes(b"\xff\xfe") and None, "validate c.yaml", ("UTF-8",)),
    ("unknown key", write("c.yaml", "serach: {}\n"), "validate c.yaml", ("serach", "Did you mean 'search'?")),
    (
        "unknown key below",
        write("c.yaml", "search: {candidate: 3}\n"),
        "validate c.yaml",
        ("search.candidate", "Did you mean 'candidates'?"),
    ),
    ("wrong type", write("c.yaml", "seed: many\n"), "validate c.yaml", ("seed", "'many'")),
    ("out of range", write("c.yaml", "search: {candidates: 0}\n"), "validate c.yaml", ("search.candidates", "0")),
    (
        "not finite",
        write("c.yaml", "retrain: {recipe: {learning_rate: .nan}}"),
        "validate c.yaml",
        ("learning_rate",),
    ),
    ("heads in config", write("c.yaml", "space: {embedding: 10, heads: 4}\n"), "validate c.yaml", ("space.heads", "4")),
    (
        "two at once",
        write("c.yaml", "seed: -1\nsupernet: {warmup: 3}\n"),
        "validate c.yaml",
        ("seed", "supernet.warmup"),
    ),
    (
        "two plug-ins at once",
        write("c.yaml", "search: {algorithm: evolution}\nretrain: {baselines: [lr, deepmf]}\n"),
        "validate c.yaml",
        ("search.algorithm", "'evolution'", "retrain.baselines", "Did you mean 'deepfm'?"),
    ),
    ("unknown preset", write("c.yaml", "supernet: {recipe: best}\n"), "validate c.yaml", ("preset", "'best'")),
    ("unknown space", write("c.yaml", "space: {name: nasrec-smal}\n"), "validate c.yaml", ("nasrec-small",)),
    (
        "operator on the wrong side",
        write("c.yaml", "space: {dense_operators: [efc]}\n"),
        "validate c.yaml",
        ("space.dense_operators", "efc"),
    ),
    (
        "unknown option of the search",
        write("c.yaml", "search: {options: {populaton: 3}}\n"),
        "validate c.yaml",
        ("search.options.populaton", "population"),
    ),
    (
        "option of a baseline",
        write("c.yaml", "retrain: {baseline_options: {dlrm: {hiden: [3]}}}\n"),
        "validate c.yaml",
        ("retrain.baseline_options.dlrm.hiden", "hidden"),
    ),
    (
        "options of an absent baseline",
        write("c.yaml", "retrain: {baselines: [lr], baseline_options: {dlrm: {}}}\n"),
        "validate c.yaml",
        ("retrain.baseline_options", "dlrm"),
    ),
    ("seed too large", write("c.yaml", "seed: 4294967296\n"), "validate c.yaml", ("seed", "4294967296")),
    (
        "no rows left for values",
        write("c.yaml", "supernet: {max_rows_per_field: 1}\n"),
        "validate c.yaml",
        ("supernet.max_rows_per_field", "1"),
    ),
    ("picture in no folder", nothing, f"draw {ARCHITECTURE} --out /proc/none/a.svg", ("/proc/none",)),
    ("picture below a file", write("a.txt", ""), f"draw {ARCHITECTURE} --out a.txt/a.svg", ("a.txt",)),
    (
        "picture in a folder that takes none",
        nothing,
        f"draw {ARCHITECTURE} --out /proc/x.svg",
        ("/proc/x.svg: ",),
    ),
    ("seed twice", write("c.yaml", "retrain: {seeds: [1, 1]}\n"), "validate c.yaml", ("retrain.seeds", "2 times")),
    (
        "more winners than candidates",
        write("c.yaml", "search: {candidates: 3}\nretrain: {top_k: 4}\n"),
        "validate c.yaml",
        ("retrain.top_k", "3"),
    ),
    ("unknown device", write("c.yaml", "device: tpu\n"), "validate c.yaml", ("device", "'tpu'", "cuda")),
    (
        "prepared set absent",
        write("c.yaml", "data: {prepared: nowhere}\n"),
        "run c.yaml --out r",
        ("data.prepared", "nowhere"),
    ),
    (
        "not a prepared set",
        an_empty_folder_for_a_set,
        "validate c.yaml",
        ("data.prepared", "set"),
    ),
    (
        "no model to train",
        write("c.yaml", GOOD),
        "run c.yaml --out r retrain.top_k=0 retrain.baselines=[] retrain.random=2",
        ("retrain.top_k", "retrain.baselines"),
    ),
    (
        "prepared and raw",
        write("c.yaml", "data: {prepared: ., source: criteo}\n"),
        "validate c.yaml",
        ("data.prepared", "data.source"),
    ),
    (
        "raw log absent",
        write("c.yaml", "data: {source: criteo, inputs: [none.tsv]}\n"),
        "run c.yaml --out r",
        ("data.inputs", "none.tsv"),
    ),
    ("no raw log", write("c.yaml", "data: {source: criteo}\n"), "run c.yaml --out r", ("inputs", "criteo")),
    ("unknown source", write("c.yaml", "data: {source: critoe}\n"), "run c.yaml --out r", ("data.source", "criteo")),
    ("override without =", write("c.yaml", GOOD), "validate c.yaml seed", ("key=value", "'seed'")),
    ("override of no key", write("c.yaml", GOOD), "validate c.yaml sede=1", ("sede", "Did you mean 'seed'?")),
    ("override through a value", write("c.yaml", "seed: 1\n"), "validate c.yaml seed.x=1", ("seed",)),
    ("out holds something else", a_folder_of_something_else, "run good.yaml --out thesis", ("thesis", "not a run")),
    ("report of no run", nothing, "report nowhere", ("nowhere", "no such run")),
    ("report of an unfinished run", an_unfinished_run, "report run", ("not trained yet",)),
]


def listing() -> dict[str, bytes]:
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in sorted(Path().rglob("*"))}


@pytest.mark.parametrize(("prepare", "command", "parts"), [m[1:] for m in MISTAKES], ids=[m[0] for m in MISTAKES])
def test_a_mistake_is_told_and_leaves_nothing(
    prepare: Callable[[], None],
    command: str,
    parts: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    prepare()
    before = listing()

    assert main(command.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert [line[:7] for line in err.splitlines() if "error" in line[:7]] == ["error: "]
    assert "Traceback" not in err
    missing = [part for part in parts if part not in err]
    assert missing == [], err

    assert main([*command.split(), "--json"]) == 2
    out, err = capsys.readouterr()
    assert "error:" not in err
    error = json.loads(out)["error"]
    assert error["status"] == 2
    assert all(part in error["message"] for part in parts)
    assert listing() == before


HEADER = "click,age,city\n"
ROWS = "".join(f"{row % 2},{20 + row % 9},{'abcd'[row % 4]}\n" for row in range(60))
PREPARE = "prepare log.csv --source table --label click --out set"
BAD_LOGS: list[tuple[str, str, str, tuple[str, ...]]] = [
    ("short row", HEADER + ROWS + "1,30\n", PREPARE, ("log.csv:62", "2", "3")),
    ("label not binary", HEADER + ROWS + "yes,30,a\n", PREPARE, ("log.csv:62", "yes")),
    ("label empty", HEADER + ROWS + ",30,a\n", PREPARE, ("log.csv:62",)),
    ("column twice", "click,city,city\n" + ROWS, PREPARE, ("city", "2", "3")),
    ("no such label", HEADER + ROWS, PREPARE.replace("click", "clik"), ("clik", "click")),
    ("header alone", HEADER, PREPARE, ("log.csv",)),
    ("empty file", "", PREPARE, ("log.csv",)),
    ("unknown source", HEADER + ROWS, PREPARE.replace("table", "tabel"), ("tabel", "Did you mean 'table'?")),
    ("unknown split", HEADER + ROWS, f"{PREPARE} --split sideways", ("split", "sideways")),
    ("count not a number", HEADER + ROWS, f"{PREPARE} --min-count few", ("min_count", "few")),
    ("option of another source", HEADER + ROWS, f"{PREPARE} --rows 500", ("rows",)),
    ("unknown column", HEADER + ROWS, f"{PREPARE} --numeric aeg", ("aeg",)),
    ("seed too large", HEADER + ROWS, f"{PREPARE} --split nasrec --seed 5000000000", ("seed", "5000000000")),
    ("out below a file", HEADER + ROWS, PREPARE.replace("--out set", "--out log.csv/x"), ("log.csv/x", "below a file")),
    ("out far below a file", HEADER + ROWS, PREPARE.replace("--out set", "--out log.csv/x/y"), ("below a file",)),
]


@pytest.mark.parametrize(("content", "command", "parts"), [bad[1:] for bad in BAD_LOGS], ids=[b[0] for b in BAD_LOGS])
def test_a_bad_log_is_told_and_nothing_is_half_written(
    content: str,
    command: str,
    parts: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    test_a_mistake_is_told_and_leaves_nothing(write("log.csv", content), command, parts, tmp_path, monkeypatch, capsys)


def test_a_run_on_a_bad_log_leaves_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def bad_log() -> None:
        write("log.csv", HEADER + ROWS + "2,30,a\n")()
        write("c.yaml", "data: {source: table, inputs: [log.csv], options: {label: click}}\n")()

    monkeypatch.chdir(tmp_path)
    bad_log()
    assert main(["run", "c.yaml", "--out", "r", "--json"]) == 2
    assert "log.csv:62" in json.loads(capsys.readouterr().out)["error"]["message"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.yaml", "log.csv"]


def movielens(*ratings: str) -> Callable[[], None]:
    def made() -> None:
        Path("ml").mkdir()
        Path("ml/users.dat").write_text("1::M::1::1::1\n")
        Path("ml/movies.dat").write_text("1::a::b\n")
        Path("ml/ratings.csv").write_text("\n".join(("user,item,rating", *ratings)) + "\n")
        Path("c.yaml").write_text("data: {source: movielens, inputs: [ml]}\n")

    return made


@pytest.mark.parametrize("ratings", [(), ("1,1,3",)], ids=["header alone", "nothing but 3"])
@pytest.mark.parametrize(
    "command", ["run c.yaml --plan", "run c.yaml --out r", "prepare ml --source movielens --out s"]
)
def test_ratings_that_leave_no_row_are_told(
    ratings: tuple[str, ...],
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    parts = ("no rows",)
    test_a_mistake_is_told_and_leaves_nothing(movielens(*ratings), command, parts, tmp_path, monkeypatch, capsys)


WITHOUT_CATEGORIES = "".join(f"{row % 2},{row}.5\n" for row in range(60))


@pytest.mark.parametrize("command", ["validate c.yaml", "run c.yaml --plan", "run c.yaml --out r"])
def test_a_log_without_categories_is_refused_before_any_work(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def made() -> None:
        Path("log.csv").write_text("click,age\n" + WITHOUT_CATEGORIES)
        Path("c.yaml").write_text("data: {source: table, inputs: [log.csv], options: {label: click}}\n")

    parts = ("no categorical column", "data.inputs")
    test_a_mistake_is_told_and_leaves_nothing(made, command, parts, tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize("command", ["validate c.yaml", "run c.yaml --plan", "run c.yaml --out r"])
def test_a_set_without_categories_is_refused_before_any_work(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def made() -> None:
        Path("log.csv").write_text("click,age\n" + WITHOUT_CATEGORIES)
        prepare("table", ["log.csv"], "set", {"label": "click"}, progress=False)
        Path("c.yaml").write_text("data: {prepared: set}\n")

    parts = ("no categorical column", "data.prepared", "set")
    test_a_mistake_is_told_and_leaves_nothing(made, command, parts, tmp_path, monkeypatch, capsys)


def test_a_good_set_is_not_replaced_by_a_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write("log.csv", HEADER + ROWS)()
    assert main([*PREPARE.split(), "--json"]) == 0
    before = listing()
    assert main([*PREPARE.split(), "--json"]) == 2
    write("log.csv", HEADER + "maybe,1,a\n")()
    assert main([*PREPARE.split(), "--overwrite", "--json"]) == 2
    write("log.csv", HEADER + ROWS)()
    assert listing() == before
    capsys.readouterr()
