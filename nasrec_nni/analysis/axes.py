"""Axes that all our plots share: two widths of a figure, plain tick labels, names that cover nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nasrec_nni.analysis.html import count
from nasrec_nni.analysis.style import INK, MUTED, PAPER, new_figure

WIDE, NARROW = 7.6, 4.1  # inches: for a page, for a phone
LEFT, RIGHT = 0.78, 0.12  # inches beside the axes
# Where a name is tried around its point, nearest first: offset in points, horizontal, vertical alignment.
_SIDES = (
    ("left", "bottom", 1, 0.5), ("left", "top", 1, -0.5), ("right", "bottom", -1, 0.5), ("right", "top", -1, -0.5),
    ("left", "center", 1, 0), ("right", "center", -1, 0), ("center", "bottom", 0, 1), ("center", "top", 0, -1),
    ("left", "bottom", 0.5, 1), ("left", "top", 0.5, -1), ("right", "bottom", -0.5, 1), ("right", "top", -0.5, -1),
)  # fmt: skip
PLACES = tuple(
    (round(x * far), round(y * far), horizontal, vertical)
    for far in (7, 12, 20, 32, 46, 62)
    for horizontal, vertical, x, y in _SIDES
)


def panels(
    width: float, heights: Sequence[float], *, left: float = LEFT, top: float = 0.36, bottom: float = 0.5
) -> Any:
    """A figure and its axes, one below the other.

    Args:
        width: of the figure, inches.
        heights: of the axes, inches.
        left: inches for what stands left of the axes.
        top: inches above each of the axes, for its title.
        bottom: inches below the last one.
    """
    total = sum(heights) + top * len(heights) + bottom
    figure, y = new_figure(width, total), total
    found: list[Any] = []
    for height in heights:
        y -= top + height
        place = (left / width, y / total, (width - left - RIGHT) / width, height / total)
        found.append(figure.add_axes(place, sharex=found[0] if found else None))
    return figure, found


def dress(axes: Any, ylabel: str, title: str) -> None:
    """Our look."""
    axes.set_facecolor(PAPER)
    axes.set_ylabel(ylabel, color=INK)
    axes.set_title(title, loc="left", fontsize=9.5, color=INK)
    axes.grid(True, color=MUTED, alpha=0.25, lw=0.6)
    axes.tick_params(colors=INK, labelsize=8.5)
    axes.ticklabel_format(axis="y", useOffset=False)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(MUTED)


def log_macs(axes: Any, label: bool) -> None:
    """A logarithmic x axis in `k` and `M`, with as many ticks as can be read."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    decades = high / max(low, 1e-9)
    axes.xaxis.set_major_locator(
        LogLocator(subs=(1.0,) if decades > 3000 else (1.0, 2.0, 5.0) if decades > 3 else range(1, 10))
    )
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(lambda value, _: count(round(value)))
    if label:
        wide = axes.figure.get_figwidth() >= WIDE
        words = (
            "multiply-accumulates per example that reach the output"
            if wide
            else "live multiply-accumulates per example"
        )
        axes.set_xlabel(f"{words} (log scale)", color=INK)


def legend(axes: Any, place: str = "upper right", **more: Any) -> Any:
    return axes.legend(loc=place, fontsize=8, frameon=True, facecolor=PAPER, edgecolor=MUTED, labelcolor=INK, **more)


def short(name: str, most: int = 28) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def write_names(
    figure: Any, axes: Any, points: Sequence[tuple[str, float, float, float]], covered: Sequence[Any]
) -> None:
    """Write each name where it covers no other name, point, bar or thing of `covered`.

    Args:
        figure: of the axes.
        axes: with all else drawn.
        points: name, x, y, and half the length of the bar through the point.
        covered: artists that have a place of their own, say the legend.
    """
    from matplotlib.transforms import Bbox

    figure.draw_without_rendering()  # settles the limits
    renderer = figure.canvas.get_renderer()
    to_pixels = axes.transData.transform
    taken = [one.get_window_extent(renderer) for one in (*covered, *axes.texts)]
    for _, x, y, spread in points:
        low, high = to_pixels([(x, y - spread), (x, y + spread)])
        taken.append(Bbox([[low[0] - 5, low[1] - 5], [high[0] + 5, high[1] + 5]]))
    frame = axes.get_window_extent(renderer)
    for name, x, y, _ in points:
        boxes = []
        for place in PLACES:
            text = _annotate(axes, short(name), (x, y), place)
            box = text.get_window_extent(renderer)
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
            boxes.append((sum(box.overlaps(other) for other in taken) + 10 * (not inside), place, box))
            text.remove()
            if boxes[-1][0] == 0:
                break
        _, place, box = min(boxes, key=lambda tried: tried[0])  # crowded: the least covering place
        _annotate(axes, short(name), (x, y), place)
        taken.append(box)


def _annotate(axes: Any, name: str, point: tuple[float, float], place: tuple[int, int, str, str]) -> Any:
    x, y, horizontal, vertical = place
    line = (
        {"arrowstyle": "-", "color": MUTED, "lw": 0.6, "shrinkA": 1, "shrinkB": 4} if max(abs(x), abs(y)) > 14 else None
    )
    return axes.annotate(
        name, point, xytext=(x, y), textcoords="offset points", ha=horizontal, va=vertical, fontsize=8.5, color=INK,
        zorder=6, parse_math=False, arrowprops=line,
        bbox={"boxstyle": "square,pad=0.05", "facecolor": PAPER, "edgecolor": "none"},  # a front may pass behind it
    )  # fmt: skip
