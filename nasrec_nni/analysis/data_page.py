"""The page of a prepared set: what is in it and how it was made, one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasrec_nni.analysis import data_words as say
from nasrec_nni.analysis.histogram import histogram
from nasrec_nni.analysis.html import shown
from nasrec_nni.files import write_text

OPEN = 40  # up to so many columns, each one's details stand open
REMARKS = 12  # columns listed on top; the table has all figures

Found = Mapping[str, Any]


@dataclass(frozen=True)
class ColumnView:
    """One column as the page shows it.

    Attributes:
        place: anchor of its details.
        name: as in the log.
        role: numeric or categorical.
        stored: transform or encoding.
        reason: of the role.
        shares: label to text: missing per split, rare, unseen.
        distinct: different values in the training rows, or None.
        drift: in a word, None if it is not measured.
        index: the figure behind that word.
        facts: label to value, beside the plot.
        plot: SVG of a histogram, or None.
        top: the most frequent values: text, count, share, click rate, and the widths of their bars in per cent.
        blank: why there is no picture, where there is none.
        several: a cell may have several values.
        remarks: what to look at.
    """

    place: str
    name: str
    role: str
    stored: str
    reason: str
    shares: Mapping[str, str]
    distinct: int | None
    drift: str | None
    index: float | None
    facts: Mapping[str, Any]
    plot: Any
    top: list[dict[str, Any]]
    blank: str
    several: bool
    remarks: list[str]


def render_data_page(content: Found, path: Path) -> None:
    """Write the page atomically.

    Args:
        content: what `nasrec inspect --json` prints of a prepared set.
        path: of the page.
    """
    write_text(path, data_page_html(content))


def data_page_html(content: Found) -> str:
    """The page as text; all that comes from outside is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("nasrec_nni.analysis"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"shown": shown, "share": say.share, "size": say.size}
    columns = [_view(index, column, content) for index, column in enumerate(content["columns"])]
    remarks = [column for column in columns if column.remarks]
    splits = content["splits"]
    rows = sum(split["rows"] for split in splits.values())
    return environment.get_template("data.html.j2").render(
        name=Path(content["folder"]).absolute().name,
        content=content,
        roles={role: sum(column.role == role for column in columns) for role in ("numeric", "categorical")},
        click_rate=_click_rate(content),
        columns=columns,
        collapsed=len(columns) > OPEN,
        remarks=remarks[:REMARKS],
        further=len(remarks) - len(remarks[:REMARKS]),
        notes=other_notes(content),
        split_rows=rows,
        record=_record(content),
        inputs={entry["path"]: say.size(entry["bytes"]) for entry in content.get("inputs", [])},
    )


def _click_rate(content: Found) -> float | None:
    """Of the whole log, rows that negative sampling has left out included."""
    rows, clicks = (sum(split[key] for split in content["splits"].values()) for key in ("rows", "clicks"))
    rows += (content.get("negatives") or {}).get("left_out", 0)
    return clicks / rows if rows else None


def _record(content: Found) -> dict[str, Any]:
    """Who it is, and the columns that are no feature."""
    found = {"fingerprint": content["fingerprint"], "made": content.get("made"), "label": content["label"]}
    found |= {f"{role} column": content[role] for role in ("time", "weight") if content.get(role)}
    return found | {"ignored columns": list(content.get("ignored", [])), "folder": content["folder"]}


def other_notes(content: Found) -> list[str]:
    """Notes that do not just repeat the role and reason of a column."""
    reasons = {column["column"]: str(column.get("reason")) for column in content["columns"]}

    def repeats(note: str) -> bool:
        for role in ("numeric", "categorical"):
            name, found, why = note.partition(f": {role}, ")
            if found and reasons.get(name, "").startswith(why):  # what was done for it may follow
                return True
        return False

    return [note for note in content.get("notes", []) if not repeats(note)]


def _view(index: int, column: Found, content: Found) -> ColumnView:
    from markupsafe import Markup

    splits = content["splits"]
    drawn = histogram(column.get("histogram"))
    shares = {f"missing, {split}": say.share(say.part(column.get("missing"), split, splits)) for split in splits}
    shares["rare"] = say.counted(column, "rare", "train", splits)
    shares |= {f"unseen, {split}": say.counted(column, "unseen", split, splits) for split in ("val", "test")}
    return ColumnView(
        f"column-{index}",
        say.cell(column["column"]),
        column["role"],
        say.stored(column),
        str(column.get("reason") or ""),
        shares,
        column.get("distinct"),
        say.drift_word(column, splits),
        column.get("drift"),
        _facts(column, splits),
        Markup(drawn) if drawn else None,
        _bars(column.get("top") or []),
        _blank(column, splits),
        bool(column.get("separator")),
        say.remarkable(column, splits),
    )


def _facts(column: Found, splits: Found) -> dict[str, Any]:
    """What the overview has no room for."""
    if column["role"] == "numeric":
        known = [("minimum", "minimum"), ("mean", "mean"), ("maximum", "maximum")]
        found: dict[str, Any] = {label: say.number(column[key]) for key, label in known if column.get(key) is not None}
        negative = say.part(column.get("negative"), "train", splits)
        return found | ({"negative, train": say.share(negative)} if negative else {})
    labels = {"vocabulary": "values with an id", "ids": "table rows", "longest": "most values in a cell"}
    found = {label: column[key] for key, label in labels.items() if column.get(key) is not None}
    return found | ({"cells cut short": column["truncated"]} if column.get("truncated") else {})


def _blank(column: Found, splits: Found) -> str:
    if say.part(column.get("missing"), "train", splits) == 1:
        return "No training row has a value."
    if column["role"] == "numeric" and column.get("minimum") is not None and column["minimum"] == column["maximum"]:
        return "All training rows have the same value."
    if column["role"] == "numeric":
        return "The numbers as kept do not vary."
    return "No value has an id of its own." if column.get("vocabulary") is not None else "Hashed values are not kept."


def _bars(top: list[Found]) -> list[dict[str, Any]]:
    """Widths are relative to the longest bar of each kind."""
    most = max((value.get("share") or 0.0 for value in top), default=0.0) or 1.0
    clicked = max((value.get("click_rate") or 0.0 for value in top), default=0.0) or 1.0
    return [
        {
            "value": say.cell(value["value"]),
            "count": value.get("count"),
            "share": value.get("share"),
            "click_rate": value.get("click_rate"),
            "share_width": round(100 * (value.get("share") or 0.0) / most, 1),
            "click_width": round(100 * (value.get("click_rate") or 0.0) / clicked, 1),
        }
        for value in top
    ]
