"""The offline designs from which sampling starts in the test."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from reference_root.checks import check_choice, check_fraction, check_int, check_shape

__all__ = ["SAMPLING_TYPES", "sampling_from_offline_data"]

SAMPLING_TYPES = ("highest", "lowest", "high", "low", "random")


def sampling_from_offline_data(
    x: Tensor, y: Tensor, n_candidates: int, type: str, percentile_sampling: float, seed: int
) -> tuple[Tensor, Tensor]:
    """Chosen designs (n, D) and their scores (n,) out of x (N, D), y (N,), sorted by y ascending (`torch.argsort`).

    highest, lowest   the last n, the first n
    low, high         n of the lowest, highest int(percentile_sampling N)
    random            n of all

    `low`, `high` and `random` seed NumPy's global generator with `seed` and draw by `np.random.choice` without
    replacement.

    Raises ValueError for an unknown `type`, for fewer designs to draw from than `n_candidates`, for
    `percentile_sampling` outside [0, 1] and for wrong shapes. `highest` and `lowest` give all designs if N < n.
    Source: ROOT, `runners/utils.py`, `sampling_from_offline_data`.
    """
    check_shape("x", x, (None, None))
    check_shape("y", y, (len(x),))
    check_int("n_candidates", n_candidates, 1)
    check_choice("type", type, SAMPLING_TYPES)
    check_fraction("percentile_sampling", percentile_sampling)
    order = torch.argsort(y)
    if type == "highest":
        chosen = order[-n_candidates:]
    elif type == "lowest":
        chosen = order[:n_candidates]
    else:
        part = int(percentile_sampling * len(x))
        among = {"low": order[:part], "high": order[len(x) - part :], "random": order}[type]
        if len(among) < n_candidates:
            raise ValueError(
                f"n_candidates must be at most the {len(among)} designs that type {type!r} draws from "
                f"(percentile_sampling {percentile_sampling}, N {len(x)}), got {n_candidates}"
            )
        np.random.seed(seed)
        chosen = among[torch.from_numpy(np.random.choice(len(among), size=n_candidates, replace=False))]
    return x[chosen], y[chosen]
