"""The Gaussian kernel between fixed designs and anything else, for many lengthscales and many points.

Three things make it fast: the squared distances of the designs are computed once and kept, their lower triangle only;
an exponent -a|x - x_i|² comes out of one matrix product; and points are worked off in blocks whose kernel rows stay
in the processor's cache, so that no kernel matrix of many points is ever written to memory.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ggfm.cholesky import BLOCK, empty_panels, factorise, solve

__all__ = ["DesignKernel"]

_ROWS = 128
"""Points per block: enough that threads seldom wait for one another, few enough that their kernel rows stay in the
cache."""


class DesignKernel:
    """exp(-a|x - x_i|²) for designs x_i (N, D), in the precision of the designs; a is 1/(2 lengthscale²).

    Distances by |x|² + |x_i|² - 2 x x_i lose digits far from the origin, so everything is centred on the designs'
    mean first.
    """

    def __init__(self, designs: Tensor) -> None:
        self.centre = designs.mean(0)
        self.centred = designs - self.centre
        self._norms = self.centred.square().sum(1)
        # Rows (2ax, -a|x|², -a) times these columns (x_i, 1, |x_i|²) are the exponents.
        columns = [self.centred, torch.ones_like(self._norms)[:, None], self._norms[:, None]]
        self._columns = torch.cat(columns, dim=1).T
        self._distances: list[Tensor] = []

    def solve(self, right: Tensor, a: float, variance: float, noise: float) -> Tensor:
        """(variance K + noise I)^-1 right (N,), by Cholesky: (N,). Raises torch.linalg.LinAlgError if that fails."""
        if not self._distances:
            self._distances = self._squared_distances()
        panels = empty_panels(len(self.centred), self.centred)
        for distances, panel in zip(self._distances, panels, strict=True):
            torch.mul(distances, -a, out=panel).exp_().mul_(variance)
            panel.diagonal().add_(noise)
        factorise(panels)
        return solve(panels, right)

    def rows_times(self, centred: Tensor, right: Tensor, a: float) -> Tensor:
        """The kernel's rows of centred points (M, D) times right (N, R): (M, R)."""
        norms = centred.square().sum(1, keepdim=True)
        left = torch.cat([2 * a * centred, -a * norms, torch.full_like(norms, -a)], dim=1)
        result = left.new_empty(len(left), right.shape[1])
        buffer = left.new_empty(min(_ROWS, len(left)), len(right))
        # Products with subnormal numbers take many times as long. Kernel values stay above them, with room for the
        # weights that they are multiplied with; no sum notices 1e-28 (1e-298 in float64).
        least = math.log(torch.finfo(left.dtype).tiny * 1e10)
        for start in range(0, len(left), _ROWS):
            rows = slice(start, start + _ROWS)
            block = buffer[: len(left[rows])]
            torch.mm(left[rows], self._columns, out=block)
            torch.mm(block.clamp_(least, 0.0).exp_(), right, out=result[rows])
        return result

    def _squared_distances(self) -> list[Tensor]:
        """|x_i - x_j|², the lower triangle's panels; 0 on the diagonal."""
        panels = empty_panels(len(self.centred), self.centred)
        for j, panel in enumerate(panels):
            rows = slice(j * BLOCK, None)
            columns = slice(j * BLOCK, j * BLOCK + panel.shape[1])
            torch.add(self._norms[rows, None], self._norms[None, columns], out=panel)
            panel.addmm_(self.centred[rows], self.centred[columns].T, alpha=-2.0)
            panel.clamp_(min=0.0).diagonal().zero_()
        return panels
