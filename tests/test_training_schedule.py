"""Learning rates, early stopping."""

from __future__ import annotations

import pytest
import torch

from nasrec_nni.config import Recipe
from nasrec_nni.training.schedule import Judge, build_schedule, cosine_rate, warmup_steps


@pytest.mark.parametrize(("steps", "expected"), [(71_625, 7_162), (63_170, 6_317), (116_905, 11_690)])
def test_published_warmup_steps(steps: int, expected: int) -> None:
    assert warmup_steps(0.1, steps) == expected


def test_cosine_has_the_measured_values() -> None:
    """SPEC section 6: 1e-8 at step 0, the peak at the end of the warm-up, half in the middle, 1e-8 at the end."""
    assert cosine_rate(0, 0.12, 100, 1100) == 1e-8
    assert cosine_rate(50, 0.12, 100, 1100) == pytest.approx(0.06, rel=1e-6)
    assert cosine_rate(100, 0.12, 100, 1100) == 0.12
    assert cosine_rate(600, 0.12, 100, 1100) == pytest.approx(0.06, rel=1e-6)
    assert cosine_rate(350, 0.12, 100, 1100) == pytest.approx(0.12 * (1 + 2**-0.5) / 2, rel=1e-6)
    assert cosine_rate(1100, 0.12, 100, 1100) == pytest.approx(1e-8, rel=1e-6)
    assert cosine_rate(0, 0.12, 0, 10) == 0.12


def test_schedule_sets_each_groups_rate_per_step() -> None:
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer = torch.optim.SGD([{"params": weights[:1]}, {"params": weights[1:], "lr": 0.5}], lr=0.12)
    schedule = build_schedule(optimizer, Recipe(preset="published"), 40)
    assert schedule is not None
    for step in range(40):
        rates = [group["lr"] for group in optimizer.param_groups]
        assert rates == pytest.approx([cosine_rate(step, peak, 4, 40) for peak in (0.12, 0.5)], rel=1e-12)
        optimizer.step()
        schedule.step()
    for name in ("constant", "plateau"):
        assert build_schedule(optimizer, Recipe(schedule=name), 40) is None


def judge(recipe: Recipe, figures: list[float]) -> tuple[list[bool], list[bool], list[float]]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    judge = Judge(recipe)
    best, stopped, rates = [], [], []
    for epoch, figure in enumerate(figures):
        best.append(judge.see(epoch, figure, optimizer))
        again = Judge(recipe)
        again.load_state_dict(judge.state_dict())
        assert again == judge
        judge = again
        stopped.append(judge.stopped)
        rates.append(round(optimizer.param_groups[0]["lr"], 6))
    return best, stopped, rates


def test_plateau_cuts_and_stops_with_the_last_cut() -> None:
    best, stopped, rates = judge(Recipe(schedule="plateau", patience=2), [0.5, 0.6, 0.4, 0.4])
    assert best == [True, False, True, False]
    assert stopped == [False, False, False, True]
    assert rates == [1.0, 0.1, 0.1, 0.01]


def test_constant_stops_after_epochs_in_a_row_without_gain() -> None:
    _, stopped, rates = judge(Recipe(schedule="constant", patience=2), [0.5, 0.6, 0.4, 0.4, 0.5])
    assert stopped == [False, False, False, False, True]
    assert set(rates) == {1.0}


def test_cosine_never_stops_and_auc_is_better_when_larger() -> None:
    best, stopped, _ = judge(Recipe(monitor="auc"), [0.6, 0.7, 0.65, 0.6, 0.5])
    assert best == [True, True, False, False, False]
    assert not any(stopped)
