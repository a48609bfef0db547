"""Winner rule, means and deviations, files, paired differences and the sentence about them."""

from __future__ import annotations

import csv
import math
import random
from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm, ttest_rel

from nasrec_nni.analysis.leaderboard import (
    Result,
    Standing,
    first_eligible,
    standings,
    write_leaderboard,
    write_results,
)
from nasrec_nni.analysis.objectives import AUC, LOG_LOSS
from nasrec_nni.analysis.paired import RowDifference, paired_difference
from nasrec_nni.analysis.verdict import random_architectures, verdict
from nasrec_nni.errors import UserError
from nasrec_nni.plugins import registry

RESULT = Result("dlrm", None, 0, 0.31, 0.89, 0.313, 0.897, 1.01, 1000, 50, 5000, 63.0)


def model(
    name: str, val: list[float], test: list[float | None], macs: int = 1000, architecture: str | None = None
) -> list[Result]:
    return [
        replace(RESULT, model=name, architecture=architecture, seed=s, val_log_loss=v, test_log_loss=t, live_macs=macs)
        for s, (v, t) in enumerate(zip(val, test, strict=True))
    ]


def named(table: list[Standing]) -> list[str]:
    return [standing.model for standing in table]


# ---- the rule ------------------------------------------------------------------------------------------------------


def test_the_rule_reads_validation_and_never_test() -> None:
    results = model("a", [0.30, 0.32], [0.50, 0.50]) + model("b", [0.31, 0.32], [0.10, 0.10])
    assert named(standings(results)) == ["a", "b"]
    closed = [replace(result, test_log_loss=None, test_auc=None, calibration=None) for result in results]
    assert named(standings(closed)) == ["a", "b"]


def test_it_takes_the_mean_and_not_the_best_seed() -> None:
    assert named(standings(model("lucky", [0.1, 0.9], [0, 0]) + model("steady", [0.4, 0.4], [0, 0])))[0] == "steady"


def test_ties_go_to_fewer_macs_then_to_the_name() -> None:
    results = model("x", [0.3], [0.3], macs=20) + model("b", [0.3], [0.3], macs=10) + model("a", [0.3], [0.3], macs=20)
    for seed in range(5):
        random.Random(seed).shuffle(results)
        assert named(standings(results)) == ["b", "a", "x"]


def test_means_and_sample_deviations() -> None:
    (standing,) = standings(model("a", [0.1, 0.2, 0.6], [0.2, 0.2, 0.2]))
    assert astuple(standing.val_log_loss) == pytest.approx((0.3, math.sqrt(0.14 / 2)))
    assert standing.test_log_loss is not None
    assert astuple(standing.test_log_loss) == pytest.approx((0.2, 0))
    assert standing.seeds == (0, 1, 2)


def test_one_seed_has_no_deviation_and_a_missing_figure_no_mean() -> None:
    (one,) = standings(model("a", [0.3], [None]))
    assert one.val_log_loss.deviation is None
    assert one.val_log_loss.text() == "0.3000"
    assert one.test_log_loss is None
    (half,) = standings(model("a", [0.3, 0.3], [0.3, None]))
    assert half.test_log_loss is None


def test_wrong_results_are_refused() -> None:
    with pytest.raises(ValueError, match="seed twice"):
        standings([RESULT, RESULT])
    with pytest.raises(ValueError, match="is nan"):
        standings([replace(RESULT, val_log_loss=math.nan)])


# ---- files ---------------------------------------------------------------------------------------------------------


