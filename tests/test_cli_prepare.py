"""`nasrec prepare` and `nasrec inspect` as a person types them: flags, schema file, defaults, page, mistakes."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic.fields import FieldInfo

from nasrec_nni.cli import main
from nasrec_nni.cli.fields import add_flag, value_of, words_of
from nasrec_nni.cli.parser import verb_parser
from nasrec_nni.cli.verbs.prepare import _options
from nasrec_nni.data.preparing.options import PrepareOptions
from nasrec_nni.errors import UserError

FIELDS = PrepareOptions.model_fields
Nasrec = Callable[..., dict[str, Any]]


@pytest.fixture
def nasrec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Nasrec:
    """Run a command line in a folder with clicks.csv; what `--json` prints, with status and stderr."""
    monkeypatch.chdir(tmp_path)
    rows = (
        f"{int(row % 5 == 0)},{20.5 + row % 9},{1 + row % 40},{'abcd'[row % 4]},{'x|y' if row % 3 else 'z'}\n"
        for row in range(400)
    )
    Path("clicks.csv").write_text("click,age,price,city,genres\n" + "".join(rows))

    def run(line: str) -> dict[str, Any]:
        status = main([*shlex.split(line), "--json"])
        out, err = capsys.readouterr()
        assert out.count("\n") == 1
        return json.loads(out) | {"status": status, "stderr": err}

    return run


def by_name(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {column["column"]: column for column in found["columns"]}


def test_the_shortest_command_works_and_says_where_the_set_goes(nasrec: Nasrec) -> None:
    found = nasrec("prepare clicks.csv --label click")
    assert found["status"] == 0
    assert found["folder"] == "data/clicks"
    assert found["source"] == "table"
    assert "no --out given: the prepared set goes to data/clicks" in found["stderr"]
    assert {name: column["role"] for name, column in by_name(found).items()} == {
        "age": "numeric",
        "price": "numeric",
        "city": "categorical",
        "genres": "categorical",
    }
    assert Path("data/clicks/manifest.json").exists()


@pytest.mark.parametrize("name", ["log.csv.gz", "log.tsv", "log.txt", "log", "log.CSV.ZST", ".log.csv", "log.d/"])
def test_the_default_place_is_named_after_the_first_input(name: str, tmp_path: Path) -> None:
    from nasrec_nni.cli.verbs.prepare import _name

    if name.endswith("/"):
        (tmp_path / name).mkdir()
        assert _name(f"{tmp_path / name}/") == "log.d"
    else:
        assert _name(f"/somewhere/{name}") == "log"


def test_options_per_column(nasrec: Nasrec) -> None:
    found = nasrec(
        "prepare clicks.csv --label click --out set --numeric age,price --categorical city --categorical genres"
        " --transform identity --transform price=log2_bins --min-count 1 --min-count city=50 --separator 'genres=|'"
        " --max-length genres=3"
    )
    assert found["status"] == 0, found
    columns = by_name(found)
    assert columns["age"]["transform"] == "identity"
    assert columns["price"]["role"] == "categorical"
    assert columns["price"]["bins"]
    assert columns["city"]["min_count"] == 50
    assert columns["genres"]["min_count"] == 1
    assert columns["genres"]["separator"] == "|"
    assert columns["genres"]["length"] <= 3


def test_the_command_is_kept_and_makes_the_same_set_again(nasrec: Nasrec) -> None:
    found = nasrec(
        "prepare clicks.csv --label click --out 'the set' --separator 'genres=|' --missing=-1 --split nasrec"
        " --no-first-line-slip"
    )
    assert found["status"] == 0, found
    command = found["command"]
    assert shlex.split(command)[:7] == ["nasrec", "prepare", "clicks.csv", "--source", "table", "--out", "the set"]
    again = nasrec(f"{command.removeprefix('nasrec ')} --overwrite")
    assert again["status"] == 0, again
    assert again["fingerprint"] == found["fingerprint"]
    assert again["command"] == command


SCHEMA = """
label: click
numeric: [age]
categorical: "*"
transform: {age: standardize}
min_count: {"*": 1, city: 50}
separator: {genres: "|"}
missing: [NA, null, 007]
"""


def test_a_schema_file_holds_the_same_options_and_the_command_line_wins(nasrec: Nasrec) -> None:
    Path("schema.yaml").write_text(SCHEMA)
    found = nasrec("prepare clicks.csv --schema schema.yaml --out one")
    assert found["status"] == 0, found
    columns = by_name(found)
    assert columns["age"]["transform"] == "standardize"
    assert columns["price"]["role"] == "categorical"
    assert (columns["city"]["min_count"], columns["price"]["min_count"]) == (50, 1)
    assert columns["genres"]["separator"] == "|"
    assert list(found["options"]["missing"]) == ["NA", "null", "007"]  # text as it stands there
    assert "--schema schema.yaml" in found["command"]
    won = nasrec("prepare clicks.csv --schema schema.yaml --out two --transform log1p --min-count 2")
    assert by_name(won)["age"]["transform"] == "log1p"
    assert {column["min_count"] for column in won["columns"] if column["role"] == "categorical"} == {2}


def test_a_switch_of_the_schema_file_can_be_taken_back(nasrec: Nasrec) -> None:
    Path("schema.yaml").write_text("label: click\nsplit: nasrec\nfirst_line_slip: true\n")
    assert nasrec("prepare clicks.csv --schema schema.yaml --out one")["options"]["first_line_slip"] is True
    taken_back = nasrec("prepare clicks.csv --schema schema.yaml --no-first-line-slip --out two")
    assert taken_back["status"] == 0
    assert not taken_back["options"].get("first_line_slip")


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("label: click\nmin_cuont: 3\n", ("s.yaml:2", "min_cuont", "Did you mean 'min_count'?")),
        ("labl: click\nnumerc: [age]\n", ("s.yaml:1", "'label'", "s.yaml:2", "'numeric'")),
        ("label: click\nmin_count: {a: 1\n", ("s.yaml:3", "not valid YAML")),
        ("label: click\nmin_count: {city: 1, city: 2}\n", ("s.yaml:2", "'city' stands twice")),
        ("- label\n", ("s.yaml:1", "mapping")),
        ("label: click\nmin_count: [1]\n", ("min_count",)),
        ("? [a, b]\n: c\n", ("s.yaml:1", "word")),
        ("label: &a [*a]\n", ("s.yaml:1",)),
    ],
)
def test_mistakes_in_a_schema_file(content: str, parts: tuple[str, ...], nasrec: Nasrec) -> None:
    Path("s.yaml").write_text(content)
    found = nasrec("prepare clicks.csv --schema s.yaml --out set")
    assert found["status"] == 2, found
    assert [part for part in parts if part not in found["error"]["message"]] == [], found["error"]
    assert not Path("set").exists()


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("clicks.csv --lable click", ("--lable", "Did you mean '--label'?")),
        ("clicks.csv --label", ("--label", "expected one argument", "nasrec prepare --help")),
        ("clicks.csv", ("label",)),
        ("clicks.csv --label click --label age", ("--label", "one value")),
        ("clicks.csv --label click --separator x", ("--separator", "COLUMN=VALUE")),
        ("clicks.csv --label click --min-count =3", ("--min-count", "no column")),
        ("clicks.csv --label click --min-count 3 --min-count 4", ("--min-count", "all columns", "3 and 4")),
        ("clicks.csv --label click --min-count city=3 --min-count city=4", ("--min-count", "'city'")),
        ("clicks.csv --label click --min-count city=few", ("min_count", "few")),
        ("clicks.csv --label click --min-count ctiy=3", ("min_count", "ctiy", "city")),
        ("clicks.csv --label click --transform age=log", ("transform", "'log'")),
        ("clicks.csv --label click --split sideways", ("split", "sideways")),
        ("clicks.csv --label click --schema none.yaml", ("none.yaml", "schema file")),
        ("clicks.csv --label click --schema .", ("schema file",)),
        ("nowhere.csv --label click", ("nowhere.csv", "no such file")),
        ("--label click", ("file",)),
    ],
)
def test_a_wrong_flag_is_told_and_nothing_is_made(words: str, parts: tuple[str, ...], nasrec: Nasrec) -> None:
    found = nasrec(f"prepare {words}")
    assert found["status"] == 2, found
    assert [part for part in parts if part not in found["error"]["message"]] == [], found["error"]
    assert [path.name for path in Path().iterdir()] == ["clicks.csv"]


def test_help_tells_every_option_and_its_values() -> None:
    text = " ".join(verb_parser("prepare").format_help().split())
    for name in _options():
        assert f"--{name.replace('_', '-')} " in text
    assert "--transform [COLUMN=]VALUE" in text
    assert "--separator COLUMN=VALUE" in text
    assert "auto, log1p, standardize, identity, quantile, log2_bins" in text
    assert "The last = divides" in text


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("transform", ["log1p"], "log1p"),
        ("transform", ["*=log1p"], "log1p"),
        ("transform", ["log1p", "a=b=identity"], {"*": "log1p", "a=b": "identity"}),
        ("separator", ["genres=|"], {"genres": "|"}),
        ("separator", ["genres==", "tags=a=b"], {"genres": "=", "tags": "a=b"}),
        ("min_count", ["user=50"], {"user": "50"}),
        ("seed", ["5"], "5"),
    ],
)
def test_flags_to_values_and_back(name: str, given: list[str], value: Any) -> None:
    assert value_of(name, FIELDS[name], given) == value
    flag = f"--{name.replace('_', '-')}"
    assert words_of(name, given) == [word for text in given for word in (flag, text)]


def test_an_option_of_two_sources_is_read_by_the_chosen_one(nasrec: Nasrec) -> None:
    """`missing` is a share in a synthetic log, and words in a table."""
    assert set(_options()["missing"]) >= {"synthetic", "table"}
    found = nasrec("prepare --source synthetic --rows 300 --missing 0.5 --out a")
    assert found["options"]["missing"] == 0.5
    found = nasrec("prepare clicks.csv --label click --missing NA,x --missing none --out b")
    assert list(found["options"]["missing"]) == ["NA", "x", "none"]


def test_a_flag_that_is_a_switch_here_and_a_value_there() -> None:
    """`weight` is a column of a table, and yes or no of a log with a known one."""
    switch, text = FieldInfo(annotation=bool, default=False), FieldInfo(annotation=str, default="")
    parser = argparse.ArgumentParser()
    add_flag(parser, "weight", {"one": switch, "other": text})
    assert parser.parse_args([]).weight is None
    alone, worded = parser.parse_args(["--weight"]).weight, parser.parse_args(["--weight", "shown"]).weight
    assert value_of("weight", switch, alone) is True
    assert value_of("weight", text, worded) == "shown"
    assert (words_of("weight", alone), words_of("weight", worded)) == (["--weight"], ["--weight", "shown"])
    with pytest.raises(UserError, match="--weight: expected one argument"):
        value_of("weight", text, alone)


def test_inspect_says_it_in_lines_and_as_a_page(nasrec: Nasrec, capsys: pytest.CaptureFixture[str]) -> None:
    nasrec("prepare clicks.csv --label click --separator 'genres=|'")
    assert main(["inspect", "data/clicks"]) == 0
    shown = capsys.readouterr().out
    for column in by_name(nasrec("inspect data/clicks")).values():
        (line,) = [line for line in shown.splitlines() if line.startswith(f"{column['column']} ")]
        assert column["role"] in line
        assert line.endswith(column["reason"])
    before = {path: path.stat().st_mtime_ns for path in Path("data/clicks").iterdir()}
    found = nasrec("inspect data/clicks --html")
    assert found["page"] == "clicks-report.html"
    assert "clicks-report.html" in found["stderr"]
    page = Path("clicks-report.html").read_text(encoding="utf-8")
    assert found["fingerprint"] in page
    assert "nasrec prepare clicks.csv" in page
    assert all(entry["sha256"] in page for entry in found["files"].values())
    assert nasrec("inspect data/clicks --html pages/mine.html")["page"] == "pages/mine.html"
    assert Path("pages/mine.html").exists()
    assert nasrec("inspect --html data/clicks")["page"] == "clicks-report.html"
    assert {path: path.stat().st_mtime_ns for path in Path("data/clicks").iterdir()} == before


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("inspect data/clicks --html data/clicks/page.html", ("within the prepared set", "--html FILE")),
        ("inspect data/clicks --html data", ("folder", "--html FILE")),
        ("inspect clicks.csv --html", ("architecture",)),
        ("inspect", ("DATA|RUN|MODEL|ARCH", "required")),
        ("inspect --html page.html", ("DATA|RUN|MODEL|ARCH", "required")),
    ],
)
def test_places_that_take_no_page(line: str, parts: tuple[str, ...], nasrec: Nasrec) -> None:
    nasrec("prepare clicks.csv --label click")
    found = nasrec(line)
    assert found["status"] == 2
    assert [part for part in parts if part not in found["error"]["message"]] == [], found["error"]
    assert not list(Path().rglob("*.html"))


def test_the_command_line_wins_over_the_schema_file_column_by_column(nasrec: Nasrec) -> None:
    Path("schema.yaml").write_text("label: click\nmin_count: {'*': 300, city: 2}\ntransform: log1p\n")
    line = "prepare clicks.csv --schema schema.yaml --categorical city,genres --out a"
    assert {one["column"]: one["min_count"] for one in nasrec(line)["columns"] if one["role"] == "categorical"} == {
        "city": 2,
        "genres": 300,
    }
    found = nasrec(f"{line.replace('--out a', '--out b')} --min-count genres=5 --transform age=quantile")
    columns = by_name(found)
    assert (columns["city"]["min_count"], columns["genres"]["min_count"]) == (2, 5)
    assert (columns["age"]["transform"], columns["price"]["transform"]) == ("quantile", "log1p")


def test_the_working_directory_is_no_output_place(nasrec: Nasrec) -> None:
    Path("here").mkdir()
    found = nasrec("prepare clicks.csv --label click --out .")
    assert found["status"] == 2
    assert "working directory" in found["error"]["message"]


@pytest.mark.parametrize(
    "options",
    [
        "{label: click, min_count: {town: 2}}",
        "{label: click, encoding: hash}",
        "{label: click, split: k_fold, fold: 9}",
        "{label: click, split: by_time}",
        "{label: click, max_length: 3}",
    ],
)
def test_a_config_is_told_what_prepare_would_refuse(nasrec: Nasrec, options: str) -> None:
    Path("run.yaml").write_text(f"data: {{source: table, inputs: [clicks.csv], options: {options}}}\n")
    assert nasrec("validate run.yaml")["status"] == 2
