"""Every model against one of them: paired differences with their intervals, as SVG text."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import Any

from nasrec_nni.analysis.axes import WIDE, dress, panels, short
from nasrec_nni.analysis.html import signed
from nasrec_nni.analysis.paired import Contrast
from nasrec_nni.analysis.plots import KINDS, far_off
from nasrec_nni.analysis.style import INK, MUTED, SETTINGS, svg

ROW = 0.3  # inches a model


def intervals_plot(contrasts: Sequence[Contrast], names: Sequence[str], width: float = WIDE) -> str:
    """A line per model, in the given order: below 0 it is better than the one they are compared with.

    Args:
        contrasts: all with the same `other`; one without a common seed is left out.
        names: of the models.
        width: of the figure, inches.
    """
    import matplotlib

    lines = [
        (name, one.model.kind, one.seeds, one.rows)
        for name, one in zip(names, contrasts, strict=True)
        if one.seeds is not None
    ]
    away = far_off([seeds.mean for _, _, seeds, _ in lines]) if lines else []
    inside = [line for line, out in zip(lines, away, strict=True) if not out]
    outside = [f"{short(line[0])} ({signed(line[2].mean)})" for line, out in zip(lines, away, strict=True) if out]
    longest = 28 if width >= WIDE else 18
    told = wrap("not shown, far to the right: " + ", ".join(outside), 110 if width >= WIDE else 56) if outside else []
    with matplotlib.rc_context(SETTINGS):
        left = 0.3 + 0.072 * min(longest, max((len(line[0]) for line in inside), default=0))
        bottom = 0.56 + 0.14 * len(told)
        figure, (axes,) = panels(width, (ROW * max(len(inside), 1) + 0.15,), left=left, bottom=bottom)
        dress(axes, "", "")
        height = figure.get_figheight()
        words = {"color": INK, "parse_math": False}
        if inside:  # over the whole figure: the axes are narrow beside long names
            title = f"{inside[0][2].split} log loss minus that of {short(contrasts[0].other.model)}"
            figure.text(0.02, 1 - 0.12 / height, title, fontsize=9.5, va="top", **words)
        scale = "← better\u2003\u2003log-loss difference\u2003\u2003worse →"
        figure.text(
            (left + width) / 2 / width, (bottom - 0.36) / height, scale, fontsize=9, ha="center", va="center", **words
        )
        figure.text(0.02, 0.05 / height, "\n".join(told), fontsize=8, va="bottom", **words)
        axes.set_yticks(range(len(inside)), [short(line[0], longest) for line in inside], parse_math=False)
        axes.invert_yaxis()
        axes.axvline(0, color=INK, lw=1.0, zorder=2)
        for at, (_, kind, seeds, rows) in enumerate(inside):
            colour, marker = KINDS[kind]
            if seeds.low is not None:
                axes.plot([seeds.low, seeds.high], [at - 0.12] * 2, color=colour, lw=1.6, zorder=3)
            if rows is not None:
                axes.plot([rows.low, rows.high], [at + 0.14] * 2, color=MUTED, lw=3.2, solid_capstyle="butt", zorder=3)
            axes.plot([seeds.mean], [at - 0.12], marker, ms=6, color=colour, zorder=4)
        _limits(axes, inside)
        _cut(axes, inside)
        axes.set_ylim(len(inside) - 0.4, -0.6)
        axes.grid(False, axis="y")
        axes.locator_params(axis="x", nbins=5 if width < WIDE else 9)
        return svg(figure, "intervals")


def _limits(axes: Any, lines: Sequence[tuple[Any, ...]]) -> None:
    """As far as points and row intervals need, and at most 2.5 times that for the intervals over few seeds."""
    need, wish = [0.0], [0.0]
    for _, _, seeds, rows in lines:
        need += [seeds.mean, *((rows.low, rows.high) if rows else ())]
        wish += [value for value in (seeds.low, seeds.high) if value is not None]
    span = (max(need) - min(need)) or 1e-3
    low, high = min(need + wish), max(need + wish)
    axes.set_xlim(max(low, min(need) - 0.75 * span) - 0.05 * span, min(high, max(need) + 0.75 * span) + 0.05 * span)


def _cut(axes: Any, lines: Sequence[tuple[Any, ...]]) -> None:
    """A tip at the edge where an interval goes on."""
    low, high = axes.get_xlim()
    for at, (_, kind, seeds, _) in enumerate(lines):
        if seeds.low is not None:
            for edge, marker, beyond in ((low, "<", seeds.low < low), (high, ">", seeds.high > high)):
                if beyond:
                    axes.plot([edge], [at - 0.12], marker, ms=6, color=KINDS[kind][0], clip_on=False, zorder=5)
