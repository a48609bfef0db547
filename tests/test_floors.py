"""The house has floors: a room imports lower ones only. By reading imports, and by blocking packages.

Every import counts, those inside functions too. Floors are those of the design; decimals order the rooms
that the design puts on one floor and that build on each other.
"""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import nasrec_nni

FLOORS = {
    "nasrec_nni.durations": 0.0,
    "nasrec_nni.errors": 0.0,
    "nasrec_nni.large_pages": 0.0,
    "nasrec_nni.threads": 0.0,
    "nasrec_nni.files": 0.1,
    "nasrec_nni.plugins": 0.1,
    "nasrec_nni.run_folder": 0.2,
    "nasrec_nni.config": 1.0,
    "nasrec_nni.config_file": 1.05,
    "nasrec_nni.metrics": 1.0,
    "nasrec_nni.architecture": 1.1,
    "nasrec_nni.profiling": 1.2,
    "nasrec_nni.operators": 2.0,
    "nasrec_nni.data": 2.0,
    "nasrec_nni.strategies.sampling": 2.0,
    "nasrec_nni.strategies.search": 2.0,
    "nasrec_nni.network": 3.0,
    "nasrec_nni.baselines": 3.0,
    "nasrec_nni.training": 4.0,
    "nasrec_nni.evaluation": 4.0,
    "nasrec_nni.analysis": 4.0,
    "nasrec_nni.export": 4.0,
    "nasrec_nni.authoring": 4.5,
    "nasrec_nni.search_spaces": 5.0,
    "nasrec_nni.strategies.one_shot": 6.0,
    "nasrec_nni.pipeline": 7.0,
    "nasrec_nni.testing": 7.0,
    "nasrec_nni.estimator": 8.0,
    "nasrec_nni.experiment": 8.0,
    "nasrec_nni.cli": 9.0,
}
NNI, LIGHTNING = ("nni",), ("pytorch_lightning", "lightning", "lightning_fabric")
HEAVY = ("torch", *NNI, *LIGHTNING)
# Rooms with the packages that they never load.
NEVER = {
    "nasrec_nni.durations": HEAVY,
    "nasrec_nni.errors": HEAVY,
    "nasrec_nni.large_pages": HEAVY,
    "nasrec_nni.threads": (*NNI, *LIGHTNING),
    "nasrec_nni.files": HEAVY,
    "nasrec_nni.plugins": HEAVY,
    "nasrec_nni.run_folder": HEAVY,
    "nasrec_nni.config": HEAVY,
    "nasrec_nni.config_file": HEAVY,
    "nasrec_nni.metrics": HEAVY,
    "nasrec_nni.architecture": HEAVY,
    "nasrec_nni.profiling": HEAVY,
    "nasrec_nni.strategies.sampling": HEAVY,
    "nasrec_nni.strategies.search": HEAVY,
    "nasrec_nni.operators": (*NNI, *LIGHTNING),
    "nasrec_nni.data": (*NNI, *LIGHTNING),
    "nasrec_nni.network": (*NNI, *LIGHTNING),
    "nasrec_nni.baselines": (*NNI, *LIGHTNING),
    "nasrec_nni.evaluation": (*NNI, *LIGHTNING),
    "nasrec_nni.analysis": (*NNI, *LIGHTNING),
    "nasrec_nni.export": (*NNI, *LIGHTNING),
    "nasrec_nni.training": NNI,
}


def modules(room: str) -> list[str]:
    """A room's module, or all modules of its package."""
    found = importlib.util.find_spec(room)
    assert found is not None, f"{room} does not exist"
    if not found.submodule_search_locations:
        return [room]
    inside = pkgutil.walk_packages(list(found.submodule_search_locations), f"{room}.")
    return [room, *(module.name for module in inside)]


def room_of(module: str) -> str | None:
    fitting = [room for room in FLOORS if module == room or module.startswith(f"{room}.")]
    return max(fitting, key=len, default=None)


