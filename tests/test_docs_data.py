"""docs/data.md says only what exists: its commands run on small logs of each format, its options are there."""

from __future__ import annotations

import gzip
import json
import random
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from nasrec_nni.cli import main
from nasrec_nni.cli.parser import verb_parser
from nasrec_nni.cli.verbs.prepare import _options
from nasrec_nni.data.encoder import Encoder
from nasrec_nni.data.schema import EncodingName
from nasrec_nni.data.split_names import SplitName
from nasrec_nni.data.transforms import TransformName

TEXT = (Path(__file__).parents[1] / "docs" / "data.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
COMMANDS = [
    line.partition("  #")[0].strip() for _, block in BLOCKS for line in block.splitlines() if line.startswith("nasrec ")
]
ROWS = 300


def clicks(generator: random.Random) -> None:
    head = "click,age,price,session,user,city,genres,impressions,part,time\n"
    rows = []
    for row in range(ROWS):
        part = "train" if row < 200 else "valid" if row < 250 else "test"
        cells = [int(row % 4 == 0), generator.randint(18, 80), f"{generator.random() * 90:.2f}", f"s{row}"]
        cells += [f"u{generator.randint(1, 60)}", generator.choice(["Rome", "Oslo", "NA"])]
        cells += [generator.choice(["a|b", "c", ""]), generator.randint(1, 5), part]
        rows.append(",".join(map(str, [*cells, f"2026-01-{1 + row % 28:02d} 12:{row % 60:02d}:00"])) + "\n")
    Path("clicks.csv").write_text(head + "".join(rows))
    for name, start in (("train", 0), ("valid", 100), ("test", 200)):
        Path(f"{name}.csv").write_text(head + "".join(rows[start : start + 100]))
    (schema,) = [block for language, block in BLOCKS if language == "yaml"]
    Path("schema.yaml").write_text(schema)


def criteo(generator: random.Random) -> None:
    def line() -> str:
        numbers = [generator.choice(["", str(generator.randint(-2, 900))]) for _ in range(13)]
        return "\t".join([str(int(generator.random() < 0.3)), *numbers, *(_hex(generator) for _ in range(26))])

    Path("criteo").mkdir()
    Path("criteo/train.txt").write_text("".join(f"{line()}\n" for _ in range(ROWS)))
    for part, days in (("train", (0, 1)), ("val", (22,)), ("test", (23,))):
        folder = Path("terabyte") / part
        folder.mkdir(parents=True)
        for day in days:
            with gzip.open(folder / f"day_{day}.gz", "wt") as stream:
                stream.writelines(f"{line()}\n" for _ in range(80))


def _hex(generator: random.Random) -> str:
    return generator.choice(["", f"{generator.randrange(40):08x}"])


def avazu(generator: random.Random) -> None:
    names = "id click hour C1 banner_pos site_id site_domain site_category app_id app_domain app_category device_id"
    names += " device_ip device_model device_type device_conn_type C14 C15 C16 C17 C18 C19 C20 C21"
    Path("avazu").mkdir()
    with gzip.open("avazu/train.gz", "wt") as stream:
        stream.write(names.replace(" ", ",") + "\n")
        for row in range(ROWS):
            hashed = [f"{generator.randrange(30):08x}" for _ in range(9)]
            cells = [10**19 + row, int(row % 6 == 0), f"141021{row % 24:02d}", 1005, row % 2, *hashed, 1, 0]
            stream.write(",".join(map(str, [*cells, 15706, 320, 50, 1722, 0, 35, -1, 79])) + "\n")


def kdd12(generator: random.Random) -> None:
    Path("kdd12").mkdir()
    with Path("kdd12/training.txt").open("w") as stream:
        for row in range(ROWS):
            shown = generator.randint(1, 9)
            identifiers = [generator.randrange(50) for _ in range(3)]
            more = [generator.randrange(50) for _ in range(5)]
            stream.write("\t".join(map(str, [int(row % 7 == 0), shown, *identifiers, 3, 1, *more])) + "\n")
    Path("kdd12/userid_profile.txt").write_text("".join(f"{user}\t{user % 3}\t{user % 7}\n" for user in range(40)))


def movielens(generator: random.Random) -> None:
    ratings = [
        (generator.randint(1, 20), generator.randint(1, 30), generator.randint(1, 5), 10**9 + row)
        for row in range(ROWS)
    ]
    Path("ml-1m").mkdir()
    Path("ml-1m/ratings.dat").write_text("".join("::".join(map(str, one)) + "\n" for one in ratings))
    Path("ml-1m/users.dat").write_text("".join(f"{user}::F::25::7::55117\n" for user in range(1, 21)))
    Path("ml-1m/movies.dat").write_text("".join(f"{item}::Title (1999)::Drama|War\n" for item in range(1, 31)))
    Path("ml-100k").mkdir()
    Path("ml-100k/u.data").write_text("".join("\t".join(map(str, one)) + "\n" for one in ratings))
    Path("ml-100k/u.user").write_text("".join(f"{user}|24|M|writer|85711\n" for user in range(1, 21)))
    flags = "|".join("1" if flag in (3, 8) else "0" for flag in range(19))
    Path("ml-100k/u.item").write_text("".join(f"{item}|T (1995)|01-Jan-1995||url|{flags}\n" for item in range(1, 31)))


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small made-up log of every format that the page names."""
    folder = tmp_path_factory.mktemp("logs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make: Callable[[random.Random], None]
        for make in (clicks, criteo, avazu, kdd12, movielens):
            make(random.Random(0))
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_runs(
    command: str, logs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(logs)
    _, verb, *words = shlex.split(command)
    if verb == "inspect" and not Path("data/clicks").exists():
        assert main(["prepare", "clicks.csv", "--label", "click"]) == 0
    again = ["--overwrite"] if verb == "prepare" else []
    status = main([verb, *words, *again, "--json"])
    out, err = capsys.readouterr()
    assert status == 0, out + err
    if verb == "prepare":
        found = json.loads(out)
        assert found["rows"] > 200
        assert "--out" not in words or found["folder"] == words[words.index("--out") + 1]
        assert all(split["rows"] for split in found["splits"].values())


def test_the_python_of_the_page_runs(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pandas

    monkeypatch.chdir(logs)
    assert main(["prepare", "clicks.csv", "--label", "click", "--overwrite"]) == 0
    (code,) = [block for language, block in BLOCKS if language == "python"]
    names = {"frame": pandas.read_csv("clicks.csv", dtype=str, keep_default_na=False).head(7)}
    exec(code, names)  # the code under test
    schema = Encoder.load("data/clicks").schema
    assert names["rows"].dense.shape == (7, len(schema.dense))
    assert names["rows"].sparse.shape == (7, sum(schema.lengths))


def test_every_option_named_exists_and_every_option_is_named() -> None:
    known = {
        option
        for verb in ("prepare", "inspect")
        for action in verb_parser(verb)._actions
        for option in action.option_strings
    }
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", TEXT))
    assert named - known == set()
    ours = {f"--{name.replace('_', '-')}" for name, owners in _options().items() if set(owners) != {"synthetic"}}
    assert ours - named == set()


@pytest.mark.parametrize("kind", [TransformName, EncodingName, SplitName], ids=["transform", "encoding", "split"])
def test_every_name_stands_in_a_table(kind: object) -> None:
    rows = set(re.findall(r"^\| `(\w+)`", TEXT, re.MULTILINE))
    assert set(get_args(kind)) <= rows


def test_no_place_on_one_machine_and_no_mirror() -> None:
    assert not re.search(r"https?://|/home/|/root/|/tmp/", TEXT)
