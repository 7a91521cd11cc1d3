"""The run that the paper reports: training and test for seeds 0 to 7."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from reference_root.checkpoint import load_final, save_final
from reference_root.config import Config
from reference_root.dataloader import Batch
from reference_root.testing import Task, in_test_form, test
from reference_root.training import Training

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

    Raises ValueError for no seed at all and for a file of another run, FloatingPointError naming the step at which a
    loss is not finite (the published code trains on), and what `Training` and `test` raise.
    Source: ROOT, `main.py`; arXiv 2509.16300, section on experiments.
    """
    percentiles = []
    for seed in seeds:
        training = Training(config, task, seed, dtype=dtype, device=device)
        final = folder / f"seed{seed}.pt" if folder else None
        if final and final.exists():
            weights, shadow = load_final(final, training)
        else:
            for _ in range(config.training.n_epochs):
                training.epoch(_refuse_non_finite)
            run = training.finish()
            weights, shadow = run.weights, run.shadow
            if final:
                save_final(final, training)
        percentiles.append(test(config, task, in_test_form(task), seed, weights, shadow).percentiles)
    if not percentiles:
        raise ValueError("seeds must name at least one seed, got none")
    return FullRun(torch.stack(percentiles).double())


def _refuse_non_finite(training: Training, batch: Batch) -> None:  # noqa: ARG001 - the loss tells
    loss = training.run.losses[-1]
    if not math.isfinite(loss):
        raise FloatingPointError(
            f"seed {training.seed}: the loss is {loss} at global step {training.run.global_step}, "
            f"epoch {training.epochs_done}"
        )
