"""A small histogram as SVG: training rows as bars, validation rows as an outline over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

WIDTH, HEIGHT, FOOT = 320, 110, 16


def histogram(content: Mapping[str, Any] | None) -> str | None:
    """SVG text in the page's colours, or None where there is nothing to draw.

    Args:
        content: `edges` (`n + 1`, rising), and `n` shares of the rows for `train` and `val`; heights are shares per
            width, so that bins of different widths compare.
    """
    if not content or not content.get("edges"):
        return None
    edges = [float(edge) for edge in content["edges"]]
    span = edges[-1] - edges[0]
    if len(edges) < 2 or not all(map(isfinite, edges)) or span <= 0:
        return None
    train, val = (_heights(edges, content.get(split) or [], span) for split in ("train", "val"))
    top = max([*train, *val], default=0.0)
    if top <= 0:
        return None
    xs = [WIDTH * (edge - edges[0]) / span for edge in edges]
    ground = HEIGHT - FOOT
    bars = "".join(
        f'<rect class="train" x="{x:.1f}" y="{ground - ground * height / top:.1f}" '
        f'width="{max(end - x - 0.6, 0.4):.1f}" height="{ground * height / top:.1f}"/>'
        for x, end, height in zip(xs, xs[1:], train, strict=False)
    )
    points = [(xs[0], float(ground))]
    for x, end, height in zip(xs, xs[1:], val, strict=False):
        y = ground - ground * height / top
        points += [(x, y), (end, y)]
    points.append((points[-1][0], float(ground)))
    outline = " ".join(f"{x:.1f},{y:.1f}" for x, y in points) if val else ""
    return (
        f'<svg viewBox="0 -2 {WIDTH} {HEIGHT + 2}" role="img" aria-label="Histogram of training and validation rows">'
        f'{bars}<polyline class="val" points="{outline}"/>'
        f'<line class="ground" x1="0" x2="{WIDTH}" y1="{ground}" y2="{ground}"/>'
        f'<text x="0" y="{HEIGHT - 3}">{edges[0]:.4g}</text>'
        f'<text x="{WIDTH}" y="{HEIGHT - 3}" text-anchor="end">{edges[-1]:.4g}</text></svg>'
    )


def _heights(edges: Sequence[float], shares: Sequence[float], span: float) -> list[float]:
    return [
        share * span / (end - start) if end > start else 0.0
        for start, end, share in zip(edges, edges[1:], shares, strict=False)
    ]
