"""The posterior mean of the Gaussian process, and its gradient.

    k(a, b) = variance exp(-|a - b|²/(2 lengthscale²))
    coef    = (K(X, X) + noise I)^-1 (y - mean_prior), by Cholesky
    mean(x) = mean_prior + K(X, x)^T coef

ROOT's gradient is autograd's; GGFM's is in closed form.
Source: ROOT (arXiv 2509.16300, section on Gaussian-process sampling), `gaussian_process.GP`.
"""

from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

import reference_root
from ggfm.gaussian_process import GaussianProcess
from parity.root_ggfm.component import Context, Params, StudyComponent, Switches, Tree, gaussian
from parity.root_ggfm.inputs import designs, generator_of, hyperparameters

__all__ = ["COMPONENT", "Inputs"]


@dataclass(frozen=True)
class Inputs:
    """A Gaussian process, and where its mean is asked for."""

    x_train: Tensor  # (N, D)
    y_train: Tensor  # (N,)
    x_test: Tensor  # (M, D)
    lengthscale: float
    variance: float
    noise: float
    mean_prior: float


@st.composite
def strategy(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a process and a few points."""
    return {
        **draw(hyperparameters()),
        "points": draw(st.integers(1, 6), label="M"),
        "mean_prior": draw(st.sampled_from([0.0, 0.25]), label="mean_prior"),
    }


def build(params: Params, ctx: Context) -> Inputs:
    """Return points near the first designs."""
    g = generator_of(params)
    x, y = designs(params, ctx, g)
    return Inputs(
        x_train=x,
        y_train=y,
        x_test=x[: params["points"]] + gaussian(g, min(params["points"], len(x)), x.shape[1], scale=0.3),
        **{name: params[name] for name in ("lengthscale", "variance", "noise", "mean_prior")},
    )


def root(i: Inputs) -> Tree:
    """Return `coef` (N,), `mean` (M,), `grad` (M, D) of the summed mean by autograd, `lengthscale_stored` ()."""
    gp = reference_root.GP(i.x_train, i.y_train, i.lengthscale, i.variance, i.noise, i.mean_prior)
    x = i.x_test.clone().requires_grad_(True)
    mean = gp.mean_posterior(x)
    (gradient,) = torch.autograd.grad(mean.sum(), x)
    return {
        "coef": gp.coef,
        "mean": mean.detach(),
        "grad": gradient,
        "lengthscale_stored": gp.lengthscale.reshape(()),
    }


def ggfm(i: Inputs, switches: Switches) -> Tree:
    """Return the same, the gradient in closed form."""
    process = GaussianProcess(
        i.x_train,
        i.y_train,
        lengthscale=i.lengthscale,
        variance=i.variance,
        noise=i.noise,
        mean_prior=i.mean_prior,
    )
    return {
        "coef": process.coef,
        "mean": process.mean_posterior(i.x_test),
        "grad": process.gradient(i.x_test),
        "lengthscale_stored": process.lengthscale,
    }


_TFBIND8 = {
    "source": "task", "rows": 200, "dim": 6, "lengthscale": 6.25, "variance": 6.25, "noise": 0.01, "seed": 0,
}  # fmt: skip

COMPONENT = StudyComponent(
    name="gp",
    after="sample",
    title="Posterior mean of the Gaussian process and its gradient",
    formula="coef = (K + noise I)^-1 (y - mean); mean(x) = mean_prior + K(X, x)^T coef",
    inputs=Inputs,
    strategy=strategy,
    build=build,
    root=root,
    ggfm=ggfm,
    examples=[
        _TFBIND8 | {"points": 20, "mean_prior": 0.0},
        _TFBIND8 | {"points": 5, "mean_prior": 0.25, "source": "gaussian", "lengthscale": 1.0, "variance": 1.0},
        # Sizes at which work in blocks has more than one block, of every kind.
        _TFBIND8 | {"points": 200, "mean_prior": 0.0, "source": "gaussian", "rows": 1700, "lengthscale": 1.0},
    ],
    on_task=True,
)
