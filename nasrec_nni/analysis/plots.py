"""Plots of a run as SVG text: cost against quality, and how the search went."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from statistics import median
from typing import Any

from nasrec_nni.analysis.leaderboard import Figure, Kind, Standing
from nasrec_nni.analysis.style import BLOCKS, INK, MUTED, PAPER, SETTINGS, new_figure, svg
from nasrec_nni.analysis.verdict import NAMES

SEARCHED, CANDIDATE = BLOCKS[1], BLOCKS[2]
KINDS: dict[Kind, tuple[str, str]] = {
    "searched": (SEARCHED, "D"),
    "random": (BLOCKS[3], "s"),
    "hand-made": (BLOCKS[0], "o"),
}
# Where a name is tried around its point: offset in points, horizontal, vertical alignment.
PLACES = (
    (7, 3, "left", "bottom"), (7, -3, "left", "top"), (-7, 3, "right", "bottom"), (-7, -3, "right", "top"),
    (8, 0, "left", "center"), (-8, 0, "right", "center"), (0, 12, "center", "bottom"), (0, -12, "center", "top"),
    (14, 18, "left", "bottom"), (14, -18, "left", "top"), (-14, 18, "right", "bottom"), (-14, -18, "right", "top"),
    (18, 34, "left", "bottom"), (18, -34, "left", "top"), (-18, 34, "right", "bottom"), (-18, -34, "right", "top"),
)  # fmt: skip


def pareto(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that no other beats in one figure without being worse in the other; both lower is better."""
    front: list[tuple[float, float]] = []
    for point in sorted(set(points)):
        if not front or point[1] < front[-1][1]:
            front.append(point)
    return front


def cost_plot(table: Sequence[Standing], candidates: Sequence[tuple[int, float]] = ()) -> str:
    """Log loss against live MACs.

    Args:
        table: trained models; test log loss if all have it, else validation.
        candidates: live MACs and supernet validation log loss of each searched architecture, in a panel of
            their own: supernet scores rank, they are not on the level of trained networks.
    """
    import matplotlib

    with matplotlib.rc_context(SETTINGS):
        figure = new_figure(7.6, 6.4 if candidates else 4.2)
        count = 2 if candidates else 1
        grid = figure.subplots(count, 1, sharex=True, squeeze=False, height_ratios=(3, 2)[:count])[:, 0]
        figure.subplots_adjust(left=0.11, right=0.97, top=0.93, bottom=0.09 if candidates else 0.13, hspace=0.2)
        if candidates:  # first: the panels share the x axis, and names are placed on final axes
            _candidates(grid[1], candidates)
        _models(figure, grid[0], table)
        grid[-1].set_xlabel("multiply-accumulates per example that reach the output (log scale)", color=INK)
        return svg(figure, "cost")


def far_off(losses: Sequence[float]) -> list[bool]:
    """Which losses would flatten the plot: those more than 3 times as far from the best as the median is."""
    best, middle = min(losses), median(losses)
    limit = best + 3 * (middle - best)
    return [len(losses) > 3 and middle > best and loss > limit for loss in losses]


def _models(figure: Any, axes: Any, table: Sequence[Standing]) -> None:
    opened = all(standing.test_log_loss for standing in table)
    split = "test" if opened else "validation"
    losses = [(s.test_log_loss if opened else None) or s.val_log_loss for s in table]
    axes.set_xscale("log")
    _dress(axes, f"{split} log loss", f"trained from scratch: {split} log loss, mean ± deviation over seeds")
    points = [(s.model, s.kind, float(max(s.live_macs, 1)), loss) for s, loss in zip(table, losses, strict=True)]
    away = far_off([loss.mean for loss in losses])
    shown = [point for point, out in zip(points, away, strict=True) if not out]
    for kind, (colour, marker) in KINDS.items():
        own = [(macs, loss) for _, own_kind, macs, loss in shown if own_kind == kind]
        if own:
            axes.errorbar(
                [macs for macs, _ in own], [loss.mean for _, loss in own],
                yerr=[loss.deviation or 0.0 for _, loss in own], fmt=marker, ms=6, color=colour, ecolor=colour,
                capsize=3, lw=1.4, zorder=4, label=NAMES[kind],
            )  # fmt: skip
    front = pareto([(macs, loss.mean) for _, _, macs, loss in shown])
    if len(front) > 1:
        xs, ys = zip(*front, strict=True)
        axes.plot(xs, ys, drawstyle="steps-post", color=MUTED, lw=1.1, ls=(0, (4, 2)), zorder=2, label="Pareto front")
    axes.margins(x=0.2, y=0.22)
    legend = axes.legend(loc="upper right", fontsize=8, frameon=True, facecolor=PAPER, edgecolor=MUTED, labelcolor=INK)
    outside = [
        f"{_short(name)} ({loss.mean:.4f} at {macs:,.0f} MACs)"
        for (name, _, macs, loss), out in zip(points, away, strict=True)
        if out
    ]
    if outside:
        axes.text(
            0.01, 0.02, "not shown, far above: " + ", ".join(outside), transform=axes.transAxes, fontsize=8,
            color=INK, parse_math=False,
        )  # fmt: skip
    _names(figure, axes, [(name, macs, loss) for name, _, macs, loss in shown], legend)


