"""The last layer's refit in the metric of its curvature: the optimum, in few passes, whatever the rounding."""

from __future__ import annotations

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from nasrec_nni.evaluation import last_layer
from nasrec_nni.evaluation.last_layer import fit_lbfgs, fit_newton
from nasrec_nni.evaluation.logistic import Logistic

RIDGE = 1e-2


def _rows(count: int = 3000, columns: int = 40) -> tuple[Tensor, Tensor, Tensor]:
    """Columns of very different sizes that go along with one another, as a network's features do; labels; weights."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    x = (draw(count, columns) + 3 * draw(count, 1)) * torch.logspace(-1, 1, columns, dtype=torch.float64)
    y = (
        torch.rand(count, generator=generator, dtype=torch.float64) < torch.sigmoid(x @ draw(columns) / 9 - 1)
    ).double()
    return x, y, torch.randint(1, 4, (count,), generator=generator).double()


@pytest.mark.parametrize("sample", [8192, 200, 7])
def test_newton_equals_sklearn_whatever_the_sample(sample: int) -> None:
    x, y, weight = _rows()
    oracle = LogisticRegression(C=1 / (RIDGE * weight.sum().item()), tol=1e-12, max_iter=20_000)
    oracle.fit(x.numpy(), y.numpy(), sample_weight=weight.numpy())
    start = torch.zeros(41, dtype=torch.float64)
    exact = {"gain": 1e-14, "flat": 1e-6, "iterations": 1000}
    found, converged = fit_newton(x, y, start, RIDGE, weight=weight, sample=sample, **exact)
    assert converged
    expected = torch.tensor([*oracle.coef_[0], *oracle.intercept_])
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_rows_of_weight_three_count_as_three() -> None:
    x, y, weight = _rows(600, 5)
    start = torch.zeros(6, dtype=torch.float64)
    times = weight.long()
    repeated = Logistic(x.repeat_interleave(times, 0), y.repeat_interleave(times), start, RIDGE, None, None)
    weighted = Logistic(x, y, start, RIDGE, weight, 100)
    expected = torch.from_numpy(repeated.curvature(10_000))
    torch.testing.assert_close(torch.from_numpy(weighted.curvature(600)), expected, rtol=1e-10, atol=1e-12)


def test_curvature_is_the_second_derivative() -> None:
    x, y, weight = _rows(500, 4)
    start = torch.tensor([0.1, -0.2, 0.05, 0.0, 0.3], dtype=torch.float64)

    def loss(head: Tensor) -> Tensor:
        each = torch.nn.functional.softplus(x @ head[:-1] + head[-1]) - y * (x @ head[:-1] + head[-1])
        return (each @ weight) / weight.sum() + RIDGE / 2 * (head[:-1] - start[:-1]).square().sum()

    expected = torch.autograd.functional.hessian(loss, start)
    found = torch.from_numpy(Logistic(x, y, start, RIDGE, weight, None).curvature(500))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_newton_takes_few_passes_and_ends_where_lbfgs_would(monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []
    minimize = last_layer.minimize

    def counted(*arguments: object, **named: object) -> object:
        found = minimize(*arguments, **named)
        passes.append(found.nfev)
        return found

    monkeypatch.setattr(last_layer, "minimize", counted)
    x, y, _ = _rows()
    x, y, start = x.float(), y.float(), torch.zeros(41)
    newton, _ = fit_newton(x, y, start, RIDGE)
    lbfgs, _ = fit_lbfgs(x.double(), y.double(), start.double(), RIDGE, iterations=5000, gain=1e-15)
    assert passes[0] <= 20 < passes[1]
    exact = Logistic(x.double(), y.double(), start.double(), RIDGE, None, None)
    best, found = exact(lbfgs.numpy())[0], exact(newton.double().numpy())[0]
    assert found == pytest.approx(best, abs=1e-7)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_rounding_and_parts_do_not_move_it(kind: torch.dtype) -> None:
    x, y, _ = _rows()
    x, y, start = x.to(kind), y.float(), torch.zeros(41)
    expected, _ = fit_newton(x.float(), y, start, RIDGE)
    for rows in (None, 1000, 17):
        found, _ = fit_newton(x, y, start, RIDGE, rows=rows)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected, rtol=0, atol=2e-3)


def test_features_that_are_not_finite_or_constant_or_without_ridge() -> None:
    x, y, _ = _rows(300, 5)
    start = torch.arange(6).double()
    broken = x.clone()
    broken[7, 2] = torch.nan
    found, converged = fit_newton(broken, y, start, RIDGE)
    assert converged is False
    assert torch.equal(found, start)
    same = torch.cat((x, x, torch.zeros(300, 1, dtype=torch.float64)), 1).float()
    found, converged = fit_newton(same, y.float(), torch.zeros(12), 0.0)
    assert converged
    assert found.isfinite().all()
