"""Rooms and floors of the code, from the table by which the tests judge every import."""

from __future__ import annotations

import ast
import html
from pathlib import Path

FOLDERS = {"nasrec_nni.search_spaces": "search_spaces", "nasrec_nni.strategies": "strategies"}
TABLE = "tests/test_floors.py"
STYLE = """<style>
svg.drawing { --ink: #1f2d33; --soft: #52656d; --line: #90a4ae; --fill: #eceff1; --mark: #00796b; --tint: #d3ebe7; }
@media (prefers-color-scheme: dark) { svg.drawing { --ink: #e6edf0; --soft: #a9bac2; --line: #607d8b; --fill: #2b3740;
 --mark: #4db6ac; --tint: #1f4a47; } }
[data-md-color-scheme="default"] svg.drawing { --ink: #1f2d33; --soft: #52656d; --line: #90a4ae; --fill: #eceff1;
 --mark: #00796b; --tint: #d3ebe7; }
[data-md-color-scheme="slate"] svg.drawing { --ink: #e6edf0; --soft: #a9bac2; --line: #607d8b; --fill: #2b3740;
 --mark: #4db6ac; --tint: #1f4a47; }
svg.drawing text { font-family: system-ui, sans-serif; fill: var(--ink); }
</style>"""
NAMES = {
    0: "ground: any room may use it",
    1: "architectures and configs as values: neither torch nor NNI",
    2: "operators, data, sampling, search algorithms",
    3: "networks",
    4: "training, scoring, pages, exported models",
    5: "the spaces as NNI's model spaces",
    6: "one-shot strategies of NNI",
    7: "stages of a run; the plug-in author's tests",
    8: "NNI experiments; scikit-learn",
    9: "the command line",
}


def floors(root: Path) -> dict[str, float]:
    """Room to floor, as the tests have it."""
    for node in ast.parse((root / TABLE).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "FLOORS":
            found: dict[str, float] = ast.literal_eval(node.value)
            return found
    raise LookupError(f"{TABLE} has no FLOORS")


def by_floor(root: Path) -> dict[int, list[str]]:
    """Whole floors from the top, rooms in the order of the table."""
    found: dict[int, list[str]] = {}
    for room, floor in sorted(floors(root).items(), key=lambda one: -int(one[1])):
        found.setdefault(int(floor), []).append(room)
    return found


def source(root: Path, room: str) -> Path:
    """The file that holds a room's docstring."""
    path = root / room.replace(".", "/")
    for name, folder in FOLDERS.items():
        if room == name or room.startswith(f"{name}."):
            path = root / folder / room.removeprefix(name).strip(".").replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def table(root: Path) -> str:
    """Every room with the first sentence of its docstring, top floor first."""
    lines = ["| floor | room | holds |", "|---|---|---|"]
    for floor, rooms in by_floor(root).items():
        for room in rooms:
            words = ast.get_docstring(ast.parse(source(root, room).read_text(encoding="utf-8"))) or ""
            first = " ".join(words.split("\n\n")[0].split()).replace("|", "\\|")
            lines.append(f"| {floor} | `{room.removeprefix('nasrec_nni.')}` | {first} |")
    return "\n".join(lines)


def drawing(root: Path) -> str:
    """The house as an SVG: a band a floor, a box a room."""
    width, y, parts = 500, 8, []
    for floor, rooms in by_floor(root).items():
        boxes, x, line = [], 16, 0
        for room in rooms:
            name = room.removeprefix("nasrec_nni.")
            wide = 14 + round(7.1 * len(name))
            if x + wide > width - 12:
                x, line = 16, line + 1
            boxes.append((x, line, wide, name))
            x += wide + 8
        tall = 30 + 30 * (line + 1)
        parts.append(f'<rect x="4" y="{y}" width="{width - 8}" height="{tall}" rx="6" fill="var(--fill)"/>')
        words = html.escape(f"{floor}  {NAMES[floor]}")
        parts.append(f'<text x="16" y="{y + 19}" font-size="12.5" style="fill: var(--soft)">{words}</text>')
        for left, row, wide, name in boxes:
            top, colours = y + 28 + 30 * row, 'fill="var(--tint)" stroke="var(--mark)"'
            parts.append(
                f'<rect x="{left}" y="{top}" width="{wide}" height="24" rx="4" {colours}/>'
                f'<text x="{left + wide / 2}" y="{top + 16.5}" font-size="12.5" text-anchor="middle">{name}</text>'
            )
        y += tall + 6
    head = f'<svg class="drawing" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y + 2}">'
    return f"{head}{STYLE}{''.join(parts)}</svg>"
