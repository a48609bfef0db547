"""The page of a prepared set: says what it is, holds the figures, escapes, asks nothing of the network, parses."""

from __future__ import annotations

import random
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from nasrec_nni.analysis import data_words as say
from nasrec_nni.analysis.data_page import data_page_html, render_data_page
from nasrec_nni.analysis.histogram import histogram

SPLITS = {
    "train": {"rows": 80_000, "clicks": 17_440},
    "val": {"rows": 10_000, "clicks": 2_190},
    "test": {"rows": 10_000, "clicks": 2_170},
}
VOID = {"meta", "br"}
INLINE = {"a", "strong"}
HOSTILE = "<script>alert(1)</script>"


def per_split(train: int, val: int, test: int) -> dict[str, int]:
    return {"train": train, "val": val, "test": test}


def numeric(name: str, **changes: Any) -> dict[str, Any]:
    generator = random.Random(name)
    shares = [[generator.random() * (20 - bin_) for bin_ in range(20)] for _ in range(2)]
    train, val = ([share / sum(one) for share in one] for one in shares)
    return {
        "column": name,
        "role": "numeric",
        "reason": "integers from 0 to 9412, which looks like a quantity; log1p: no training value is negative",
        "transform": "log1p",
        "missing": per_split(3_512, 431, 440),
        "negative": per_split(0, 0, 0),
        "minimum": 0.0,
        "maximum": 9_412.0,
        "mean": 31.25,
        "histogram": {"edges": [0.46 * edge for edge in range(21)], "train": train, "val": val},
        "drift": 0.013,
    } | changes


def categorical(name: str, **changes: Any) -> dict[str, Any]:
    generator = random.Random(name)
    return {
        "column": name,
        "role": "categorical",
        "reason": "'68fd1e64' is not a number",
        "encoding": "vocabulary",
        "min_count": 2,
        "ids": 1_462,
        "distinct": 2_210,
        "vocabulary": 1_460,
        "missing": per_split(0, 0, 0),
        "rare": per_split(750, 91, 88),
        "unseen": per_split(0, 61, 57),
        "top": [
            {
                "value": f"{generator.getrandbits(32):08x}",
                "count": 20_000 // place,
                "share": 0.25 / place,
                "click_rate": 0.1 + 0.2 * generator.random(),
            }
            for place in range(1, 11)
        ],
        "drift": 0.004,
    } | changes


def example(**changes: Any) -> dict[str, Any]:
    return {
        "kind": "prepared set",
        "folder": "data/clicks",
        "fingerprint": "cdfe38a7ed91c6d2",
        "made": "2026-01-02T03:04:05+00:00",
        "source": "table",
        "command": "nasrec prepare clicks.csv --source table --out data/clicks --label click",
        "options": {"split": "random", "label": "click", "transform": {"*": "auto", "price": "quantile"}},
        "rows": 131_280,
        "label": "click",
        "dense": 3,
        "sparse": 4,
        "ignored": ["session"],
        "time": None,
        "weight": "impressions",
        "splits": SPLITS,
        "facts": {},
        "columns": [
            numeric("age"),
            numeric("price", transform="quantile", drift=0.412, reason="numbers with a fraction"),
            numeric("empty", missing=SPLITS_ROWS, minimum=None, maximum=None, mean=None, histogram=None, drift=None),
            categorical("site"),
            categorical("user", encoding="hash", distinct=None, vocabulary=None, rare=None, unseen=None, ids=10_000),
            categorical(
                "genres", separator="|", length=4, longest=7, truncated=13, drift=0.17,
                top=[{"value": value, "count": 9, "share": 0.2, "click_rate": rate}
                     for value, rate in (("Comedy", 0.31), (HOSTILE, 0.12), ("a" * 300, 0.0), (" ", None))],
            ),
            categorical("query", unseen=per_split(0, 4_100, 4_300), rare=per_split(52_000, 5_000, 5_000), top=[]),
        ],
        "notes": ["delimiter ',', found in the header of clicks.csv", "price: numeric, numbers with a fraction"],
        "warnings": ["column query: every row has a value of its own, so it cannot help on new rows"],
        "left_out": 31_280,
        "negative_rate": 0.5,
        "negatives": {"rate": 0.5, "kept": 31_000, "left_out": 31_280},
        "inputs": [{"path": "clicks.csv", "bytes": 12_345_678}],
        "versions": {"nasrec-nni": "0.1.0", "pyarrow": "26.0.1", "python": "3.11.9"},
        "files": {name: {"bytes": 1_600_128, "sha256": "ab12" * 16} for name in ("dense.npy", "sparse.npy")},
    } | changes  # fmt: skip


