"""What the page is made of: forecast of the scores, intervals, failed candidates, stages, swept recipes, terms."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import kendalltau, t

from nasrec_nni.analysis import intervals, search_plots
from nasrec_nni.analysis.candidates import Candidate, agreement
from nasrec_nni.analysis.glossary import OPERATORS, TERMS, terms
from nasrec_nni.analysis.html import duration, signed
from nasrec_nni.analysis.intervals import intervals_plot
from nasrec_nni.analysis.leaderboard import Result, Standing, standings
from nasrec_nni.analysis.paired import RowDifference, contrast, seed_factor
from nasrec_nni.analysis.report import ReportContent, report_html
from nasrec_nni.analysis.search_plots import agreement_plot, progress_plot
from nasrec_nni.analysis.stage_times import StageTime
from nasrec_nni.analysis.verdict import judged_rows, reference, verdict
from nasrec_nni.architecture.json import load_architecture

RESULT = Result("mlp", None, 0, 0.31, 0.89, 0.313, 0.897, 1.01, 1000, 50, 5000, 63.0)
ARCHITECTURE = load_architecture(Path(__file__).parent / "published" / "criteo_autoctr.json")


def searched(losses: list[float]) -> list[Standing]:
    results = [
        replace(RESULT, model=f"net-{at}", architecture=f"{at:016x}", seed=seed, test_log_loss=loss + seed / 1e4)
        for at, loss in enumerate(losses)
        for seed in range(2)
    ]
    return standings(results)


def candidates(scores: list[float | None]) -> list[Candidate]:
    return [
        Candidate(at, f"{at:016x}", None if score is None else 1000 + at, score, "bad" if score is None else None)
        for at, score in enumerate(scores)
    ]


def small(**changes: Any) -> ReportContent:
    """A page of two models."""
    hand = [replace(RESULT, seed=seed, val_log_loss=0.33 + seed / 1e3) for seed in range(2)]
    table = standings([*hand, *(result for one in searched([0.31]) for result in one.results)])
    content = ReportContent(
        "run", tuple(table), None, (1, 7), (), {"rows": 9}, {"learning_rate": 1e-3}, {"space": "small"}, {}, {},
        (0, 1), 4, datetime(2026, 1, 2, tzinfo=timezone.utc),
    )  # fmt: skip
    return replace(content, **changes)


# ---- supernet scores beside trained losses -------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_ranks_and_tau(seed: int) -> None:
    generator = random.Random(seed)
    losses, scores = ([generator.random() for _ in range(6)] for _ in range(2))
    found = agreement(candidates([*scores, None]), searched(losses))
    assert found is not None
    assert [pair.score for pair in found.pairs] == sorted(scores)
    assert [pair.score_rank for pair in found.pairs] == [1, 2, 3, 4, 5, 6]
    by_model = {pair.model: pair for pair in found.pairs}
    for at, loss in enumerate(losses):
        assert by_model[f"net-{at}"].loss_rank == 1 + sum(other < loss for other in losses)
        assert by_model[f"net-{at}"].loss.mean == pytest.approx(loss + 0.00005)
    assert found.tau == pytest.approx(kendalltau(scores, losses).statistic)


def test_few_or_equal_ones_have_no_tau() -> None:
    few = agreement(candidates([0.4, 0.5, 0.6, 0.7]), searched([0.1, 0.2, 0.3, 0.4]))
    assert few is not None
    assert few.tau is None
    equal = agreement(candidates([0.4] * 5), searched([0.1, 0.2, 0.3, 0.4, 0.5]))
    assert equal is not None
    assert equal.tau is None
    assert agreement([], searched([0.1])) is None
    assert agreement(candidates([0.4]), standings([RESULT])) is None


def test_a_score_of_a_part_of_the_rows_is_no_score() -> None:
    given_up = [replace(one, rejected=True) for one in candidates([0.4])]
    assert agreement(given_up, searched([0.1])) is None


# ---- plots ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Figures instead of SVG."""
    kept: list[Any] = []
    for module in (search_plots, intervals):
        monkeypatch.setattr(module, "svg", lambda figure, _: kept.append(figure) or "")
    return kept


def drawn(axes: Any) -> dict[str, list[tuple[float, float]]]:
    return {line.get_label(): list(zip(*line.get_data(), strict=True)) for line in axes.lines}


def test_progress_shows_every_candidate_and_what_became_of_it(figures: list[Any]) -> None:
    found = candidates([0.5, 0.4, None, 0.45, 0.3])
    found[3] = replace(found[3], log_loss=0.2, rejected=True)  # an estimate, and no best
    progress_plot(found)
    lines = drawn(figures[0].axes[0])
    assert lines["candidate"] == [(1, 0.5), (2, 0.4), (5, 0.3)]
    assert lines["best so far"] == [(1, 0.5), (2, 0.4), (5, 0.3)]
    assert lines["given up early"] == [(4, 0.2)]
    assert [x for x, _ in lines["failed"]] == [3]


def test_a_search_in_which_all_failed_is_drawn(figures: list[Any]) -> None:
    progress_plot(candidates([None, None]))
    assert [x for x, _ in drawn(figures[0].axes[0])["failed"]] == [1, 2]


