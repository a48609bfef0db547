"""The example packages, copied, installed by pip and used as their READMEs say, with broken plug-ins beside them.

The long test does the same in a fresh environment beside the wheel.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nasrec_nni import authoring
from nasrec_nni.cli import main
from nasrec_nni.cli.examples import describe_all
from nasrec_nni.plugins import GROUPS, INTERFACE
from nasrec_nni.testing import OperatorConformance

sys.path.insert(0, str(Path(__file__).parent))
from strangers import BROKEN, broken

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
TEXT = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
PACKAGES = {"plugin-cross": None, "plugin-hill-climbing": None, "operator-package": "fold-3"}
# The search of plugin-cross, smaller.
SMALL = (
    *("data.options={rows: 2000}", "search.candidates=5", "supernet.recipe.epochs=1", "retrain.recipe.epochs=1"),
    *("supernet.recipe.batch=256", "retrain.recipe.batch=256", "search.head_rows=256"),
)
HILL = ("search.algorithm=hill-climbing", "search.options={first: 3, patience: 2}")


def copied(folder: Path) -> list[Path]:
    """All example packages under a folder; the template under a name of its own."""
    found = []
    for example, name in PACKAGES.items():
        out = folder / example
        words = ["cp", example, "--out", str(out), *(["--name", name] if name else [])]
        assert main(words) == 0
        found.append(out)
    return found


def of_docs(folder: Path) -> Path:
    """The package of docs/plugins.md: its code blocks that begin with a file's name."""
    place = folder / "docs"
    for name, block in re.findall(r"^```\w+\n# (\S+)\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(block)
    return place


def run(*words: str | Path, path: Path | None = None, bin_folder: Path = BIN, cwd: Path | None = None) -> str:
    """A command with a folder of packages beside those of the environment."""
    more = {} if path is None else {"PYTHONPATH": str(path)}
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")} | more
    command = [str(bin_folder / str(words[0])), *map(str, words[1:])]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sources of all three, and `site` with them installed beside the broken ones."""
    folder = tmp_path_factory.mktemp("packages")
    pip = ("pip", "install", "-q", "--no-index", "--no-build-isolation", "--no-deps", "--target", folder / "site")
    run(*pip, *copied(folder), of_docs(folder))
    broken(folder / "site")
    return folder


def test_their_own_tests_pass_at_once(place: Path) -> None:
    """All in one process, for speed; ONNX, which takes seconds, by the first one only."""
    packages = [place / name for name in (*PACKAGES, "docs")]
    words = ("-q", "-p", "no:cacheprovider", "--import-mode=importlib", "-k", "not onnx or TestCross")
    told = run("pytest", *words, *packages, path=place / "site", cwd=place)
    assert " passed" in told


def test_they_are_in_the_lists(place: Path) -> None:
    for group, wanted in (("operators", {"dcn-cross", "fold-3", "glu"}), ("search", {"hill-climbing"})):
        items = json.loads(run("nasrec", "ls", group, "--json", path=place / "site"))["items"]
        usable = {item["name"] for item in items if item["package"] != "nasrec-nni" and item["problem"] is None}
        assert usable == wanted


def test_a_search_with_both_and_its_export(place: Path) -> None:
    """Broken plug-ins lie beside them."""
    search(place, place / "site", "[fc, dcn-cross]", BIN, "--skip", "onnx")


def search(place: Path, site: Path | None, operators: str, bin_folder: Path, *more: str) -> Any:
    """Prepare, train, search, retrain, export with more words; returns the candidates."""
    out, config = place / "run", place / "plugin-cross" / "search.yaml"
    words = (*SMALL, *HILL, f"space.dense_operators={operators}")
    run("nasrec", "run", config, "--out", out, "--json", *words, path=site, bin_folder=bin_folder)
    lines = (out / "search" / "candidates.jsonl").read_text().splitlines()
    candidates = [json.loads(line) for line in lines]
    used = {block["dense_operator"] for one in candidates for block in one["architecture"]["blocks"]}
    assert "dcn-cross" in used
    exported = ("nasrec", "export", out, "--out", place / "model", "--json", *more)
    run(*exported, path=site, bin_folder=bin_folder)
    assert (place / "model" / "model.safetensors").is_file()
    return candidates


def test_the_description_of_a_plug_in_needs_no_torch(place: Path) -> None:
    code = """
import sys
sys.modules["torch"] = None
from nasrec_nni.plugins import registry
print(registry("operators").load("dcn-cross").side, registry("search").load("hill-climbing").__name__)
"""
    # elsewhere: in a checkout `python -c` sees its source without the packages that setup.py puts into it
    assert run("python", "-c", code, path=place / "site", cwd=place).split() == ["dense", "HillClimbing"]


def test_the_docs_tell_of_every_check_and_group(place: Path) -> None:
    checks = {name for name in dir(OperatorConformance) if name.startswith("test_")}
    assert {name for name in checks if f"`{name}`" not in TEXT} == set()
    assert {group for group in GROUPS if f"`nasrec_nni.{group}`" not in TEXT} == set()
    assert f"This release has interface {INTERFACE}." in TEXT
    code = "\n".join(path.read_text() for path in (place / "docs" / "nasrec_glu").rglob("*.py"))
    assert sum(1 for line in code.splitlines() if line.strip()) <= 20, "a plug-in in twenty lines"


def test_what_authors_import_exists() -> None:
    assert all(hasattr(authoring, name) for name in authoring.__all__)
    assert sorted(authoring._HOMES) == sorted(authoring.__all__)


# ---- copying -------------------------------------------------------------------------------------------------------


def test_every_example_package_is_listed_and_used_here() -> None:
    packages = {path.parent.name for path in (ROOT / "examples").glob("*/pyproject.toml")}
    assert packages == set(PACKAGES) <= {one["name"] for one in describe_all()}


def test_a_copy_is_whole(tmp_path: Path) -> None:
    (plain, *_) = copied(tmp_path)
    for path in (ROOT / "examples" / "plugin-cross").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert (plain / path.relative_to(ROOT / "examples" / "plugin-cross")).read_bytes() == path.read_bytes()


def test_the_template_takes_the_name_everywhere(tmp_path: Path) -> None:
    *_, package = copied(tmp_path)
    content = (package / "pyproject.toml").read_text().splitlines()
    assert {'name = "nasrec-fold-3"', 'fold-3 = "nasrec_fold_3:FOLD_3"', '1 = "nasrec_fold_3"'} <= set(content)
    assert "class Fold3(nn.Module)" in (package / "nasrec_fold_3" / "module.py").read_text()
    for path in package.rglob("*"):
        text = f"{path.relative_to(package)} {path.read_text() if path.is_file() else ''}".lower()
        assert not any(old in text for old in ("my-operator", "my_operator", "myoperator")), path


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("cp", "operator-package", "--name", "Mine!"), "no name for an operator, got 'Mine!'"),
        (("cp", "operator-package", "--name", "true"), "no name for an operator"),
        (("cp", "operator-package", "--name", "limits"), "no name for an operator"),
        (("cp", "operator-package", "--name", "fc"), "an operator of this name is installed, got 'fc'"),
        (("cp", "plugin-cross", "--name", "mine"), "only a new package takes a name"),
        (("cp", "quickstart", "--name", "mine"), "only a new package takes a name"),
        (("cp", "plugin-cros"), "Did you mean 'plugin-cross'?"),
    ],
)
def test_mistakes(
    words: tuple[str, ...],
    told: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert told in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_there_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["cp", "operator-package", "--name", "mine"]) == 0
    assert "pip install -e nasrec-mine" in capsys.readouterr().out
    (tmp_path / "nasrec-mine" / "notes.txt").write_text("mine")
    assert main(["cp", "operator-package", "--name", "mine"]) == 2
    assert "is there already" in capsys.readouterr().err
    assert (tmp_path / "nasrec-mine" / "notes.txt").read_text() == "mine"


# ---- a fresh environment -------------------------------------------------------------------------------------------


@pytest.mark.long
def test_beside_the_wheel_in_a_fresh_environment(tmp_path: Path) -> None:
    """The wheel, outside packages and broken ones: listed, tested, searched with, exported."""
    wheels, environment = tmp_path / "wheels", tmp_path / "environment"
    run("pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", wheels, ROOT)
    run("python", "-m", "venv", environment)
    bin_folder = environment / "bin"
    (wheel,) = wheels.glob("nasrec_nni-*.whl")
    run("pip", "install", "-q", "-c", ROOT / "constraints.txt", f"{wheel}[export]", "pytest", bin_folder=bin_folder)
    for example in ("plugin-cross", "plugin-hill-climbing"):
        run("nasrec", "cp", example, "--out", tmp_path / example, bin_folder=bin_folder)
        run("pip", "install", "-q", "--no-deps", tmp_path / example, bin_folder=bin_folder)
    (site,) = (environment / "lib").glob("python3*/site-packages")
    broken(site)
    items = json.loads(run("nasrec", "ls", "--json", bin_folder=bin_folder, cwd=tmp_path))["items"]
    assert {item["package"] for item in items if item["problem"]} == set(BROKEN)
    assert {item["name"] for item in items if not item["problem"]} == {"dcn-cross", "hill-climbing"}
    run("pytest", "-q", "-p", "no:cacheprovider", ".", bin_folder=bin_folder, cwd=tmp_path / "plugin-cross")
    search(tmp_path, None, "[dcn-cross]", bin_folder)
