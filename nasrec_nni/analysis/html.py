"""What our pages share: escaped templates, figures in the page's colours, facts as people read them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from nasrec_nni.analysis.style import INK, MUTED, PAPER


def render(template: str, **content: Any) -> str:
    """The text of a page; all that comes from outside is escaped.

    Args:
        template: file of `templates/`.
        content: names that it uses.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("nasrec_nni.analysis"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"count": count, "shown": shown, "signed": signed, "duration": duration}
    return environment.get_template(template).render(**content)


def figure(svg: str, prefix: str) -> Any:
    """`inline`, marked as safe to stand in a page: our own drawing, in which names are escaped already."""
    from markupsafe import Markup

    return Markup(inline(svg, prefix))


def inline(svg: str, prefix: str) -> str:
    """An SVG file as an element of a page: no prolog, ids of its own, the page's light or dark colours."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'(?<=\bid=")', f"{prefix}-", body)
    body = re.sub(r'(?<=href="#)|(?<=url\(#)', f"{prefix}-", body)
    for colour, variable in ((INK, "ink"), (MUTED, "muted"), (PAPER, "paper")):
        body = body.replace(colour, f"var(--{variable})")
    return body


def count(value: int) -> str:
    """`1.45 M`, `33.8 k`, `13`: three digits."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {letter}" if value / size < 999.5 else f"{value / size:.0f} {letter}"
    return str(value)


def signed(value: float, digits: int = 4) -> str:
    """`+0.0012`, with a minus sign that is as wide as the plus."""
    return f"{value:+.{digits}f}".replace("-", "−")


def duration(seconds: float) -> str:
    """`8.3 s`, `2 min 5 s`, `1 h 12 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def shown(value: object) -> str:
    """A fact as people read it: thousands apart, lists with commas, nothing as a dash."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, (list, tuple)):
        return ", ".join(shown(item) for item in value) or "–"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {shown(item)}" for key, item in value.items()) or "–"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