def _short(name: str) -> str:
    return name if len(name) <= 28 else f"{name[:27]}…"


def _names(figure: Any, axes: Any, shown: Sequence[tuple[str, float, Figure]], legend: Any) -> None:
    """Write each name where it covers no other name, point, bar or the legend."""
    from matplotlib.transforms import Bbox

    figure.draw_without_rendering()  # settles the limits
    renderer = figure.canvas.get_renderer()
    to_pixels = axes.transData.transform
    taken = [legend.get_window_extent(renderer), *(text.get_window_extent(renderer) for text in axes.texts)]
    for _, macs, loss in shown:
        spread = loss.deviation or 0.0
        low, high = to_pixels([(macs, loss.mean - spread), (macs, loss.mean + spread)])
        taken.append(Bbox([[low[0] - 5, low[1] - 5], [high[0] + 5, high[1] + 5]]))
    frame = axes.get_window_extent(renderer)
    for name, macs, loss in shown:
        boxes = []
        for place in PLACES:
            text = _annotate(axes, _short(name), (macs, loss.mean), place)
            box = text.get_window_extent(renderer)
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
            boxes.append((sum(box.overlaps(other) for other in taken) + 10 * (not inside), place, box))
            text.remove()
            if boxes[-1][0] == 0:
                break
        _, place, box = min(boxes, key=lambda tried: tried[0])  # crowded: the least covering place
        _annotate(axes, _short(name), (macs, loss.mean), place)
        taken.append(box)


def _annotate(axes: Any, name: str, point: tuple[float, float], place: tuple[int, int, str, str]) -> Any:
    x, y, horizontal, vertical = place
    line = {"arrowstyle": "-", "color": MUTED, "lw": 0.6, "shrinkA": 1, "shrinkB": 4} if abs(y) > 12 else None
    return axes.annotate(
        name, point, xytext=(x, y), textcoords="offset points", ha=horizontal, va=vertical, fontsize=8.5, color=INK,
        zorder=6, parse_math=False, arrowprops=line,
    )  # fmt: skip


def _candidates(axes: Any, candidates: Sequence[tuple[int, float]]) -> None:
    _dress(axes, "supernet score", "candidates of the search: validation log loss with supernet weights (own scale)")
    xs, ys = zip(*((max(macs, 1), loss) for macs, loss in candidates), strict=True)
    axes.plot(xs, ys, "o", ms=3.2, color=CANDIDATE, alpha=0.45, mew=0, zorder=3)
    axes.margins(y=0.1)


def progress_plot(scores: Sequence[float], ylabel: str = "supernet validation log loss") -> str:
    """The score of each candidate in the order of the search, and the best so far; lower is better."""
    import matplotlib

    with matplotlib.rc_context(SETTINGS):
        figure = new_figure(7.6, 3.2)
        figure.subplots_adjust(left=0.11, right=0.97, top=0.9, bottom=0.16)
        axes = figure.subplots()
        _dress(axes, ylabel, "search progress")
        numbers = range(1, len(scores) + 1)
        axes.plot(numbers, scores, "o", ms=3, color=CANDIDATE, alpha=0.4, mew=0, label="candidate")
        best = list(accumulate(scores, min))
        axes.plot(numbers, best, drawstyle="steps-post", color=SEARCHED, lw=1.8, label="best so far")
        axes.set_xlabel("candidate", color=INK)
        axes.legend(loc="upper right", fontsize=8, facecolor=PAPER, edgecolor=MUTED, labelcolor=INK)
        return svg(figure, "progress")


def _dress(axes: Any, ylabel: str, title: str) -> None:
    axes.set_facecolor(PAPER)
    axes.set_ylabel(ylabel, color=INK)
    axes.set_title(title, loc="left", fontsize=9.5, color=INK)
    axes.grid(True, color=MUTED, alpha=0.25, lw=0.6)
    axes.tick_params(colors=INK, labelsize=8.5)
    axes.ticklabel_format(axis="y", useOffset=False)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(MUTED)