def test_files_hold_what_was_measured(tmp_path: Path) -> None:
    hostile = 'a,"b"\n<c>'
    results = model(hostile, [0.3, 0.32], [0.31, None], architecture="ab12") + model("lr", [0.5], [0.5])
    write_results(results, tmp_path / "results.csv")
    rows = list(csv.DictReader((tmp_path / "results.csv").open(newline="")))
    assert [row["model"] for row in rows] == [hostile, hostile, "lr"]
    assert [row["test_log_loss"] for row in rows] == ["0.31", "", "0.5"]
    assert float(rows[1]["val_log_loss"]) == 0.32
    write_leaderboard(standings(results), tmp_path / "leaderboard.csv")
    board = list(csv.DictReader((tmp_path / "leaderboard.csv").open(newline="")))
    assert [(row["rank"], row["model"], row["seeds"]) for row in board] == [("1", hostile, "0 1"), ("2", "lr", "0")]
    assert float(board[0]["val_log_loss_mean"]) == pytest.approx(0.31)
    assert board[0]["test_log_loss_mean"] == board[1]["val_log_loss_deviation"] == ""


# ---- differences ---------------------------------------------------------------------------------------------------


def test_paired_interval_equals_scipy() -> None:
    first: list[float | None] = [0.310, 0.316, 0.313]
    second: list[float | None] = [0.315, 0.318, 0.319]
    a, b = standings(model("a", [0.1] * 3, first) + model("b", [0.2] * 3, second))
    found, expected = paired_difference(a, b), ttest_rel(first, second).confidence_interval(0.95)
    assert found is not None
    assert found.mean == pytest.approx(-0.0043333333)
    assert found.low == pytest.approx(expected.low)
    assert found.high == pytest.approx(expected.high)
    assert found.split == "test"


def test_pairs_are_made_by_seed_and_only_common_ones() -> None:
    left = [replace(RESULT, model="a", seed=s, test_log_loss=0.1 * s) for s in (3, 1, 2)]
    right = [replace(RESULT, model="b", seed=s, test_log_loss=0.1 * s + 1) for s in (2, 3, 4)]
    by_name = {standing.model: standing for standing in standings(left + right)}
    found = paired_difference(by_name["a"], by_name["b"])
    assert found is not None
    assert found.seeds == (2, 3)
    assert found.mean == pytest.approx(-1)
    lonely = standings([replace(RESULT, seed=9)])[0]
    assert paired_difference(by_name["a"], lonely) is None


@pytest.mark.parametrize(
    ("searched", "hand_made", "words"),
    [
        (([0.1] * 3, [0.300, 0.301, 0.302]), ([0.2] * 3, [0.310, 0.311, 0.3121]), "more than noise."),
        (([0.1] * 3, [0.300, 0.320, 0.310]), ([0.2] * 3, [0.310, 0.311, 0.312]), "but the gain is within noise."),
        (([0.1] * 3, [0.310, 0.311, 0.3121]), ([0.2] * 3, [0.300, 0.301, 0.302]), "it is worse, by more than noise."),
        (([0.1], [0.300]), ([0.2], [0.310]), "with a single seed this cannot be told from noise."),
    ],
)
def test_the_sentence(
    searched: tuple[list[float], list[float | None]], hand_made: tuple[list[float], list[float | None]], words: str
) -> None:
    table = standings(model("net", *searched, architecture="ab") + model("dlrm", *hand_made))
    sure, unsure = RowDifference(9000, -0.02, -0.01), RowDifference(9000, -0.02, 0.01)
    found = verdict(table, sure)
    assert found.headline.startswith("The searched network net won against the best hand-made model, dlrm")
    assert found.headline.endswith(words)
    assert "paired difference" in found.detail
    if "more than" in words:
        assert verdict(table).headline.endswith(words.replace("noise.", "seed noise."))
        assert "on test rows whose own chance is not judged" in verdict(table).detail
        assert "more than" not in verdict(table, unsure).headline
        assert verdict(table, unsure).headline.endswith(
            "9,000 test rows are too few to tell the difference from chance."
        )
        assert "−0.0200 to +0.0100 over 9,000 test rows" in verdict(table, unsure).detail
    else:
        assert verdict(table).headline == verdict(table, unsure).headline == found.headline


