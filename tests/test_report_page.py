"""The page: says who won, holds every figure, escapes, asks nothing of the network, parses."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from nasrec_nni.analysis import plots
from nasrec_nni.analysis.candidates import Candidate
from nasrec_nni.analysis.html import inline
from nasrec_nni.analysis.leaderboard import Result, standings
from nasrec_nni.analysis.plots import cost_plot, far_off, pareto
from nasrec_nni.analysis.report import ReportContent, render_report, report_html
from nasrec_nni.analysis.search_plots import progress_plot
from nasrec_nni.architecture.json import load_architecture

ARCHITECTURE = load_architecture(Path(__file__).parent / "published" / "criteo_autoctr.json")
VOID = {"meta", "link", "br", "img", "hr", "input"}
# name, searched, mean loss, live MACs, parameters
MODELS = [
    ("nasrec-small #1", True, 0.3121, 412_000, 301_000),
    ("nasrec-small #2", True, 0.3129, 1_205_000, 902_000),
    ("dlrm", False, 0.3137, 70_500, 70_100),
    ("deepfm", False, 0.3169, 63_000, 62_600),
    ("dcnv2", False, 0.3183, 100_200, 99_900),
    ("mlp", False, 0.3194, 62_000, 61_900),
    ("fm", False, 0.3358, 176, 18),
    ("lr", False, 0.3520, 1, 2),
]


def example(noise: float = 0.0009) -> ReportContent:
    generator = random.Random(0)
    results = [
        Result(
            name,
            ARCHITECTURE.id if searched and name.endswith("1") else "0f3a5b7c9d1e2f30" if searched else None,
            seed,
            loss - 0.001 + generator.gauss(0, noise),
            0.897,
            loss + generator.gauss(0, noise),
            0.8975 - (loss - 0.312),
            1.004,
            macs,
            parameters,
            parameters + 160_000,
            60.0 + macs / 1e4,
        )
        for name, searched, loss, macs, parameters in MODELS
        for seed in range(3)
    ]
    best = 0.36
    candidates = []
    for number in range(200):
        best = max(0.327, best - 0.0001)
        macs, loss = int(10 ** generator.uniform(4.6, 6.6)), best + abs(generator.gauss(0, 0.006))
        candidates.append(Candidate(number, f"{number:016x}", macs, loss))
    return ReportContent(
        title="MovieLens-1M, runs/movielens",
        table=tuple(standings(results)),
        architecture=ARCHITECTURE,
        inputs=(1, 7),
        candidates=tuple(candidates),
        data={
            "source": "movielens",
            "rows": 739_012,
            "splits": {"train": 591_209, "val": 73_901, "test": 73_902},
            "fields": ("user", "item", "gender", "age", "occupation", "zip", "genres"),
            "fingerprint": "9c1d3e5f7a8b9c0d",
        },
        recipe={"optimizer": "adam", "learning_rate": 1e-3, "batch": 4096, "embedding_l2": 3e-4, "clip": None},
        search={"space": "nasrec-small", "blocks": 7, "algorithm": "regularized-evolution", "candidates": 200},
        versions={"nasrec-nni": "0.1.0", "torch": "2.13.0", "nni": "3.0"},
        hardware={"processor": "x86_64, 2 cores", "memory": "7.6 GiB", "device": "cpu"},
        seeds=(0, 1, 2),
        test_reads=24,
        created=datetime(2026, 1, 2, 3, 4, tzinfo=timezone.utc),
        commit="1f2e3d4c",
    )


class Page(HTMLParser):
    """Every tag closed in order, every attribute and text seen."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.fixture(scope="module")
def html() -> str:
    return report_html(example())


def test_it_parses_and_says_first_who_won(html: str) -> None:
    page = Page(html)
    assert page.open == []
    assert page.tags.count("svg") == 2 * 3 + 1  # wide and narrow, and the drawing
    assert page.tags.count("h1") == 1
    headline = re.search(r"<h1>(.*?)</h1>", html)
    assert headline is not None
    assert "The searched network nasrec-small #1 won against the best hand-made model, dlrm" in headline[1]


def test_it_holds_the_figures(html: str) -> None:
    words = " ".join(Page(html).words.split())
    content = example()
    for standing in content.table:
        assert standing.val_log_loss.text() in words
        assert standing.test_log_loss is not None
        assert standing.test_log_loss.text() in words
    for fact in (
        "739,012",
        "9c1d3e5f7a8b9c0d",
        "0, 1, 2",
        "24 times, once per model and seed.",
        "1f2e3d4c",
        "0.0003",
        "2.13.0",
        "2026-01-02",
    ):
        assert fact in words, fact
    assert content.winner_rule in words
    assert "entropy" not in words


def test_it_asks_nothing_of_the_network(html: str) -> None:
    page = Page(html)
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    for name, value in page.attributes:
        if name in ("src", "href", "xlink:href", "data", "action"):
            assert value.startswith("#"), (name, value)
    assert not re.search(r"@import|url\((?!['\"]?#)", html)


def test_ids_are_unique_and_every_reference_is_found(html: str) -> None:
    attributes = Page(html).attributes
    ids = [value for name, value in attributes if name == "id"]
    assert not {one for one in ids if ids.count(one) > 1}
    referred = {value[1:] for name, value in attributes if name.endswith("href")} | set(
        re.findall(r"url\(#(.*?)\)", html)
    )
    assert referred <= set(ids)