SPLITS_ROWS = {name: split["rows"] for name, split in SPLITS.items()}


class Page(HTMLParser):
    """Every tag closed in order, every attribute and text seen."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.words += "" if tag in INLINE else " "
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.words += "" if tag in INLINE else " "

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "title"):
            self.words += data

    @property
    def text(self) -> str:
        return " ".join(self.words.split())


@pytest.fixture(scope="module")
def html() -> str:
    return data_page_html(example())


def test_it_parses_and_says_first_what_it_is(html: str) -> None:
    page = Page(html)
    assert page.open == []
    first = "clicks, a prepared set 131,280 rows, 3 numeric and 4 categorical columns, 16.6 % clicks"
    assert page.text.startswith(first)  # 21,800 clicks of the 131,280 rows of the whole log
    assert "rule “random” into train 80,000, val 10,000, test 10,000 rows." in page.text


def test_warnings_stand_before_everything_else(html: str) -> None:
    warning = html.index("every row has a value of its own")
    assert html.index("</header>") < warning < html.index("<h2>")


def test_every_figure_is_there(html: str) -> None:
    text = Page(html).text
    for words in (
        "train 80,000 80.0 % 17,440 21.8 %",
        "31,000 training rows without a click were kept and 31,280 left out (rate 0.5)",
        "price: training and validation rows differ strongly (drift 0.41)",
        "query: 65.0 % of the training rows hold a value too rare for an id of its own; 41.0 % of the validation",
        "genres: 13 cells held more values than are kept",
        "age numeric log1p 4.4 % 4.3 % 4.4 % – – – – none 0.013",
        "site categorical vocabulary (min. 2 rows) 0 % 0 % 0 % 0.94 % 0.61 % 0.57 % 2,210 none 0.004",
        "user categorical hash 0 % 0 % 0 % – – – – none 0.004",
        "several values by '|', at most 4 0 % 0 % 0 % 750 values 61 values 57 values 2,210 some 0.170",
        "minimum 0 mean 31.25 maximum 9,412",
        "Comedy 20.0 % 31.0 %",
        "No training row has a value.",
        "delimiter ',', found in the header of clicks.csv",
        "nasrec prepare clicks.csv --source table --out data/clicks --label click",
        "weight column impressions ignored columns session",
        "clicks.csv 12.3 MB",
        "pyarrow 26.0.1",
        f"dense.npy 1.6 MB {'ab12' * 16}",
        "fingerprint cdfe38a7ed91c6d2",
    ):
        assert words in text, words
    assert all(str(column["reason"]) in text for column in example()["columns"])


def test_reasons_are_not_repeated_as_notes(html: str) -> None:
    assert Page(html).text.count("numbers with a fraction") == 1


def test_all_that_comes_from_outside_is_escaped() -> None:
    column = categorical(HOSTILE, reason=HOSTILE, top=[{"value": HOSTILE, "count": 1, "share": 1, "click_rate": 0.5}])
    content = example(
        columns=[column],
        notes=[HOSTILE],
        warnings=[HOSTILE],
        command=HOSTILE,
        label=HOSTILE,
        ignored=[HOSTILE],
        source=HOSTILE,
        folder=HOSTILE,
        options={HOSTILE: HOSTILE},
        inputs=[{"path": HOSTILE, "bytes": 1}],
    )
    page = data_page_html(content)
    assert "<script" not in page
    assert Page(page).text.count(HOSTILE) >= 12


def test_it_asks_nothing_of_the_network_and_runs_no_script(html: str) -> None:
    assert not re.search(r"https?:|<script|<link|@import|url\(|javascript:", html)
    for tag, name, value in Page(html).attributes:
        assert name not in ("src", "srcset", "style") and not name.startswith("on")
        assert name != "href" or (tag == "a" and value.startswith("#column-"))


def test_links_lead_somewhere(html: str) -> None:
    attributes = Page(html).attributes
    places = [value for _, name, value in attributes if name == "id"]
    assert len(set(places)) == len(places) == 7
    assert {value[1:] for _, name, value in attributes if name == "href"} == set(places)


def test_light_dark_and_print(html: str) -> None:
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html
    assert 'name="viewport"' in html


def test_many_columns_are_folded() -> None:
    def folded(count: int) -> bool:
        page = data_page_html(example(columns=[categorical(f"C{index}") for index in range(count)]))
        assert page.count("<details") == count
        return ("details", "open", "") not in Page(page).attributes

    assert not folded(40)
    assert folded(150)


@pytest.mark.parametrize("columns", [[numeric("age")], [categorical("site")], []], ids=["dense", "sparse", "none"])
def test_one_kind_of_column_alone(columns: list[dict[str, Any]]) -> None:
    page = Page(data_page_html(example(columns=columns, warnings=[], notes=[], negatives=None)))
    assert page.open == []
    assert f"{sum(c['role'] == 'numeric' for c in columns)} numeric" in page.text
    assert "Worth a look" not in page.text


def test_a_split_without_rows_and_counts_that_are_not_there() -> None:
    splits = {"train": {"rows": 10, "clicks": 0}, "val": {"rows": 0, "clicks": 0}, "test": {"rows": 3, "clicks": 3}}
    bare = [{"column": "a", "role": "numeric"}, {"column": "b", "role": "categorical"}]
    text = Page(data_page_html(example(splits=splits, columns=bare, negatives=None))).text
    assert "val 0 0 % 0 – test" in text


def test_histogram_is_drawn_to_scale_or_not_at_all() -> None:
    drawn = histogram({"edges": [0, 1, 3], "train": [0.5, 0.5], "val": [0.0, 1.0]})
    assert drawn is not None
    bars = ElementTree.fromstring(drawn).findall("rect")
    heights = [float(bar.attrib["height"]) for bar in bars]
    assert heights[0] == pytest.approx(2 * heights[1], abs=0.11)  # the same share on twice the width
    widths = [float(bar.attrib["width"]) for bar in bars]
    assert widths[1] == pytest.approx(2 * widths[0], abs=1)
    for nothing in (None, {}, {"edges": [1.0, 1.0], "train": [1.0]}, {"edges": [0.0, float("inf")], "train": [1.0]}):
        assert histogram(nothing) is None
    assert histogram({"edges": [0.0, 1.0], "train": [0.0], "val": [0.0]}) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"), (0.0, "0 %"), (1.0, "100 %"), (0.00001, "< 0.01 %"), (0.99999, "> 99.99 %"), (0.0012, "0.12 %"),
        (0.1234, "12.3 %"), (0.996, "99.60 %"),
    ],
)  # fmt: skip
def test_shares(value: float | None, text: str) -> None:
    assert say.share(value) == text


@pytest.mark.parametrize(
    ("drift", "rows", "word"),
    [(None, 10_000, None), (0.09, 10_000, "none"), (0.1, 10_000, "some"), (0.26, 10_000, "strong"),
     (0.26, 60, "unclear"), (3.0, 0, "unclear")],
)  # fmt: skip
def test_drift_in_words(drift: float | None, rows: int, word: str | None) -> None:
    splits = {"train": {"rows": 80_000}, "val": {"rows": rows}}
    assert say.drift_word({"drift": drift, "distinct": None}, splits) == word


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 bytes"), (999, "999 bytes"), (1_600_128, "1.6 MB"), (45_200_000_000, "45.2 GB")]
)
def test_sizes(count: int, text: str) -> None:
    assert say.size(count) == text


def test_values_that_would_hide_are_shown_in_quotes() -> None:
    assert [say.cell(value) for value in ("a b", " a", "", "a\tb")] == ["a b", "' a'", "''", "'a\\tb'"]
    assert len(say.cell("x" * 1000)) == 80


def test_the_file_is_written_whole(tmp_path: Path) -> None:
    render_data_page(example(), tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == data_page_html(example())
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
