"""An architecture as a picture that a person can read.

Blocks run from top to bottom, dense halves left, sparse halves right. The output of a block runs down a line of
its own, in the block's colour; a dot on the line is where a half reads it. What has no path to the output is grey.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nasrec_nni.analysis.diagram import Half, Read, Side, diagram
from nasrec_nni.analysis.style import INK, MUTED, PAPER, SETTINGS, block_colour, new_figure, save, svg
from nasrec_nni.architecture.value import Architecture

NAMES = {
    "fc": "fully connected",
    "dp": "dot products",
    "sg": "sigmoid gating",
    "sum": "sum",
    "efc": "row mixing",
    "attn": "attention",
    "cross": "cross layer",
    "fap": "field-aware product",
    "gate": "gated fusion",
    "bilinear": "bilinear interaction",
}
SLOT, TRACK, BOX, GAP, MARGIN = 0.17, 0.23, 1.95, 0.36, 0.3  # inches
TOP, BOTTOM = 0.72, 1.3


def draw(architecture: Architecture, path: Path, inputs: tuple[int, int] | None = None) -> None:
    """Write the picture as SVG or PNG, by the suffix of `path`.

    Args:
        architecture: canonical or not; only one that is not has dead parts to show.
        path: file to write.
        inputs: dense columns and sparse fields, written into the input boxes if given.

    Raises:
        UserError: a suffix other than .svg and .png.
    """
    save(_Drawing(architecture, inputs).figure, path, "architecture")


def draw_svg(architecture: Architecture, inputs: tuple[int, int] | None = None) -> str:
    """The same as SVG text. Ids: `block3-dense-live`, `block3-dense-dead`, `read-sparse-2-block3-dense-live`, …"""
    return svg(_Drawing(architecture, inputs).figure, "architecture")


def _state(live: bool) -> str:
    return "live" if live else "dead"


class _Drawing:
    """Geometry in inches, y downwards."""

    def __init__(self, architecture: Architecture, inputs: tuple[int, int] | None) -> None:
        import matplotlib

        self.rows = diagram(architecture, inputs)
        self.tracks: dict[tuple[Side, int], float] = {}
        sources: dict[Side, list[int]] = {"dense": [], "sparse": []}
        for read in sorted({(read.side, read.source) for row in self.rows for half in row for read in half.reads}):
            sources[read[0]].append(read[1])
        self.left: dict[Side, float] = {}
        x = MARGIN
        for side, before in (("dense", 0.1), ("sparse", 0.45)):
            key: Side = "dense" if side == "dense" else "sparse"
            x += before
            for source in sources[key]:
                self.tracks[key, source] = x
                x += TRACK
            x += 0.22
            self.left[key] = x
            x += BOX
        self.tops, y = [], TOP
        for row in self.rows:
            self.tops.append(y)
            y += self._slots(row) * SLOT + GAP
        self.end, self.width, self.height = y, x + MARGIN, y + BOTTOM
        self.ends: dict[tuple[Side, int, bool], float] = {}
        self.starts: dict[tuple[Side, int], float] = {}
        with matplotlib.rc_context(SETTINGS):
            self.figure: Any = new_figure(self.width, self.height)
            self.axes = self.figure.add_axes((0, 0, 1, 1))
            self.axes.set_axis_off()
            self.axes.set_xlim(0, self.width)
            self.axes.set_ylim(self.height, 0)
            self._title(architecture)
            for index, (dense, sparse) in enumerate(self.rows):
                self._half(index, dense)
                self._half(index, sparse)
                self._mergers(index, dense, sparse)
            self._lines()
            self._head()
            self._legend()

    @staticmethod
    def _slots(row: tuple[Half, Half]) -> int:
        dense, sparse = row
        own = sum(read.side == "dense" for read in dense.reads)
        if not dense.block:
            return 4
        least = 5 if dense.merger or sparse.merger else 4
        return max(least, own + 2, len(dense.reads) - own + 2, len(sparse.reads) + 3)

    def _span(self, index: int) -> tuple[float, float]:
        top = self.tops[index]
        return top, top + self._slots(self.rows[index]) * SLOT

    # ---- primitives ----

    def _text(self, x: float, y: float, text: str, size: float = 8, colour: str = INK, **more: Any) -> None:
        style = {"ha": "center", "va": "center", "zorder": 6} | more
        self.axes.text(x, y, text, fontsize=size, color=colour, parse_math=False, **style)

    def _line(self, points: list[tuple[float, float]], colour: str, live: bool, gid: str, width: float = 1.5) -> None:
        """A line with a paper-coloured rim, so that a crossing is not taken for a junction."""
        from matplotlib.patheffects import Normal, Stroke

        xs, ys = zip(*points, strict=True)
        (line,) = self.axes.plot(
            xs, ys, color=colour if live else MUTED, lw=width if live else 1.0, ls="-" if live else (0, (3, 2)),
            zorder=3 if live else 2, solid_capstyle="butt", solid_joinstyle="round", gid=gid,
        )  # fmt: skip
        if live:
            line.set_path_effects([Stroke(linewidth=width + 2.2, foreground=PAPER), Normal()])

    def _arrow(self, x: float, y: float, colour: str, direction: float) -> None:
        """A tip at (x, y) that points right (+1) or left (-1)."""
        back = x - 0.085 * direction
        self.axes.fill([x, back, back], [y, y - 0.042, y + 0.042], color=colour, lw=0, zorder=5)

    def _box(self, x: float, y: float, width: float, height: float, colour: str, live: bool, gid: str) -> None:
        from matplotlib.patches import FancyBboxPatch

        self.axes.add_patch(
            FancyBboxPatch(
                (x, y), width, height, boxstyle="round,pad=0,rounding_size=0.06", facecolor=PAPER,
                edgecolor=colour if live else MUTED, lw=1.7 if live else 1.0, ls="-" if live else (0, (3, 2)),
                zorder=4, gid=gid,
            )
        )  # fmt: skip

    # ---- parts ----

    def _half(self, index: int, half: Half) -> None:
        top, bottom = self._span(index)
        x, colour = self.left[half.side], block_colour(half.block)
        live = half.live
        self._box(x, top, BOX, bottom - top, colour, live, f"block{half.block}-{half.side}-{_state(live)}")
        ink = INK if live else MUTED
        unit = "columns" if half.side == "dense" else ("rows" if half.block else "fields")
        if half.block:
            word = NAMES.get(half.operator or "", "")
            name = half.operator.upper() if half.operator else "left out"
            lines = [(name, min(12.0, 150 / max(1, len(name))), "bold")] + (
                [(word, 7.5, "normal")] if word and word != half.operator else []
            )
        else:
            lines = [("dense columns" if half.side == "dense" else "sparse fields", 9.0, "bold")]
            lines += [("as prepared" if half.side == "dense" else "one embedding each", 7.5, "normal")]
        if half.size is not None:
            lines.append((f"{half.size} {unit.removesuffix('s') if half.size == 1 else unit}", 8.5, "normal"))
        if not live:
            lines.append(("dead: not computed", 7.0, "normal"))
        strip = SLOT * 1.15 if half.merger else 0.0
        middle = (top + bottom + (strip if half.side == "sparse" else -strip)) / 2
        y = middle - 0.165 * (len(lines) - 1) / 2
        for text, size, weight in lines:
            self._text(x + BOX / 2, y, text, size, ink, fontweight=weight)
            y += 0.165
        title = f"block {half.block}" if half.block else "input (0)"
        self._text(x + 0.02, top - 0.085, title, 8.5, colour if live else MUTED, fontweight="bold", ha="left")
        self._reads(half, top)

    def _reads(self, half: Half, top: float) -> None:
        x, slots = self.left[half.side], {"dense": 0, "sparse": 1}
        for read in half.reads:
            slot, slots[read.side] = slots[read.side], slots[read.side] + 1
            y = top + (slot + (0.5 if half.side == "dense" else 1.0)) * SLOT
            if half.side == "dense" and read.side == "sparse":
                self._read(read, half, x + BOX, y, -1.0)
            else:
                self._read(read, half, x, y, 1.0)

    def _read(self, read: Read, half: Half, edge: float, y: float, direction: float) -> None:
        track, live = self.tracks[read.side, read.source], half.live
        colour = block_colour(read.source) if live else MUTED
        gid = f"read-{read.side}-{read.source}-block{half.block}-{half.side}-{_state(live)}"
        self._line([(track, y), (edge - 0.05 * direction, y)], colour, live, gid)
        self._arrow(edge, y, colour, direction)
        self.axes.plot([track], [y], "o", ms=4.6, color=colour, zorder=5 if live else 4, mec=PAPER, mew=0.5)
        self._text(edge + 0.05 * direction, y, read.label, 6.5, colour, ha="left" if direction > 0 else "right")
        for state in {live, False}:
            key = (read.side, read.source, state)
            self.ends[key] = max(self.ends.get(key, 0.0), y)

    def _mergers(self, index: int, dense: Half, sparse: Half) -> None:
        top, bottom = self._span(index)
        right, left, height = self.left["dense"] + BOX, self.left["sparse"], SLOT * 1.15
        colour = block_colour(dense.block)
        for half, x, y, label in (
            (dense, self.left["dense"], bottom - height / 2, "+ FM of the sparse half"),
            (sparse, left, top + height / 2, "+ rows from the dense half"),
        ):
            if not half.merger:
                continue
            live = half.merger_live
            shade, gid = (colour if live else MUTED), f"merger-block{half.block}-{half.side}-{_state(live)}"
            self._box(x, y - height / 2, BOX, height, colour, live, f"{gid}-box")
            self._text(x + BOX / 2, y, label, 7, INK if live else MUTED)
            start, end, direction = (left, right, -1.0) if half is dense else (right, left, 1.0)
            self._line([(start, y), (end - 0.05 * direction, y)], colour, live, gid, 2.6)
            self._arrow(end, y, shade, direction)

    def _lines(self) -> None:
        """The output of each source, down to its last reader."""
        for (side, source), x in self.tracks.items():
            top, bottom = self._span(source)
            half = self.rows[source][0 if side == "dense" else 1]
            y = bottom - (0.5 if side == "dense" else 1.55 if source else 0.5) * SLOT
            live_end = self.ends.get((side, source, True))
            colour, gid = block_colour(source), f"output-{source}-{side}"
            edge = self.left[side]
            if live_end is not None:
                self._line([(edge, y), (x, y), (x, live_end)], colour, True, f"{gid}-live")
            last = self.ends[side, source, False]
            if live_end is None or last > live_end:
                start = [(edge, y), (x, y)] if live_end is None else [(x, live_end)]
                self._line([*start, (x, last)], MUTED, False, f"{gid}-dead")
            assert half.block == source
            assert top < y

    def _head(self) -> None:
        _, bottom = self._span(len(self.rows) - 1)
        y, colour = self.end, block_colour(len(self.rows) - 1)
        left, right = self.left["dense"], self.left["sparse"] + BOX
        for side, x in (("dense", left + BOX / 2), ("sparse", right - BOX / 2)):
            self._line([(x, bottom), (x, y - 0.06)], colour, True, f"head-{side}", 2.0)
            self.axes.fill([x - 0.05, x + 0.05, x], [y - 0.1, y - 0.1, y], color=colour, lw=0, zorder=5)
        self._box(left, y, right - left, 0.36, INK, True, "head")
        self._text((left + right) / 2, y + 0.18, "head: one linear layer over both outputs → click logit", 9)

    def _title(self, architecture: Architecture) -> None:
        live = sum(half.live for row in self.rows[1:] for half in row)
        every = 2 * len(architecture.blocks)
        self._text(MARGIN, 0.22, f"{architecture.space} · {architecture.id}", 11, fontweight="bold", ha="left")
        words = f"{len(architecture.blocks)} blocks, {live} of {every} operators reach the output"
        self._text(MARGIN, 0.42, words, 8.5, MUTED, ha="left")

    def _legend(self) -> None:
        x, y = MARGIN, self.end + 0.62
        entries = (
            ("output of a block, in the block's colour; a dot is where it is read (numbers: blocks read)", True, 1.5),
            ("merger: one half's operator feeds the other half's output", True, 2.6),
            ("dead: no path to the head, so neither computed nor trained", False, 1.0),
        )
        for number, (words, live, width) in enumerate(entries):
            self._line([(x, y), (x + 0.4, y)], block_colour(1), live, f"legend-{number}", width)
            if live and width < 2:
                self.axes.plot([x + 0.2], [y], "o", ms=4.6, color=block_colour(1), zorder=5, mec=PAPER, mew=0.5)
            self._text(x + 0.5, y, words, 8, INK if live else MUTED, ha="left")
            y += 0.21
