"""How a search went, and whether its scores foretold the trainings from scratch, as SVG text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from nasrec_nni.analysis.axes import WIDE, dress, legend, panels, write_names
from nasrec_nni.analysis.candidates import Agreement, Candidate
from nasrec_nni.analysis.plots import CANDIDATE, SEARCHED
from nasrec_nni.analysis.style import BLOCKS, INK, MUTED, SETTINGS, svg

FAILED = BLOCKS[6]


def progress_plot(candidates: Sequence[Candidate], width: float = WIDE) -> str:
    """The score of each candidate in the order of the search, and the best so far; lower is better.

    One that was given up early, or failed, is marked and no part of the best; a failed one stands at the top.
    """
    import matplotlib

    with matplotlib.rc_context(SETTINGS):
        figure, (axes,) = panels(width, (2.6,), bottom=0.52)
        dress(axes, "supernet score", "validation log loss with supernet weights, in the order of the search")
        if width < WIDE:
            axes.set_title("supernet score, in the order of the search", loc="left", fontsize=9.5, color=INK)
        scored = [(one.number + 1, one.log_loss) for one in candidates if one.scored]
        rejected = [(one.number + 1, one.log_loss) for one in candidates if one.rejected and one.log_loss is not None]
        failed = [one.number + 1 for one in candidates if one.log_loss is None]
        if scored:
            _points(axes, scored, "o", CANDIDATE, "candidate")
            losses = [loss for _, loss in scored if loss is not None]
            axes.plot(
                [number for number, _ in scored], list(accumulate(losses, min)), drawstyle="steps-post",
                color=SEARCHED, lw=1.8, label="best so far",
            )  # fmt: skip
        if rejected:
            _points(axes, rejected, "x", MUTED, "given up early")
        if failed:
            axes.plot(
                failed, [0.97] * len(failed), "X", ms=6, color=FAILED, mew=0, transform=axes.get_xaxis_transform(),
                label="failed", zorder=5,
            )  # fmt: skip
        axes.set_xlabel("candidates asked for so far", color=INK)
        axes.set_xlim(0, max((one.number for one in candidates), default=0) + 2)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.margins(y=0.12)
        legend(axes)
        return svg(figure, "progress")


def _points(axes: Any, points: Sequence[tuple[int, float | None]], marker: str, colour: str, label: str) -> None:
    edge = 0.9 if marker == "x" else 0
    axes.plot(*zip(*points, strict=True), marker, ms=3.4, color=colour, alpha=0.75, mew=edge, label=label)


def agreement_plot(found: Agreement, width: float = WIDE) -> str:
    """Loss of the training from scratch against the supernet score, a point per retrained candidate."""
    import matplotlib

    with matplotlib.rc_context(SETTINGS):
        figure, (axes,) = panels(width, (2.7,), bottom=0.52)
        dress(
            axes, f"trained: {found.split} log loss", "trained from scratch (mean ± deviation over seeds) against score"
        )
        if width < WIDE:
            axes.set_title("trained from scratch against score", loc="left", fontsize=9.5, color=INK)
        pairs = found.pairs
        axes.errorbar(
            [pair.score for pair in pairs], [pair.loss.mean for pair in pairs],
            yerr=[pair.loss.deviation or 0.0 for pair in pairs], fmt="D", ms=6, color=SEARCHED, ecolor=SEARCHED,
            capsize=3, lw=1.4, zorder=4,
        )  # fmt: skip
        axes.set_xlabel("supernet score (validation log loss)", color=INK)
        axes.ticklabel_format(axis="x", useOffset=False)
        axes.locator_params(axis="x", nbins=5 if width < WIDE else 8)
        axes.margins(x=0.25, y=0.25)
        write_names(
            figure, axes, [(pair.model, pair.score, pair.loss.mean, pair.loss.deviation or 0.0) for pair in pairs], []
        )
        return svg(figure, "agreement")