def imports(module: str) -> Iterator[tuple[int, str]]:
    """Line and name of every import in a module, at any depth."""
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    for node in ast.walk(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: a relative import"
            yield node.lineno, str(node.module)
            # `from nasrec_nni import files` names a module too.
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def test_every_module_lives_in_a_room() -> None:
    inside = ("nasrec_nni.strategies", "nasrec_nni.examples")  # of the latter, files only
    top = [module.name for module in pkgutil.iter_modules(nasrec_nni.__path__, "nasrec_nni.")]
    strategies = importlib.import_module("nasrec_nni.strategies")
    top += [module.name for module in pkgutil.iter_modules(strategies.__path__, "nasrec_nni.strategies.")]
    homeless = [name for name in top if room_of(name) is None and name not in inside]
    assert homeless == []


@pytest.mark.parametrize("room", FLOORS)
def test_a_room_imports_lower_floors_only(room: str) -> None:
    wrong = []
    for module in modules(room):
        for line, name in imports(module):
            other = room_of(name)
            if other is not None and other != room and FLOORS[other] >= FLOORS[room]:
                wrong.append(f"{module}:{line} imports {name}")
    assert wrong == []


@pytest.mark.parametrize("room", NEVER)
def test_a_room_never_names_what_it_must_not_load(room: str) -> None:
    wrong = [
        f"{module}:{line} imports {name}"
        for module in modules(room)
        for line, name in imports(module)
        if name.split(".")[0] in NEVER[room]
    ]
    assert wrong == []


BLOCK = """
import importlib, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ImportError(f"{{name}} must not be loaded here")

sys.meta_path.insert(0, Blocked())
"""


def run_blocked(blocked: tuple[str, ...], code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process in which these packages cannot be imported."""
    text = BLOCK.format(blocked=blocked) + textwrap.dedent(code)
    return subprocess.run([sys.executable, "-I", "-c", text], capture_output=True, text=True, timeout=120, check=False)


def test_the_block_blocks() -> None:
    assert run_blocked(("torch",), "import torch").returncode == 1


@pytest.mark.parametrize("blocked", sorted(set(NEVER.values())), ids=lambda blocked: "-".join(blocked[:2]))
def test_rooms_load_without_the_packages_they_must_not_load(blocked: tuple[str, ...]) -> None:
    names = [module for room, never in NEVER.items() if never == blocked for module in modules(room)]
    done = run_blocked(blocked, f"for name in {names!r}: importlib.import_module(name)")
    assert done.returncode == 0, done.stderr


def test_the_command_line_starts_without_torch_and_nni() -> None:
    code = """
    from nasrec_nni.cli import main
    for words in (["--help"], ["profile", "--help"], ["ls", "operators"], ["run", "--help"], ["validate", "--help"]):
        status = main([*words, "--json"])
        assert status == 0, words
    """
    done = run_blocked(HEAVY, code)
    assert done.returncode == 0, done.stderr + done.stdout


def installed(folder: Path, *words: str) -> dict[str, Any]:
    """What the installed command says in JSON when it is called in this folder."""
    command = [str(Path(sys.executable).with_name("nasrec")), *words, "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("folder", [".", "examples", "elsewhere"])
def test_the_installed_command_finds_all_folders_from_anywhere(folder: str, tmp_path: Path) -> None:
    start = tmp_path if folder == "elsewhere" else Path(__file__).parents[1] / folder
    for group in ("search_spaces", "one_shot", "search", "examples"):
        items = installed(start, "ls", group)["items"]
        assert items
        assert all(item.get("problem") is None for item in items)


def test_the_installed_command_works_in_an_empty_folder(tmp_path: Path) -> None:
    published = Path(__file__).with_name("published") / "criteo_xlarge.json"
    assert installed(tmp_path, "profile", str(published), "--dense", "13", "--sparse", "26")["live_macs"] > 0
    assert "usage: nasrec quickstart" in str(installed(tmp_path, "quickstart", "--help"))
    installed(tmp_path, "cp", "quickstart")
    installed(tmp_path, "validate", "quickstart.yaml")
    assert [path.name for path in tmp_path.iterdir()] == ["quickstart.yaml"]
