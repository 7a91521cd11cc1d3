"""The Gaussian process whose posterior mean stands for the unknown objective."""

from __future__ import annotations

import torch
from gpytorch.kernels import RBFKernel
from torch import Tensor

from reference_root.checks import check_finite, check_shape

__all__ = ["GP"]


class GP:
    """Gaussian process regression with K(x, x') = variance exp(-|x - x'|^2 / (2 lengthscale^2)).

    x_train (N, D) and y_train (N,) fix dtype and device. `lengthscale` and `variance` are numbers or tensors of one
    element. The lengthscale is kept by gpytorch's `RBFKernel`, so what is read back went through softplus and its
    inverse.

    Raises ValueError for non-finite designs or scores, wrong shapes and a lengthscale that is not positive, and torch's
    `LinAlgError` if K + noise I is not positive definite.
    Source: ROOT, `gaussian_process/GP.py`; arXiv 2509.16300, section on Gaussian-process sampling.
    """

    def __init__(
        self,
        x_train: Tensor,
        y_train: Tensor,
        lengthscale: float | Tensor,
        variance: float | Tensor,
        noise: float,
        mean_prior: float = 0.0,
    ) -> None:
        check_shape("x_train", x_train, (None, None))
        check_shape("y_train", y_train, (x_train.shape[0],))
        check_finite("x_train", x_train)
        check_finite("y_train", y_train)
        self.x_train = x_train
        self.y_train = y_train
        self.noise = noise
        self.mean_prior = mean_prior
        self.kernel = RBFKernel().to(device=x_train.device, dtype=x_train.dtype).requires_grad_(False)
        self.set_hyper(lengthscale, variance)

    @property
    def lengthscale(self) -> Tensor:
        """The lengthscale as the kernel gives it back, (1, 1)."""
        lengthscale: Tensor = self.kernel.lengthscale
        return lengthscale

    def set_hyper(self, lengthscale: float | Tensor, variance: float | Tensor) -> None:
        """Takes new hyperparameters and refits: coef (N,) = (K(X, X) + noise I)^-1 (y - mean_prior), by Cholesky."""
        self.keep_hyper(lengthscale, variance)
        with torch.no_grad():
            identity = torch.eye(len(self.x_train), dtype=self.x_train.dtype, device=self.x_train.device)
            covariance = self._covariance(self.x_train) + self.noise * identity
            residual = (self.y_train - self.mean_prior)[:, None]
            self.coef = torch.cholesky_solve(residual, torch.linalg.cholesky(covariance))[:, 0]

    def keep_hyper(self, lengthscale: float | Tensor, variance: float | Tensor) -> None:
        """Takes new hyperparameters without refitting: `coef` stays what it is."""
        # Tensors in the data's dtype: gpytorch itself would round a plain number to float32 first.
        lengthscale = torch.as_tensor(lengthscale, dtype=self.x_train.dtype, device=self.x_train.device)
        if not bool((lengthscale > 0).all()):
            raise ValueError(f"lengthscale must be positive, got {lengthscale.tolist()}")
        self.kernel.lengthscale = lengthscale
        self.variance = torch.as_tensor(variance, dtype=self.x_train.dtype, device=self.x_train.device)

    def mean_posterior(self, x: Tensor) -> Tensor:
        """mean_prior + K(X, x)^T coef at x (M, D): (M,), differentiable in x. Raises ValueError for non-finite x."""
        check_shape("x", x, (None, self.x_train.shape[1]))
        check_finite("x", x.detach())
        return self.mean_at(x)

    def mean_at(self, x: Tensor) -> Tensor:
        """`mean_posterior` without checks: designs that diverged on the way give NaN, as published."""
        return self.mean_prior + self._covariance(x).T @ self.coef

    def _covariance(self, x: Tensor) -> Tensor:
        covariance: Tensor = self.variance * self.kernel.forward(self.x_train, x)
        return covariance
