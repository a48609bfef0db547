"""Fenced blocks of all pages, each with the comment above it that says how it is tested. No tests.

    <!-- test: run -->                   commands and Python run in a folder with a small run, a log and a frame
    <!-- test: parse -->                 words and options of the commands exist
    <!-- test: config -->                keys and values of the YAML are a config's
    <!-- test: test_NAME.py -->          that file of tests runs it
    <!-- test: none, because REASON -->  why not

The comment is invisible on the page. Blocks of data (text, JSON) need none.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Pages of the site that stand elsewhere, and the sources of generated ones, whose blocks begin lines there.
OTHERS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md", "results/README.md")
PAGES = [
    *(ROOT / name for name in OTHERS),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "docs" / "site").glob("*.py")),
]
DATA = ("text", "json")
MARK = re.compile(r"^<!-- test: (.+) -->$")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Args:
        page: path below the repository.
        line: of its opening fence, from 1.
        language: as written behind the fence, often empty.
        text: the lines between the fences.
        mark: what the comment above it says, None without one.
    """

    page: str
    line: int
    language: str
    text: str
    mark: str | None

    @property
    def id(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> list[list[str]]:
        """Words of its `nasrec …` lines, comments left out."""
        return [shlex.split(line, comments=True)[1:] for line in self.text.splitlines() if line.startswith("nasrec ")]


def blocks(path: Path) -> Iterator[Block]:
    """The blocks of one file, in its order."""
    lines = path.read_text(encoding="utf-8").splitlines()
    page = path.relative_to(ROOT).as_posix()
    mark, start = None, None
    for number, line in enumerate(lines):
        if start is None and line.startswith("```"):
            start = number
        elif start is not None and line.rstrip() == "```":
            text = "".join(f"{one}\n" for one in lines[start + 1 : number])
            yield Block(page, start + 1, lines[start].removeprefix("```").strip(), text, mark)
            mark, start = None, None
        elif start is None and line.strip():
            found = MARK.match(line.strip())
            mark = found[1] if found else None


BLOCKS = [block for path in PAGES for block in blocks(path)]
