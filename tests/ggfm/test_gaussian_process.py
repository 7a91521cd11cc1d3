"""Closed formulas against automatic differentiation, blocks against whole matrices."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ggfm import cholesky
from ggfm.gaussian_process import GaussianProcess, through_softplus
from ggfm.kernel import DesignKernel


def _plain_mean(
    x_train: Tensor, y_train: Tensor, x: Tensor, lengthscale: float, variance: float, noise: float
) -> Tensor:
    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return variance * torch.exp(-((a[:, None] - b[None]) ** 2).sum(-1) / (2 * lengthscale**2))

    coef = torch.linalg.solve(kernel(x_train, x_train) + noise * torch.eye(len(x_train), dtype=x.dtype), y_train)
    return kernel(x, x_train) @ coef


@pytest.mark.parametrize(("lengthscale", "variance"), [(1.0, 1.0), (6.25, 6.25), (1.3, 0.8)])
@pytest.mark.parametrize("points", [1, 64, 150])
def test_closed_form_gradient_is_that_of_autograd(lengthscale: float, variance: float, points: int) -> None:
    g = torch.Generator().manual_seed(0)
    x_train = torch.randn(90, 5, generator=g, dtype=torch.float64)
    y_train = torch.randn(90, generator=g, dtype=torch.float64)
    x = torch.randn(points, 5, generator=g, dtype=torch.float64, requires_grad=True)
    mean = _plain_mean(x_train, y_train, x, lengthscale, variance, 0.01)
    (expected,) = torch.autograd.grad(mean.sum(), x)
    gp = GaussianProcess(x_train, y_train, lengthscale=lengthscale, variance=variance, noise=0.01)
    torch.testing.assert_close(gp.mean_posterior(x.detach()), mean.detach(), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(gp.gradient(x.detach()), expected, rtol=1e-9, atol=1e-9)


def test_float32_loses_no_more_than_the_plain_formula() -> None:
    g = torch.Generator().manual_seed(1)
    x_train, x = torch.randn(1200, 8, generator=g) + 3, torch.randn(50, 8, generator=g) + 3
    y_train = x_train.sum(1).sin()
    kernel = DesignKernel(x_train)
    weights = y_train[:, None]
    exact = torch.exp(-(torch.cdist(x.double(), x_train.double()) ** 2) / 2) @ weights.double()
    plain = torch.exp(-(torch.cdist(x, x_train, compute_mode="use_mm_for_euclid_dist") ** 2) / 2) @ weights
    error = (kernel.rows_times(x - kernel.centre, weights, 0.5) - exact).abs().max()
    assert error <= 2 * (plain - exact).abs().max()


def test_panels_give_the_same_solution_as_one_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    g = torch.Generator().manual_seed(2)
    x = torch.randn(70, 4, generator=g, dtype=torch.float64)
    y = torch.randn(70, generator=g, dtype=torch.float64)
    whole = DesignKernel(x).solve(y, 0.5, 1.5, 0.01)
    for module in ("ggfm.cholesky", "ggfm.kernel"):
        monkeypatch.setattr(f"{module}.BLOCK", 16)
    assert len(cholesky.empty_panels(70, x)) == 5
    torch.testing.assert_close(DesignKernel(x).solve(y, 0.5, 1.5, 0.01), whole, rtol=1e-10, atol=1e-10)


def test_a_refit_is_a_fit() -> None:
    g = torch.Generator().manual_seed(3)
    x, y = torch.randn(40, 3, generator=g), torch.randn(40, generator=g)
    refitted = GaussianProcess(x, y, lengthscale=2.0, variance=3.0, noise=0.01, mean_prior=0.5)
    first = refitted.coef
    refitted.set_hyper(1.3, 0.8)
    fresh = GaussianProcess(x, y, lengthscale=1.3, variance=0.8, noise=0.01, mean_prior=0.5)
    assert torch.equal(refitted.coef, fresh.coef)
    assert not torch.equal(refitted.coef, first)


def test_lengthscale_goes_through_softplus() -> None:
    gp = GaussianProcess(torch.zeros(1, 1), torch.zeros(1), lengthscale=1.3, variance=1.0, noise=0.1)
    assert torch.equal(gp.lengthscale, through_softplus(torch.tensor(1.3)))
    assert abs(float(gp.lengthscale) - 1.3) < 1e-6


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (torch.zeros(3), torch.zeros(3), "x_train"),
        (torch.zeros(3, 2), torch.zeros(2), "y_train"),
        (torch.zeros(0, 2), torch.zeros(0), "no design"),
        (torch.tensor([[float("nan")], [1.0]]), torch.zeros(2), "x_train: 1 of 2 values"),
        (torch.tensor([[float("inf")], [1.0]]), torch.zeros(2), "NaN or infinite"),
    ],
)
def test_bad_designs_are_refused(x: Tensor, y: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GaussianProcess(x, y, lengthscale=1.0, variance=1.0, noise=0.1)


def test_points_of_another_dimension_are_refused() -> None:
    gp = GaussianProcess(torch.zeros(2, 3), torch.zeros(2), lengthscale=1.0, variance=1.0, noise=0.1)
    with pytest.raises(ValueError, match=r"x: expected shape \(M, 3\), got \(5, 2\)"):
        gp.gradient(torch.zeros(5, 2))


@pytest.mark.parametrize("lengthscale", [0.0, -1.0])
def test_a_lengthscale_that_is_not_positive_is_refused(lengthscale: float) -> None:
    x = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="lengthscale: expected a positive number"):
        GaussianProcess(x, x[:, 0], lengthscale=lengthscale, variance=1.0, noise=0.1)


def test_scores_that_are_not_finite_are_refused() -> None:
    x = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="y_train"):
        GaussianProcess(x, torch.tensor([0.0, float("nan"), 1.0, 2.0]), lengthscale=1.0, variance=1.0, noise=0.1)
