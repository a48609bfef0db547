"""Cost against quality as SVG text: models trained from scratch above, every candidate of the search below."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from nasrec_nni.analysis.axes import WIDE, dress, legend, log_macs, panels, short, write_names
from nasrec_nni.analysis.candidates import Candidate
from nasrec_nni.analysis.leaderboard import Kind, Standing
from nasrec_nni.analysis.style import BLOCKS, INK, MUTED, SETTINGS, svg
from nasrec_nni.analysis.verdict import NAMES

SEARCHED, CANDIDATE = BLOCKS[1], BLOCKS[2]
KINDS: dict[Kind, tuple[str, str]] = {
    "searched": (SEARCHED, "D"),
    "random": (BLOCKS[3], "s"),
    "hand-made": (BLOCKS[0], "o"),
}
FRONT = {"drawstyle": "steps-post", "color": MUTED, "lw": 1.1, "ls": (0, (4, 2)), "zorder": 2, "label": "Pareto front"}


def pareto(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that no other beats in one figure without being worse in the other; both lower is better."""
    front: list[tuple[float, float]] = []
    for point in sorted(set(points)):
        if not front or point[1] < front[-1][1]:
            front.append(point)
    return front


def cost_plot(table: Sequence[Standing], candidates: Sequence[Candidate] = (), width: float = WIDE) -> str:
    """Log loss against live MACs.

    Args:
        table: trained models; test log loss if all have it, else validation.
        candidates: of the search, with scores of supernet weights in a panel of their own: those rank, they are not on
            the level of trained networks. Those that were trained too are marked in it.
        width: of the figure, inches.
    """
    import matplotlib

    known = [one for one in candidates if one.live_macs is not None and one.log_loss is not None]
    with matplotlib.rc_context(SETTINGS):
        figure, axes = panels(width, (3.2 if width >= WIDE else 3.9, *((2.2,) if known else ())))
        if known:  # first: the panels share the x axis, and names are placed on final axes
            _candidates(axes[1], known, table)
        _models(figure, axes[0], table, width)
        return svg(figure, "cost")


def far_off(losses: Sequence[float]) -> list[bool]:
    """Which losses would flatten the plot: those more than 3 times as far from the best as the median is."""
    best, middle = min(losses), median(losses)
    limit = best + 3 * (middle - best)
    return [len(losses) > 3 and middle > best and loss > limit for loss in losses]


def _models(figure: Any, axes: Any, table: Sequence[Standing], width: float) -> None:
    opened = all(standing.test_log_loss for standing in table)
    split = "test" if opened else "validation"
    losses = [(s.test_log_loss if opened else None) or s.val_log_loss for s in table]
    title = f"trained from scratch: {split} log loss, mean ± deviation over seeds"
    dress(axes, f"{split} log loss", title if width >= WIDE else f"trained from scratch: {split} log loss")
    points = [(s.model, s.kind, float(max(s.live_macs, 1)), loss) for s, loss in zip(table, losses, strict=True)]
    away = far_off([loss.mean for loss in losses])
    inside = [point for point, out in zip(points, away, strict=True) if not out]
    for kind, (colour, marker) in KINDS.items():
        own = [(macs, loss) for _, own_kind, macs, loss in inside if own_kind == kind]
        if own:
            axes.errorbar(
                [macs for macs, _ in own], [loss.mean for _, loss in own],
                yerr=[loss.deviation or 0.0 for _, loss in own], fmt=marker, ms=6, color=colour, ecolor=colour,
                capsize=3, lw=1.4, zorder=4, label=NAMES[kind],
            )  # fmt: skip
    front = pareto([(macs, loss.mean) for _, _, macs, loss in inside])
    if len(front) > 1:
        axes.plot(*zip(*front, strict=True), **FRONT)
    axes.set_xscale("log")
    axes.margins(x=0.2 if width >= WIDE else 0.4, y=0.22)
    axes.autoscale_view()
    alone = len(axes.figure.axes) == 1
    for one in axes.figure.axes:
        log_macs(one, label=one is axes.figure.axes[-1])
    axes.tick_params(labelbottom=alone)
    if not alone:
        axes.figure.axes[-1].tick_params(labelbottom=True)
    names = legend(axes)
    outside = [
        f"{short(name)} ({loss.mean:.4f} at {macs:,.0f} MACs)"
        for (name, _, macs, loss), out in zip(points, away, strict=True)
        if out
    ]
    if outside:
        told = ["not shown, far above: " + ", ".join(outside)]
        if width < WIDE:
            told = ["not shown, far above:", *outside]
        axes.text(
            0.01, 0.02, "\n".join(told), transform=axes.transAxes, fontsize=8, color=INK, parse_math=False, va="bottom"
        )
    write_names(
        figure, axes, [(name, macs, loss.mean, loss.deviation or 0.0) for name, _, macs, loss in inside], [names]
    )


def _candidates(axes: Any, candidates: Sequence[Candidate], table: Sequence[Standing]) -> None:
    wide = axes.figure.get_figwidth() >= WIDE
    title = (
        "every candidate of the search: supernet score (a scale of its own)"
        if wide
        else "every candidate: supernet score"
    )
    dress(axes, "supernet score", title)
    whole = [(max(one.live_macs or 1, 1), one.log_loss) for one in candidates if one.scored]
    given_up = [(max(one.live_macs or 1, 1), one.log_loss) for one in candidates if not one.scored]
    if whole:
        axes.plot(
            *zip(*whole, strict=True), "o", ms=3.4, color=CANDIDATE, alpha=0.75, mew=0, zorder=3, label="candidate"
        )
    if given_up:
        axes.plot(
            *zip(*given_up, strict=True),
            "x",
            ms=3.4,
            color=MUTED,
            mew=0.9,
            zorder=2,
            label="given up early (a part of the rows)",
        )
    trained = {standing.architecture for standing in table if standing.architecture}
    chosen = [(max(one.live_macs or 1, 1), one.log_loss) for one in candidates if one.scored and one.id in trained]
    if chosen:
        axes.plot(
            *zip(*chosen, strict=True),
            "D",
            ms=6,
            mfc="none",
            mec=SEARCHED,
            mew=1.4,
            zorder=4,
            label="trained from scratch",
        )
    front = pareto([(float(macs), loss) for macs, loss in whole if loss is not None])
    if len(front) > 1:
        axes.plot(*zip(*front, strict=True), **FRONT)
    axes.margins(y=0.1)
    legend(axes)
