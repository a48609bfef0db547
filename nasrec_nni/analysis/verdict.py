"""Is the winner's gain more than noise? Differences paired over seeds and over test rows, said in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from nasrec_nni.analysis.leaderboard import Kind, Standing, first_eligible
from nasrec_nni.analysis.paired import CONFIDENCE, Difference, RowDifference, paired_difference, seed_factor

ENOUGH = 5  # seeds from which on the page says no more that they are few
NAMES: dict[Kind, str] = {
    "searched": "searched network",
    "random": "random architecture",
    "hand-made": "hand-made model",
}


@dataclass(frozen=True)
class Verdict:
    """Who won, and against whom it is measured.

    Args:
        headline: who won and whether that is more than noise, one sentence.
        detail: the difference and its interval in figures, one sentence.
        winner: by the winner rule.
        rival: the best searched network if a hand-made model won, else the best hand-made one; None if there is none.
        difference: winner minus rival.
        method: how the difference was judged, and what so many seeds can tell; empty if it was not.
    """

    headline: str
    detail: str
    winner: Standing
    rival: Standing | None
    difference: Difference | None
    method: str = ""


def contestants(table: Sequence[Standing]) -> tuple[Standing, Standing | None]:
    """The winner, and the best of the other kind if one was trained.

    Raises:
        ValueError: nobody can win.
    """
    winner = first_eligible(table)
    wanted = "searched" if winner.kind == "hand-made" else "hand-made"
    return winner, next((standing for standing in table if standing.kind == wanted), None)


def reference(table: Sequence[Standing]) -> Standing:
    """The model that all others are measured against: the best hand-made one, or the winner if there is none.

    Raises:
        ValueError: nobody can win.
    """
    return next((standing for standing in table if standing.kind == "hand-made"), None) or first_eligible(table)


def judged_rows(table: Sequence[Standing], rows: Mapping[int, RowDifference]) -> RowDifference | None:
    """Winner minus rival over the test rows.

    Args:
        table: standings in order.
        rows: of models against the `reference`, by their place in the table.
    """
    winner, rival = contestants(table)
    if rival is None:
        return None
    if winner is not reference(table):
        return rows.get(table.index(winner))
    turned = rows.get(table.index(rival))
    return None if turned is None else turned.turned()


def verdict(table: Sequence[Standing], rows: RowDifference | None = None) -> Verdict:
    """Judge standings that are ordered by the winner rule.

    Args:
        table: all models.
        rows: difference of the two `contestants` over the test rows, if their predictions are at hand.

    Raises:
        ValueError: nobody can win.
    """
    winner, rival = contestants(table)
    wanted = "searched" if winner.kind == "hand-made" else "hand-made"
    who = f"The {NAMES[winner.kind]} {winner.model}"
    if rival is None:
        headline = f"{who} won; no {wanted} model was trained, so the gain cannot be judged."
        return Verdict(headline, f"Its log loss is {_loss(winner)}.", winner, None, None)
    difference = paired_difference(winner, rival)
    headline = f"{who} won against the best {NAMES[rival.kind]}, {rival.model}{_judgement(difference, rows)}."
    return Verdict(
        headline, _detail(winner, rival, difference, rows), winner, rival, difference, _method(difference, rows)
    )


def random_architectures(table: Sequence[Standing]) -> str | None:
    """How good an average random architecture is, one sentence; None if none was trained."""
    drawn = [standing for standing in table if standing.kind == "random"]
    if not drawn:
        return None
    opened = all(standing.test_log_loss for standing in drawn)
    losses = [((s.test_log_loss if opened else None) or s.val_log_loss).mean for s in drawn]
    split = "test" if opened else "validation"
    if len(losses) == 1:
        text = f"The random architecture trained to compare with has a {split} log loss of {losses[0]:.4f}."
    else:
        text = (
            f"An average random architecture of the same space has a {split} log loss of {fmean(losses):.4f} ± "
            f"{stdev(losses):.4f} (mean and deviation over {len(losses)} architectures)."
        )
    if table[0].kind == "random":
        text += f" One of them, {table[0].model}, is ahead of the winner on the validation rows."
    return text


def _judgement(difference: Difference | None, rows: RowDifference | None) -> str:
    if difference is None:
        return "; they share no seed, so the gain cannot be judged"
    if difference.within_noise is None:
        return "; with a single seed this cannot be told from noise"
    if difference.within_noise:
        return ", but the gain is within noise"
    if rows is not None and rows.within_noise:
        return f", but {rows.rows:,} test rows are too few to tell the difference from chance"
    noise = "seed noise" if rows is None else "noise"
    if difference.mean > 0:
        return f" by the rule (validation), but on the {difference.split} rows it is worse, by more than {noise}"
    return f", and the gain is more than {noise}"


def _detail(winner: Standing, rival: Standing, difference: Difference | None, rows: RowDifference | None) -> str:
    text = f"Log loss {_loss(winner)} against {_loss(rival)}"
    if difference is None:
        return f"{text}."
    text += f"; paired difference {_signed(difference.mean)}"
    if difference.low is None or difference.high is None:
        return f"{text} on seed {difference.seeds[0]} alone ({difference.split} rows)."
    over_seeds = f"{_signed(difference.low)} to {_signed(difference.high)} over {len(difference.seeds)} seeds"
    if rows is None:
        over_rows = f"on {difference.split} rows whose own chance is not judged"
    else:
        over_rows = f"{_signed(rows.low)} to {_signed(rows.high)} over {rows.rows:,} test rows"
    return f"{text} ({CONFIDENCE:.0%} intervals: {over_seeds}, {over_rows}; below 0 favours the winner)."


def _method(difference: Difference | None, rows: RowDifference | None) -> str:
    if difference is None:
        return ""
    if difference.low is None:
        return "One seed shows how the two trainings came out, not how much luck was in it: train with 3 seeds or more."
    count = len(difference.seeds)
    text = "Over seeds: Student's t of the differences seed by seed (same seed, same rows, same order of batches)."
    if rows is not None:
        text += " Over rows: normal interval of the mean difference of the losses row by row, averaged over seeds."
        text += " The gain counts as more than noise only if neither interval holds 0."
    if count < ENOUGH:
        text += (
            f" {count} seeds tell little: a mean difference has to be {seed_factor(count):.1f} times the deviation "
            f"between seeds to count; with {ENOUGH} seeds {seed_factor(ENOUGH):.1f} times would do."
        )
    return text


def _loss(standing: Standing) -> str:
    return (standing.test_log_loss or standing.val_log_loss).text()


def _signed(value: float) -> str:
    return f"{value:+.4f}".replace("-", "−")
