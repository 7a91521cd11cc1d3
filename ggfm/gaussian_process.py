"""Gaussian process regression with a Gaussian kernel, built for many refits and many gradients.

The posterior mean's gradient is a closed formula, so no graph is recorded; a refit reuses the designs' distances.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ggfm.checks import require_finite, require_shape
from ggfm.kernel import DesignKernel

__all__ = ["GaussianProcess", "through_softplus"]


def through_softplus(lengthscale: Tensor) -> Tensor:
    """What a positive parameter reads as after it was set: softplus of its inverse. Last bits may change."""
    return functional.softplus(lengthscale + torch.log(-torch.expm1(-lengthscale)))


class GaussianProcess:
    """k(x, x') = variance exp(-|x - x'|²/(2 lengthscale²)); posterior mean m + k(x, X)^T coef with
    coef = (K(X, X) + noise I)^-1 (y - m).

    After ROOT's `gaussian_process/GP.py`. x_train (N, D), y_train (N,); results have their precision. `coef` is
    computed when it is first needed after a change of hyperparameters.
    Raises ValueError for shapes that do not fit, no design at all, NaN or infinity among designs or scores, and a
    lengthscale that is not positive.
    """

    def __init__(
        self,
        x_train: Tensor,
        y_train: Tensor,
        *,
        lengthscale: float | Tensor,
        variance: float | Tensor,
        noise: float,
        mean_prior: float = 0.0,
    ) -> None:
        require_shape("x_train", x_train, ("N", "D"))
        require_shape("y_train", y_train, (len(x_train),))
        require_finite("x_train", x_train)
        require_finite("y_train", y_train)
        if len(x_train) == 0:
            raise ValueError("x_train: got no design, expected at least one")
        self.dtype = x_train.dtype
        self.noise = noise
        self.mean_prior = mean_prior
        self._kernel = DesignKernel(x_train)
        self._residual = y_train - mean_prior
        self.set_hyper(lengthscale, variance)

    def set_hyper(self, lengthscale: float | Tensor, variance: float | Tensor, *, keep_coef: bool = False) -> None:
        """Change the hyperparameters; `coef` is computed anew when it is needed, unless it is to be kept."""
        device = self._residual.device
        given = torch.as_tensor(lengthscale, dtype=self.dtype, device=device).reshape(())
        if not bool(given > 0):
            raise ValueError(f"lengthscale: expected a positive number, got {float(given)}")
        self.variance = torch.as_tensor(variance, dtype=self.dtype, device=device).reshape(())
        if not keep_coef:
            self._coef: Tensor | None = None
        self.lengthscale = through_softplus(given)
        self._a = 0.5 / float(self.lengthscale) ** 2
        self._weights: Tensor | None = None

    @property
    def coef(self) -> Tensor:
        """(N,). Raises torch.linalg.LinAlgError where rounding leaves nothing positive definite."""
        return self._fitted()

    def mean_posterior(self, x: Tensor) -> Tensor:
        """The posterior mean at x (M, D): (M,). Raises ValueError for another shape."""
        weights = (self._fitted() * float(self.variance)).unsqueeze(1)
        sums = self._kernel.rows_times(self._centred(x), weights, self._a).squeeze(1)
        return sums + self.mean_prior

    def gradient(self, x: Tensor) -> Tensor:
        """The gradient of the summed posterior mean at x (M, D), sum_i coef_i k(x, x_i) (x_i - x)/lengthscale²: (M, D).

        Raises ValueError for another shape.
        """
        centred = self._centred(x)
        sums = self._kernel.rows_times(centred, self._gradient_weights(), self._a)
        return sums[:, :-1] - sums[:, -1:] * centred

    def _fitted(self) -> Tensor:
        if self._coef is None:
            self._coef = self._kernel.solve(self._residual, self._a, float(self.variance), self.noise)
        return self._coef

    def _centred(self, x: Tensor) -> Tensor:
        require_shape("x", x, ("M", self._kernel.centred.shape[1]))
        return x - self._kernel.centre

    def _gradient_weights(self) -> Tensor:
        """coef_i variance/lengthscale² times (x_i, 1), the same for all points: (N, D + 1)."""
        if self._weights is None:
            weights = (self._fitted() * (2 * self._a * float(self.variance))).unsqueeze(1)
            self._weights = torch.cat([weights * self._kernel.centred, weights], dim=1)
        return self._weights
