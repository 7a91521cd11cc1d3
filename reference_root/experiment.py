"""The run that the paper reports: training and test for seeds 0 to 7."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from reference_root.checkpoint import load_final, save_final
from reference_root.config import Config
from reference_root.testing import Task, in_test_form, test
from reference_root.training import build_model, train

__all__ = ["FullRun", "full_run"]


@dataclass(frozen=True)
class FullRun:
    """`percentiles` (seeds, 3): 100th, 80th and 50th of every seed; mean and population std of the 100th."""

    percentiles: Tensor

    @property
    def mean(self) -> float:
        """Mean of the 100th percentile over the seeds."""
        return float(self.percentiles[:, 0].mean())

    @property
    def std(self) -> float:
        """Population standard deviation of the 100th percentile over the seeds."""
        return float(self.percentiles[:, 0].std(correction=0))


def full_run(
    config: Config,
    task: Task,
    seeds: Iterable[int] = range(8),
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    folder: Path | None = None,
) -> FullRun:
    """Trains and tests each seed. With `folder`, the final weights of each are written there as `seed<k>.pt`; a seed
    whose file is there is not trained again.

    Raises ValueError for no seed at all, and what `train`, `test` and `load_final` raise.
    Source: ROOT, `main.py`; arXiv 2509.16300, section on experiments.
    """
    percentiles = []
    for seed in seeds:
        final = folder / f"seed{seed}.pt" if folder else None
        if final and final.exists():
            weights, shadow = load_final(final, dict(build_model(config, dtype, device).named_parameters()))
        else:
            run = train(config, task, seed, dtype=dtype, device=device)
            weights, shadow = run.weights, run.shadow
            if final:
                save_final(final, run)
        percentiles.append(test(config, task, in_test_form(task), seed, weights, shadow).percentiles)
    if not percentiles:
        raise ValueError("seeds must name at least one seed, got none")
    return FullRun(torch.stack(percentiles).double())
