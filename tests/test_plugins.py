"""Plug-ins of strangers: what is broken is told with its package where it is used, and harms nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nasrec_nni.cli import main
from nasrec_nni.errors import UserError
from nasrec_nni.plugins import GROUPS, INTERFACE, registry
from nasrec_nni.plugins.finding import installed

sys.path.insert(0, str(Path(__file__).parent))
from strangers import BROKEN, BROKEN_IN_ORDER, ODD, OPERATOR, RAISES, WORDS, broken, package

BIN = Path(sys.executable).parent


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path of this process, whose packages count as installed until the test ends."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)
    installed.cache_clear()
    registry.cache_clear()
    yield folder
    installed.cache_clear()
    registry.cache_clear()
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]


def problem(name: str, group: str = "operators") -> str:
    with pytest.raises(UserError) as caught:
        registry(group).load(name)
    return caught.value.message


# ---- the five kinds, as a user meets them --------------------------------------------------------------------------


def nasrec(folder: Path, *words: str) -> tuple[int, dict[str, Any]]:
    environment = os.environ | {"PYTHONPATH": str(folder)}
    done = subprocess.run(
        [str(BIN / "nasrec"), *words, "--json"], capture_output=True, text=True, env=environment, check=False
    )
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout)


def test_broken_plug_ins_harm_nothing_else(tmp_path: Path) -> None:
    broken(tmp_path / "site")
    status, found = nasrec(tmp_path / "site", "ls", "operators")
    assert status == 0
    told = {item["package"]: item["problem"] for item in found["items"] if item["package"] != "nasrec-nni"}
    assert set(told) == set(BROKEN)
    for name, (_, entry, _) in BROKEN.items():
        assert WORDS[entry] in told[name]
        assert name in told[name]
    assert all(item["problem"] is None for item in found["items"] if item["package"] == "nasrec-nni")
    config = Path(__file__).parents[1] / "examples" / "quickstart.yaml"
    assert nasrec(tmp_path / "site", "validate", str(config))[0] == 0
    names = ["space.dense_operators=[fc, raises, old]", "search.algorithm=random"]
    status, found = nasrec(tmp_path / "site", "validate", str(config), *names)
    assert status == 2
    assert WORDS["raises"] in found["error"]["message"]
    assert "package raises" in found["error"]["message"]


def test_ls_without_a_group_tells_of_strangers(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls"]) == 0
    assert "every plug-in is nasrec-nni's own, and works" in capsys.readouterr().out
    broken(path)
    installed.cache_clear()
    registry.cache_clear()
    assert main(["ls"]) == 0
    told = capsys.readouterr().out
    assert [line.split()[2] for line in told.splitlines() if line.endswith("cannot be used")] == list(BROKEN_IN_ORDER)
    assert f"old (old): operators 'old' of package old cannot be used: {WORDS['old']}" in told


# ---- each kind by itself -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WORDS)
def test_using_a_broken_one_is_a_clear_error(name: str, path: Path) -> None:
    broken(path)
    message = problem(name)
    assert WORDS[name] in message
    assert any(word in message for word in ("Mend or uninstall", "Uninstall one of them", "Install a release of old"))
    assert registry("operators").load("fc").name == "fc"


def test_nothing_of_a_package_runs_before_it_is_used(path: Path) -> None:
    (path / "ran.txt").touch()
    for name, interface in (("marker", "1"), ("older", "0")):
        text = f"open({str(path / 'ran.txt')!r}, 'a').write({name!r})\n" + OPERATOR.format(name=name, module=name)
        package(path, name, text, {name: f"{name}:MINE"}, interface)
    for group in GROUPS:
        assert registry(group).names()
    assert not (path / "ran.txt").read_text()
    problem("older")
    assert not (path / "ran.txt").read_text(), "what is written for another interface is not even imported"
    assert registry("operators").load("marker").side == "dense"
    assert (path / "ran.txt").read_text() == "marker"


def test_the_interface_must_be_stated(path: Path) -> None:
    package(path, "silent", OPERATOR.format(name="silent", module="silent"), {"silent": "silent:MINE"}, None)
    message = problem("silent")
    assert "does not say which plug-in interface" in message
    assert f'[project.entry-points."nasrec_nni.interface"]` with the line `{INTERFACE} = "silent"`' in message


def test_a_package_may_be_written_for_several_interfaces(path: Path) -> None:
    text = OPERATOR.format(name="wide", module="wide")
    entries = "[nasrec_nni.operators]\nwide = wide:MINE\n[nasrec_nni.interface]\n0 = wide\n1 = wide\n2 = wide\n"
    package(path, "wide", text, entries)
    assert registry("operators").load("wide").name == "wide"
    assert registry("operators").owner("wide") == "wide"


def test_nobody_takes_a_name_of_ours(path: Path) -> None:
    package(path, "thief", OPERATOR.format(name="fc", module="thief"), {"fc": "thief:MINE"})
    assert registry("operators").load("fc").target == "nasrec_nni.operators.fc:FC"
    assert registry("operators").owner("fc") == "nasrec-nni"
    rows = {plugin.package: plugin.problem for plugin in registry("operators").list() if plugin.name == "fc"}
    assert rows["nasrec-nni"] is None
    assert "nasrec-nni has a plug-in of this name" in str(rows["thief"])


def test_a_package_found_twice_is_no_clash(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = OPERATOR.format(name="twice", module="twice")
    package(path, "twice", text, {"twice": "twice:MINE"})
    (tmp_path / "other").mkdir()
    package(tmp_path / "other", "Twice", text, {"twice": "twice:MINE"})
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "other")])
    assert registry("operators").load("twice").name == "twice"


@pytest.mark.parametrize("entries", ["[nasrec_nni.operators]\nno equals sign\n", "no section [nasrec_nni.operators\n="])
def test_entry_points_that_cannot_be_read_stop_nobody(entries: str, path: Path) -> None:
    package(path, "garbled", "", entries)
    assert registry("operators").load("fc").name == "fc"
    rows = [plugin for plugin in registry("operators").list() if plugin.package == "garbled"]
    assert not rows or "cannot be read" in str(rows[0].problem)


def test_metadata_that_cannot_be_read_stop_nobody(path: Path) -> None:
    package(path, "nameless", RAISES, {"nameless": "nameless:MINE"})
    (path / "nameless-1.0.dist-info" / "METADATA").unlink()
    (path / "blob-1.0.dist-info").mkdir()
    (path / "blob-1.0.dist-info" / "entry_points.txt").write_bytes(b"\xff\xfe[nasrec_nni.operators]\n\x80")
    assert registry("operators").load("fc").name == "fc"
    assert "cannot be used" in problem("nameless")


@pytest.mark.parametrize(
    ("text", "target", "words"),
    [
        ("import sys; sys.exit(3)", "odd:MINE", "SystemExit: 3"),
        ("syntax error", "odd:MINE", "SyntaxError"),
        ("", "odd:MINE", "AttributeError: module 'odd' has no attribute 'MINE'"),
        ("", "not_there:MINE", "ModuleNotFoundError"),
        ("class MINE: pass", "odd:MINE", "it is the class MINE"),
        (OPERATOR.format(name="other", module="odd"), "odd:MINE", "name is 'other', and it is registered as 'odd'"),
        (ODD.replace('"dense", f', '"side", f'), "odd:MINE", "dense or sparse"),
        (ODD.replace('{"dense"}', '{"densely"}'), "odd:MINE", "reads is frozenset"),
        (ODD.replace("odd:Module", "Module"), "odd:MINE", "text as module:Class"),
        ("class M:\n  def __getattr__(self, key): raise OSError('x')\nMINE = M()", "odd:MINE", "OSError"),
    ],
)  # fmt: skip
def test_whatever_a_stranger_brings_is_told(text: str, target: str, words: str, path: Path) -> None:
    package(path, "odd", text, {"odd": target})
    message = problem("odd")
    assert words in message
    assert "package odd" in message


@pytest.mark.parametrize(
    ("group", "text", "words"),
    [
        ("mergers", "MINE = print", "mergers are each a Merger"),
        ("search_spaces", "class MINE: blocks = 0", "it lacks the attributes"),
        ("one_shot", "MINE = lambda: 0", "one_shot are each a Distribution"),
        ("search", "MINE = 5", "called with space, seed, options and budget"),
        ("search", "class MINE:\n  def __init__(self, space, seed): pass", "it lacks the attributes ask, tell"),
        ("search", "def MINE(space, seed): pass", "it cannot be called so: too many positional arguments"),
        ("sources", "class MINE: pass", "sources are each a subclass of LogSource"),
        ("sources", "from nasrec_nni.authoring import LogSource as MINE", "it does not define chunks, columns"),
        ("objectives", "MINE = dict(minimise=True)", "objectives are each an Objective"),
        ("baselines", "def MINE(dense_width): pass", "it cannot be called so"),
    ],
)
def test_every_group_is_checked(group: str, text: str, words: str, path: Path) -> None:
    package(path, "odd", text, {"odd": "odd:MINE"}, group=group)
    message = problem("odd", group)
    assert words in message
    assert "package odd" in message


@pytest.mark.parametrize("name", ["a.b", "ä", "with space"])
def test_names_that_torch_or_a_file_could_not_take(name: str, path: Path) -> None:
    package(path, "odd", OPERATOR.format(name=name, module="odd"), {name: "odd:MINE"})
    assert "letters, digits, - and _ only" in problem(name)


def test_a_target_that_cannot_be_imported_names_the_package(path: Path) -> None:
    package(path, "hollow", OPERATOR.format(name="hollow", module="hollow"), {"hollow": "hollow:MINE"})
    with pytest.raises(UserError, match=r"package hollow.*its target 'hollow:Module' cannot be imported"):
        registry("operators").implementation("hollow")


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("class Module:\n    def __init__(self, limits): raise ValueError('too wide')", "ValueError: too wide"),
        ("class Module:\n    def __init__(self): pass", "TypeError"),
        ("def Module(limits): return 7", "builds no torch module, got 'int'"),
    ],
)
def test_a_module_that_cannot_be_built_is_told_by_validate(module: str, words: str, path: Path) -> None:
    from nasrec_nni.config import Config
    from nasrec_nni.pipeline.check import check

    package(path, "weak", OPERATOR.format(name="weak", module="weak") + module, {"weak": "weak:MINE"})
    with pytest.raises(UserError) as caught:
        check(Config.model_validate({"space": {"dense_operators": ["fc", "weak"]}}))
    assert "space.dense_operators: operators 'weak' of package weak" in caught.value.message
    assert words in caught.value.message


def test_by_hand(path: Path) -> None:
    one = registry("operators").load("fc")
    with pytest.raises(UserError, match="already registered by nasrec-nni"):
        registry("operators").register("fc", one)
    with pytest.raises(UserError, match="cannot be registered: its attribute name is 'fc'"):
        registry("operators").register("notebook", one)
    with pytest.raises(ValueError, match="unknown plug-in group"):
        registry("nothing")
