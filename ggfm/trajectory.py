"""The whole way from a pair's low design to its high one."""

from __future__ import annotations

import torch
from torch import Tensor

from ggfm.checks import require_positive
from ggfm.switches import Switches

__all__ = ["TRAJ_STEPS", "Recorder", "resample"]

TRAJ_STEPS = 200


def resample(path: Tensor, steps: int) -> Tensor:
    """Take steps + 1 points at equal distances along the index of path (n, L, D), linear in between: (n, steps + 1, D).

    The end points are kept to the bit. Raises ValueError for fewer than one step or an empty path.
    """
    require_positive("steps", steps)
    require_positive("path", path.shape[1])
    last = path.shape[1] - 1
    # Positions k last/steps as whole part and remainder: exact, so that points that exist are taken as they are.
    position = torch.arange(steps + 1, device=path.device) * last
    before = position // steps
    after = (before + 1).clamp(max=last)
    share = ((position % steps).to(path.dtype) / steps).unsqueeze(1)
    return torch.where(share == 0, path[:, before], path[:, before] + share * (path[:, after] - path[:, before]))


class Recorder:
    """Records points on their way if the switch `trajectory` is on, and nothing otherwise."""

    def __init__(self, switches: Switches) -> None:
        self._records = switches.trajectory
        self._points: list[Tensor] = []

    def record(self, points: Tensor) -> None:
        """Note points (2P, D), low ones first, as they are now; the first ones are the starts."""
        if self._records:
            self._points.append(points.clone())

    def path(self, kept: Tensor) -> Tensor | None:
        """Low end, ..., start, ..., high end of the pairs chosen by the mask kept (P,): (n, TRAJ_STEPS + 1, D)."""
        if not self._records:
            return None
        low, high = torch.stack(self._points, dim=1).chunk(2)
        whole = torch.cat([low[kept].flip(1), high[kept][:, 1:]], dim=1)
        return resample(whole, TRAJ_STEPS)
