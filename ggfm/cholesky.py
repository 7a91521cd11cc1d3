"""Cholesky factors of large kernel matrices, stored as the lower triangle only.

A symmetric N x N matrix is kept as block columns: panel j holds rows j b.. of columns j b..(j + 1) b, so that all
panels together take half the memory of the square matrix, and the factor replaces the matrix panel by panel.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["BLOCK", "empty_panels", "factorise", "solve"]

BLOCK = 256
"""Columns per panel: wide enough for matrix products at full speed, narrow enough to waste little above the
diagonal. Up to that size there is one panel, and every operation is the ordinary one."""

_ROWS = 512
"""Rows solved at a time: the solution is a copy, so this bounds what is held besides the panels."""


def empty_panels(n: int, like: Tensor) -> list[Tensor]:
    """Uninitialised panels of an n x n matrix: (n - j, min(b, n - j)) for j = 0, b, 2b, ...

    They share one piece of memory, which goes back to the system as a whole when the last of them is dropped.
    """
    shapes = [(n - j, min(BLOCK, n - j)) for j in range(0, n, BLOCK)]
    whole = like.new_empty(sum(rows * columns for rows, columns in shapes))
    parts = torch.split(whole, [rows * columns for rows, columns in shapes])
    return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]


def factorise(panels: Sequence[Tensor]) -> None:
    """Replace the panels of a positive definite matrix by those of its lower Cholesky factor, in place.

    Left-looking: each panel first loses what the panels before it explain, then its diagonal block is factorised and
    the rows below are solved against it. Raises torch.linalg.LinAlgError if the matrix is not positive definite.
    """
    for j, panel in enumerate(panels):
        width = panel.shape[1]
        for i, earlier in enumerate(panels[:j]):
            rows = earlier[(j - i) * BLOCK :]
            panel.addmm_(rows, rows[:width].T, alpha=-1.0)
        diagonal = torch.linalg.cholesky(panel[:width])
        panel[:width] = diagonal
        for below in torch.split(panel[width:], _ROWS):
            below.copy_(torch.linalg.solve_triangular(diagonal.T, below, upper=True, left=False))


def solve(panels: Sequence[Tensor], right: Tensor) -> Tensor:
    """(L L^T)^-1 right: (N,), from the panels of the factor L."""
    if len(panels) == 1:
        return torch.cholesky_solve(right.unsqueeze(1), panels[0]).squeeze(1)
    x = right.clone()
    for j, panel in enumerate(panels):
        width, start = panel.shape[1], j * BLOCK
        here, rest = x[start : start + width], x[start + width :]
        here.copy_(_triangular(panel[:width], here, upper=False))
        rest.addmv_(panel[width:], here, alpha=-1.0)
    for j in reversed(range(len(panels))):
        panel = panels[j]
        width, start = panel.shape[1], j * BLOCK
        here, rest = x[start : start + width], x[start + width :]
        here.addmv_(panel[width:].T, rest, alpha=-1.0)
        here.copy_(_triangular(panel[:width].T, here, upper=True))
    return x


def _triangular(matrix: Tensor, right: Tensor, *, upper: bool) -> Tensor:
    solution: Tensor = torch.linalg.solve_triangular(matrix, right.unsqueeze(1), upper=upper)
    return solution.squeeze(1)