def test_the_interval_over_rows_equals_scipy() -> None:
    differences = np.random.default_rng(0).normal(0.01, 0.2, 500)
    found = RowDifference.of(differences)
    low, high = norm.interval(0.95, differences.mean(), differences.std(ddof=1) / 500**0.5)
    assert found is not None
    assert (found.rows, found.low, found.high) == (500, pytest.approx(low), pytest.approx(high))
    assert found.within_noise is bool(low < 0 < high)
    assert RowDifference.of(differences[:1]) is None


def test_row_difference_with_weights() -> None:
    differences = np.random.default_rng(0).normal(-0.01, 0.1, 3000)
    plain = RowDifference.of(differences)
    assert plain is not None
    equal = RowDifference.of(differences, np.full(3000, 2.5, np.float32))
    assert equal is not None
    assert (equal.rows, equal.low, equal.high) == (3000, pytest.approx(plain.low), pytest.approx(plain.high))
    assert RowDifference.of(differences[:1], np.ones(1)) is None


def test_row_difference_with_weights_covers_the_true_mean() -> None:
    """95 of 100 intervals hold it where heavy rows differ from light ones; the interval without weights does not."""
    generator = np.random.default_rng(3)
    held = blind = 0
    for _ in range(400):
        weight = generator.choice([1.0, 9.0], 500, p=[0.7, 0.3])
        differences = generator.normal(np.where(weight > 1, 0.03, -0.01), 0.1)
        true = (0.7 * 1 * -0.01 + 0.3 * 9 * 0.03) / (0.7 + 2.7)
        found, other = RowDifference.of(differences, weight), RowDifference.of(differences)
        assert found is not None
        assert other is not None
        held += found.low <= true <= found.high
        blind += other.low <= true <= other.high
    assert 0.92 < held / 400 < 0.98
    assert blind / 400 < 0.5


def test_a_hand_made_winner_is_measured_against_the_best_searched_network() -> None:
    results = model("fm", [0.1] * 2, [0.3] * 2) + model("lr", [0.2] * 2, [0.3] * 2)
    results += model("net", [0.3] * 2, [0.3] * 2, architecture="ab")
    found = verdict(standings(results))
    assert found.headline.startswith("The hand-made model fm won against the best searched network, net")
    assert found.rival is not None
    assert found.rival.model == "net"


def test_a_random_architecture_is_never_called_searched() -> None:
    drawn = [replace(r, random=True) for r in model("random-1", [0.1] * 2, [0.30] * 2, architecture="cd")]
    more = [replace(r, random=True) for r in model("random-2", [0.4] * 2, [0.32] * 2, architecture="ef")]
    others = model("dlrm", [0.2] * 2, [0.31] * 2) + model("net", [0.3] * 2, [0.33] * 2, architecture="ab")
    table = standings(drawn + more + others)
    assert [standing.kind for standing in table] == ["random", "hand-made", "searched", "random"]
    assert first_eligible(table).model == "dlrm"
    found = verdict(table)
    assert found.headline.startswith("The hand-made model dlrm won against the best searched network, net")
    with pytest.raises(ValueError, match="could win"):
        verdict(standings(drawn + more))
    words = random_architectures(table)
    assert words is not None
    assert "test log loss of 0.3100 ± 0.0141 (mean and deviation over 2 architectures)" in words
    assert "One of them, random-1, is ahead of the winner" in words
    behind = random_architectures(standings(more + others))
    assert behind is not None
    assert "ahead" not in behind
    assert random_architectures(standings(others)) is None


def test_nobody_to_compare_with() -> None:
    assert "no searched model was trained" in verdict(standings([RESULT])).headline
    with pytest.raises(ValueError, match="no model was trained"):
        verdict([])


# ---- objectives ----------------------------------------------------------------------------------------------------


def test_objectives_are_turned_so_that_lower_is_better() -> None:
    class Score:
        log_loss = 0.4
        auc: float | None = 0.8

    assert registry("objectives").load("log_loss") is LOG_LOSS
    assert (LOG_LOSS.value(Score()), AUC.value(Score())) == (0.4, -0.8)
    Score.auc = None
    with pytest.raises(UserError, match="same label"):
        AUC.value(Score())
