"""The denoiser: a small network on a point of the bridge, its time and two scores."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from ggfm.checks import as_column, require_positive, require_shape
from ggfm.switches import Switches

__all__ = ["Denoiser", "draw_initial_weights"]


class _BlankLinear(nn.Linear):
    """A linear layer that draws nothing when it is made: weights are loaded, or drawn on request."""

    def reset_parameters(self) -> None:
        with torch.no_grad():
            self.weight.zero_()
            if self.bias is not None:
                self.bias.zero_()


class _Swish(nn.Module):
    """swish(x) = sigmoid(x) x, as two operations: `silu` rounds differently in the last bit."""

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(x)
        return gate * x if torch.is_grad_enabled() else gate.mul_(x)


class Denoiser(nn.Module):
    """f(x_t, t, y_first, y_second): three hidden layers with swish, after ROOT's
    `model/BrownianBridge/base/modules/MLP.py`.

    Input (B, D + 3): x_t, the timestep as a number (not scaled), the two conditions. Output (B, D).
    All weights are zero until `draw_initial_weights` or `load_state_dict`.
    """

    def __init__(self, dim: int, hidden: int, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        require_positive("image_size", dim)
        require_positive("hidden_size", hidden)
        self.dim = dim
        sizes = [dim + 3, hidden, hidden, hidden, dim]
        layers: list[nn.Module] = []
        for size_in, size_out in pairwise(sizes):
            layers += [_BlankLinear(size_in, size_out, dtype=dtype), _Swish()]
        self.main = nn.Sequential(*layers[:-1])

    def forward(self, x_t: Tensor, t: Tensor, y_first: Tensor, y_second: Tensor) -> Tensor:
        """(B, D) from x_t (B, D), t (B,) and conditions (B,) or (B, 1). Raises ValueError for other shapes."""
        batch = x_t.shape[0]
        require_shape("x_t", x_t, ("B", self.dim))
        require_shape("t", t, (batch,))
        columns = [t.unsqueeze(1), as_column("y_first", y_first, batch), as_column("y_second", y_second, batch)]
        output: Tensor = self.main(torch.cat([x_t, *(column.to(x_t.dtype) for column in columns)], dim=1))
        return output

    def guided(
        self,
        x_t: Tensor,
        t: int,
        y_first: Tensor,
        y_second: Tensor,
        weight: float,
        network: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """(1 + w) f(x_t, t, y_first, y_second) - w f(x_t, t, 0, 0): (B, D), both networks in one batch of 2B rows.

        With w = 0 the second network would be multiplied by 0 and is left out. `network` evaluates in the place of
        `main`, such as the same layers packed. Raises ValueError for shapes that do not fit.
        """
        evaluate = network or self.main
        batch = x_t.shape[0]
        require_shape("x_t", x_t, ("B", self.dim))
        time = x_t.new_full((batch, 1), t)
        conditions = [as_column("y_low", y_first, batch), as_column("y_high", y_second, batch)]
        rows = torch.cat([x_t, time, *(c.to(x_t.dtype) for c in conditions)], dim=1)
        if weight == 0:
            plain: Tensor = evaluate(rows)
            return plain
        both = rows.repeat(2, 1)
        both[batch:, -2:] = 0
        conditional, unconditional = evaluate(both).chunk(2)
        combined: Tensor = (1.0 + weight) * conditional - weight * unconditional
        return combined


def draw_initial_weights(denoiser: nn.Module, switches: Switches) -> None:
    """Draw every layer's initial weights from torch's global generator, in the order of the layers.

    PyTorch's default first, for all layers; then, unless the switch `init` is on, layer by layer every weight matrix
    again from N(0, 0.02), biases kept.
    """
    layers = [module for module in denoiser.modules() if isinstance(module, nn.Linear)]
    for layer in layers:
        nn.Linear.reset_parameters(layer)
    if not switches.init:
        for layer in layers:
            nn.init.normal_(layer.weight, 0.0, 0.02)
