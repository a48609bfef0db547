"""Format, lint and types of the whole tree, by the tools' own exit status."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
FOLDERS = ("nasrec_nni", "search_spaces", "strategies", "examples", "benchmarks", "docs/site", "tests", "setup.py")


def tool(*words: str, folder: Path = ROOT) -> None:
    done = subprocess.run([str(BIN / words[0]), *words[1:]], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("words", [("format", "--check"), ("check",)], ids=["format", "lint"])
def test_ruff(words: tuple[str, ...]) -> None:
    tool("ruff", *words, *FOLDERS)


def test_mypy_on_the_installed_layout(tmp_path: Path) -> None:
    """The top-level folders install below the package, and mypy must see them there."""
    tool(Path(sys.executable).name, "setup.py", "-q", "build_py", "--build-lib", str(tmp_path))
    cache = os.environ.get("MYPY_CACHE_DIR", str(ROOT / ".mypy_cache"))
    settings = ("--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", cache)
    tool("mypy", *settings, "-p", "nasrec_nni", folder=tmp_path)