def test_intervals_are_those_of_the_contrasts(figures: list[Any]) -> None:
    base, *others = standings(
        [
            replace(RESULT, model=name, seed=seed, val_log_loss=loss, test_log_loss=loss + seed * slope)
            for name, loss, slope in (("a", 0.30, 0.001), ("b", 0.31, 0.002), ("c", 0.32, 0.001), ("lr", 0.9, 0.001))
            for seed in range(3)
        ]
    )
    against = [contrast(one, base, RowDifference(100, 0.001, 0.003)) for one in others]
    intervals_plot(against, [one.model.model for one in against])
    axes = figures[0].axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["b", "c", "lr"]
    bars = {tuple(round(float(x), 9) for x in line.get_xdata()) for line in axes.lines}
    for one in against:
        assert one.seeds is not None
        assert one.seeds.low is not None
        assert one.seeds.high is not None
        assert (round(one.seeds.low, 9), round(one.seeds.high, 9)) in bars
    assert (0.001, 0.003) in bars


def test_the_forecast_plot_names_every_pair(figures: list[Any]) -> None:
    found = agreement(candidates([0.4, 0.5, 0.6]), searched([0.1, 0.2, 0.3]))
    assert found is not None
    agreement_plot(found)
    assert {text.get_text() for text in figures[0].axes[0].texts} == {"net-0", "net-1", "net-2"}


# ---- words ---------------------------------------------------------------------------------------------------------


def test_what_so_many_seeds_can_tell() -> None:
    assert seed_factor(3) == pytest.approx(t.ppf(0.975, 2) / 3**0.5)
    few = verdict(small().table, RowDifference(50, -0.1, -0.01)).method
    assert f"2 seeds tell little: a mean difference has to be {seed_factor(2):.1f} times" in few
    assert "Student's t" in few
    assert "Over rows" in few
    many = [replace(RESULT, seed=seed, test_log_loss=0.3 + seed / 1e3) for seed in range(5)]
    nets = [replace(one, model="net", architecture="ab", val_log_loss=0.2) for one in many]
    assert "tell little" not in verdict(standings(many + nets)).method
    assert "One seed" in verdict(standings([many[0], nets[0]])).method


def test_rows_are_turned_for_a_hand_made_winner() -> None:
    nets = searched([0.32])
    hand = [replace(RESULT, seed=seed, val_log_loss=0.2) for seed in range(2)]
    table = standings([*hand, *nets[0].results])
    assert reference(table) is table[0]
    assert judged_rows(table, {1: RowDifference(50, 0.01, 0.03)}) == RowDifference(50, -0.03, -0.01)
    other = small().table  # a searched network won
    assert judged_rows(other, {0: RowDifference(50, 0.01, 0.03)}) == RowDifference(50, 0.01, 0.03)
    assert judged_rows(other, {}) is None


def test_failures_stages_and_recipes_are_on_the_page() -> None:
    hostile = "<b>&\"'{{ 7*7 }}</b>"
    content = small()
    every = [result for standing in content.table for result in standing.results]
    swept = [replace(one, trials=12, recipe="learning_rate 0.0031") for one in every]
    page = report_html(
        replace(
            content,
            table=tuple(standings(swept)),
            candidates=tuple(
                replace(one, failure=hostile if one.failure else None) for one in candidates([0.4, None, 0.5])
            ),
            stages=(StageTime("supernet", 125.0, 250.0, hostile),),
            config=f"seed: 0\n{hostile}\n",
        )
    )
    words = " ".join(page.split())
    assert "<b>" not in page
    assert page.count("&lt;b&gt;") >= 3
    assert "1 failed candidate, with reasons" in words
    assert "2 min 5 s" in words
    assert "4 min 10 s" in words
    assert words.count("learning_rate 0.0031") == 2
    assert "2 scored on the same validation rows" in words
    assert "peak learning rate" in words  # the recipe's keys are explained in place


def test_every_term_of_the_page_is_explained() -> None:
    page = report_html(small(architecture=ARCHITECTURE, candidates=tuple(candidates([0.4]))))
    used = {part.split('"')[0] for part in page.split('href="#term-')[1:]}
    assert used <= set(TERMS)
    assert all(f'id="term-{anchor}"' in page for anchor in used)
    operators = {one for block in ARCHITECTURE.blocks for one in (block.dense_operator, block.sparse_operator) if one}
    assert all(f'id="term-operator-{name}"' in page for name in operators)


def test_an_operator_of_a_stranger_is_explained_by_its_package() -> None:
    first = replace(ARCHITECTURE.blocks[0], dense_operator="theirs")
    found = terms(replace(ARCHITECTURE, blocks=(first, *ARCHITECTURE.blocks[1:])))
    assert "plug-in" in found["operator-theirs"][1]
    assert "theirs" not in OPERATORS


def test_a_hostile_operator_cannot_inject(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nasrec_nni.analysis.report.draw_svg", lambda *_: "<svg></svg>")
    hostile = "\"><script>alert('x')</script>"
    first = replace(ARCHITECTURE.blocks[0], dense_operator=hostile)
    page = report_html(small(architecture=replace(ARCHITECTURE, blocks=(first, *ARCHITECTURE.blocks[1:]))))
    assert "<script" not in page.lower()
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.9, "59.9 s"), (125, "2 min 5 s"), (3600, "1 h 0 min"), (7500, "2 h 5 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_signs() -> None:
    assert (signed(-0.00123), signed(0.5, 1)) == ("−0.0012", "+0.5")
