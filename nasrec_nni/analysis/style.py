"""Colours and files shared by drawings and plots. Matplotlib without pyplot: no global state, no window."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from nasrec_nni.errors import UserError
from nasrec_nni.files import atomic_path

INK, MUTED, PAPER = "#1c2024", "#8b9097", "#fefefe"
# One colour per block, told apart on light and dark paper; source 0 first.
BLOCKS = (
    "#3b82c4", "#d9642c", "#2f9e58", "#9b59d0", "#b98316", "#1c9aa8", "#d64a8a", "#7a9a2a", "#9a7358", "#5868c9",
)  # fmt: skip
SETTINGS = {"svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9, "path.simplify": False}


def block_colour(number: int) -> str:
    return BLOCKS[number % len(BLOCKS)]


def new_figure(width: float, height: float) -> Any:
    """An empty figure of that many inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor=PAPER)
    FigureCanvasAgg(figure)  # measures text
    return figure


def svg(figure: Any, salt: str) -> str:
    """The figure as SVG text, the same bytes for the same figure; `salt` keeps ids of several figures apart."""
    import matplotlib

    text = io.StringIO()
    with matplotlib.rc_context({**SETTINGS, "svg.hashsalt": salt}):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None}, facecolor=PAPER)
    return text.getvalue()


def save(figure: Any, path: Path, salt: str) -> None:
    """Write SVG or PNG, by the suffix.

    Raises:
        UserError: another suffix.
    """
    import matplotlib

    suffix = path.suffix.lower()
    if suffix not in (".svg", ".png"):
        raise UserError("pictures are written as SVG or PNG", value=path.name, allowed=".svg, .png")
    with atomic_path(path) as temporary:
        if suffix == ".svg":
            temporary.write_text(svg(figure, salt), encoding="utf-8")
        else:
            with matplotlib.rc_context(SETTINGS):
                figure.savefig(temporary, format="png", dpi=160, facecolor=PAPER)
