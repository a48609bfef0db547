"""Trained models of several runs in one plot of cost against quality, as SVG text."""

from __future__ import annotations

from nasrec_nni.analysis.axes import WIDE, dress, legend, log_macs, panels, short, write_names
from nasrec_nni.analysis.comparison import Comparison
from nasrec_nni.analysis.plots import KINDS, far_off, pareto
from nasrec_nni.analysis.style import INK, SETTINGS, block_colour, svg


def overlay_plot(found: Comparison, width: float = WIDE) -> str:
    """Log loss against live MACs: a colour and a Pareto front per run, a marker per kind of model.

    Args:
        found: the runs; a model of several runs has the colour of the first.
        width: of the figure, inches.
    """
    import matplotlib

    table = [entry.standing for entry in found.entries]
    opened = all(one.test_log_loss for one in table)
    losses = [(one.test_log_loss if opened else None) or one.val_log_loss for one in table]
    away = far_off([loss.mean for loss in losses])
    with matplotlib.rc_context(SETTINGS):
        figure, (axes,) = panels(width, (4.0 if width >= WIDE else 4.4,), bottom=0.72 if any(away) else 0.52)
        split = "test" if opened else "validation"
        dress(
            axes,
            f"{split} log loss",
            f"trained from scratch: {split} log loss" + (", mean ± deviation over seeds" if width >= WIDE else ""),
        )
        points = []
        for number, run in enumerate(found.runs):
            own = [
                (entry.standing, loss)
                for entry, loss, out in zip(found.entries, losses, away, strict=True)
                if entry.runs[0] == run.name and not out
            ]
            colour = block_colour(number)
            for at, (one, loss) in enumerate(own):
                axes.errorbar(
                    [max(one.live_macs, 1)], [loss.mean], yerr=[loss.deviation or 0.0], fmt=KINDS[one.kind][1], ms=6,
                    color=colour, ecolor=colour, capsize=3, lw=1.4, zorder=4, label=None if at else short(run.name),
                )  # fmt: skip
            front = pareto(
                [
                    (float(max(entry.standing.live_macs, 1)), loss.mean)
                    for entry, loss, out in zip(found.entries, losses, away, strict=True)
                    if run.name in entry.runs and not out
                ]
            )
            if len(front) > 1:
                axes.plot(*zip(*front, strict=True), drawstyle="steps-post", color=colour, lw=1.1, ls=(0, (4, 2)))
            points += [(one.model, float(max(one.live_macs, 1)), loss.mean, loss.deviation or 0.0) for one, loss in own]
        axes.set_xscale("log")
        axes.margins(x=0.2 if width >= WIDE else 0.4, y=0.22)
        axes.autoscale_view()
        log_macs(axes, label=True)
        names = legend(axes)
        for text in names.get_texts():
            text.set_parse_math(False)
        write_names(figure, axes, points, [names])
        outside = [
            f"{short(one.model)} ({loss.mean:.4f})" for one, loss, out in zip(table, losses, away, strict=True) if out
        ]
        if outside:
            told = "not shown, far above: " + ", ".join(outside)
            figure.text(0.02, 0.02, told, fontsize=8, color=INK, parse_math=False, wrap=True)
        return svg(figure, "overlay")
