"""The denoiser: an MLP on a design, its timestep and two scalar conditions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from reference_root.checks import check_int, check_shape

__all__ = ["MLP", "Swish", "uninitialised_mlp"]


class Swish(nn.Module):
    """swish(x) = sigmoid(x) x, elementwise."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        return torch.sigmoid(x) * x


class MLP(nn.Module):
    """f(x_t, t, y_first, y_second): Linear(D+3, H), swish, Linear(H, H), swish, Linear(H, H), swish, Linear(H, D).

    The timestep goes in as the raw integer, not scaled. Parameters are named `main.{0,2,4,6}.{weight,bias}`.
    Initialised as PyTorch does by default; `reference_root.weights_init` redraws the weights.

    Raises ValueError for `image_size` (D) or `hidden_size` (H) below 1, and for inputs of a wrong shape.
    Source: ROOT, `model/BrownianBridge/base/modules`; arXiv 2509.16300, section on the denoising network.
    """

    def __init__(
        self,
        image_size: int,
        hidden_size: int,
        *,
        dtype: torch.dtype = torch.float32,
        linear: type[nn.Linear] = nn.Linear,
    ) -> None:
        super().__init__()
        self.image_size = check_int("image_size", image_size, 1)
        check_int("hidden_size", hidden_size, 1)
        self.main = nn.Sequential(
            linear(image_size + 1 + 2, hidden_size, dtype=dtype),
            Swish(),
            linear(hidden_size, hidden_size, dtype=dtype),
            Swish(),
            linear(hidden_size, hidden_size, dtype=dtype),
            Swish(),
            linear(hidden_size, image_size, dtype=dtype),
        )

    def forward(self, x_t: Tensor, t: Tensor, y_first: Tensor, y_second: Tensor) -> Tensor:
        """x_t (B, D), t (B,) integers, conditions (B,) each, to (B, D)."""
        check_shape("x_t", x_t, (None, self.image_size))
        for name, vector in (("t", t), ("y_first", y_first), ("y_second", y_second)):
            check_shape(name, vector, (x_t.shape[0],))
        columns = [x_t, t.to(x_t.dtype)[:, None], y_first[:, None], y_second[:, None]]
        output: Tensor = self.main(torch.cat(columns, dim=1))
        return output


class _ZeroLinear(nn.Linear):
    """A Linear that draws nothing when it is made."""

    def reset_parameters(self) -> None:
        """Zeros instead of the default initialisation."""
        for parameter in self.parameters(recurse=False):
            nn.init.zeros_(parameter)


def uninitialised_mlp(image_size: int, hidden_size: int, *, dtype: torch.dtype = torch.float32) -> MLP:
    """An `MLP` of zeros for weights that are about to be loaded: no random draw is made."""
    return MLP(image_size, hidden_size, dtype=dtype, linear=_ZeroLinear)