@pytest.mark.parametrize("where", ["title", "model", "fact", "note"])
def test_hostile_names_are_escaped(where: str) -> None:
    hostile = "<script>alert('$x$')</script>\"><img src=x onerror=y> {{ 7*7 }} --> ]]>"
    content = example()
    first = replace(content.table[0], model=hostile)
    changed = {
        "title": {"title": hostile},
        "model": {"table": (first, *content.table[1:])},
        "fact": {"data": {hostile: hostile, "list": [hostile]}},
        "note": {"notes": (hostile,)},
    }[where]
    page = Page(report_html(replace(content, **changed)))  # type: ignore[arg-type]
    assert page.open == []
    assert not {"script", "img"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "{{ 7*7 }}" in page.words


def test_the_least_content_is_enough(tmp_path: Path) -> None:
    content = example()
    one = standings([replace(content.table[-1].results[0], test_log_loss=None, test_auc=None, calibration=None)])
    least = replace(
        content, table=tuple(one), architecture=None, candidates=(), commit=None, test_reads=2, best_log_loss=0.41237
    )
    render_report(least, tmp_path / "report" / "index.html")
    page = Page((tmp_path / "report" / "index.html").read_text())
    assert page.open == []
    assert page.tags.count("svg") == 2
    words = " ".join(page.words.split())
    assert "no searched model was trained" in words
    assert "0.4124" in words
    assert "not known" in words
    assert "was read 2 times." in words


def test_random_architectures_are_told_apart() -> None:
    content = example()
    drawn = [replace(result, random=True) for result in content.table[1].results]
    others = [result for standing in content.table if standing is not content.table[1] for result in standing.results]
    words = " ".join(Page(report_html(replace(content, table=tuple(standings(drawn + others))))).words.split())
    assert "The random architecture trained to compare with has a test log loss of 0.3125." in words
    assert "random, 0f3a5b7c9d1e2f30" in words


def test_a_random_architecture_ahead_is_not_marked_as_the_winner() -> None:
    content = example()
    drawn = [
        replace(r, model="random-1", random=True, architecture="cd", val_log_loss=0.1) for r in content.table[1].results
    ]
    others = [result for standing in content.table for result in standing.results]
    page = report_html(replace(content, table=tuple(standings(drawn + others))))
    marked = page.split('class="winner">')[1].split("<small>")[0].strip()
    assert marked == f'<td role="cell">{content.table[0].model} <span class="badge">winner</span>'
    assert page.count('class="winner"') == 1
    assert page.index('cell">random-1') < page.index('class="winner"')


def test_a_page_without_models_is_refused() -> None:
    with pytest.raises(ValueError, match="no model"):
        report_html(replace(example(), table=()))


def test_plots_parse_and_name_every_model() -> None:
    content = example()
    for svg in (
        cost_plot(content.table, content.candidates),
        cost_plot(content.table),
        progress_plot(content.candidates),
    ):
        ElementTree.fromstring(svg)
    texts = [element.text for element in ElementTree.fromstring(cost_plot(content.table)).iter() if element.text]
    near = {name for name, *_ in MODELS} - {"fm", "lr"}
    assert near <= set(texts)
    (outside,) = [text for text in texts if text.startswith("not shown")]
    assert "fm (0.3351 at 176 MACs)" in outside
    assert "lr (0.3527 at 1 MACs)" in outside


@pytest.mark.parametrize("candidates", [0, 200])
def test_names_in_the_plot_cover_no_name_and_no_point(candidates: int, monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Any] = []

    def keep(figure: Any, _: str) -> str:
        figures.append(figure)
        return ""

    monkeypatch.setattr(plots, "svg", keep)
    content = example()
    cost_plot(content.table, content.candidates[:candidates])
    figure, axes = figures[0], figures[0].axes[0]
    figure.draw_without_rendering()
    texts = [text for text in axes.texts if text.get_visible()]
    boxes = [text.get_window_extent(figure.canvas.get_renderer()) for text in texts]
    assert len(boxes) == 7
    assert not [1 for i, box in enumerate(boxes) for other in boxes[:i] if box.overlaps(other)]
    for standing in content.table[:6]:
        assert standing.test_log_loss is not None
        x, y = axes.transData.transform((standing.live_macs, standing.test_log_loss.mean))
        assert not [box for box in boxes if box.contains(x, y)]


def test_the_view_leaves_out_only_what_is_far_off() -> None:
    assert far_off([0.311, 0.312, 0.313, 0.314, 0.35]) == [False, False, False, False, True]
    assert not any(far_off([0.311, 0.35]))
    assert not any(far_off([0.3, 0.3, 0.3, 0.3]))


def test_the_pareto_front() -> None:
    assert pareto([(3, 1), (1, 3), (2, 3), (2, 2), (4, 1), (1, 4)]) == [(1, 3), (2, 2), (3, 1)]
    assert pareto([]) == []


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(width: int, html: str, widths: Callable[[str, int], tuple[int, int]]) -> None:
    needed, given = widths(html, width)
    assert given == width
    assert needed <= given


def test_inlined_svgs_keep_their_references() -> None:
    text = '<?xml version="1.0"?><svg><g id="a"/><use xlink:href="#a"/><path clip-path="url(#a)" fill="#1c2024"/></svg>'
    assert inline(text, "p") == (
        '<svg><g id="p-a"/><use xlink:href="#p-a"/><path clip-path="url(#p-a)" fill="var(--ink)"/></svg>'
    )
