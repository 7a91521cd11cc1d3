"""The test after training, and both together: one seed, or several with mean and spread."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ggfm.building import build, load_offline
from ggfm.data import DesignTask, in_test_form
from ggfm.evaluation import Evaluation, candidates, evaluate, score_range, target_score
from ggfm.sampling import sample
from ggfm.settings import Settings
from ggfm.switches import Switches
from ggfm.training import Trained, Trainer, TrainingRecord
from ggfm.weights import save_weights

__all__ = ["FullRun", "TestRecord", "full_run", "run", "test"]


@dataclass(frozen=True)
class TestRecord:
    """A test: start designs `low` (n, D) with scores `low_scores` (n,), the score asked for `high_cond` (n,), the
    sampled designs `high` (n, D), all standardised, and their `evaluation`."""

    __test__ = False

    low: Tensor
    low_scores: Tensor
    high_cond: Tensor
    high: Tensor
    evaluation: Evaluation


def test(settings: Settings, trained: TrainingRecord, task: DesignTask, seed: int, switches: Switches) -> TestRecord:
    """Everything is seeded and built again, the trained weights are loaded, and designs are sampled and scored.

    The noise comes from torch's generator as seeding and building leave it. Raises ValueError for a configuration or
    a task that does not fit; a task refuses designs that came out as NaN or infinity.
    """
    dtype, device = trained.data.x.dtype, trained.data.x.device
    bridge = build(settings, seed, dtype, device, switches)
    data = load_offline(settings, task, dtype, device, switches)
    bridge.load_state_dict(trained.bridge.state_dict())
    low, low_scores = candidates(
        data.x,
        data.y,
        settings["testing.num_candidates"],
        settings["testing.type_sampling"],
        settings["testing.percentile_sampling"],
        seed,
    )
    if trained.average is not None:
        trained.average.apply_shadow(bridge)
    bridge.eval()
    y_min, y_max = score_range(settings["task.name"])
    raw_scores = data.y * data.std_y + data.mean_y if settings["task.normalize_y"] else data.y
    asked = target_score(raw_scores, data.mean_y, data.std_y, y_max, settings["testing.alpha"], switches)
    high_cond = asked.expand(len(low)).clone()
    high = sample(
        bridge,
        low,
        low_scores,
        high_cond,
        clip_denoised=settings["testing.clip_denoised"],
        guidance_weight=settings["testing.classifier_free_guidance_weight"],
    )
    scored = evaluate(in_test_form(task), high, data.mean_x, data.std_x, y_min, y_max)
    return TestRecord(low, low_scores, high_cond, high, scored)


def run(
    config: Mapping[str, Any],
    task: DesignTask,
    *,
    seed: int,
    switches: Switches,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    folder: Path | None = None,
) -> tuple[TrainingRecord, TestRecord]:
    """Train and test under one seed. `config` is a ROOT configuration as nested plain values.

    With a folder the run is saved there after every epoch, as `training.pt`, and goes on from there if it was
    killed; `final.pt` holds the weights and their average once training is done (`ggfm.weights.load_weights`).
    Raises ValueError for a configuration, a task, a device or a file that does not fit; FloatingPointError at the
    step whose loss is NaN or infinite: what was saved before stays.
    """
    settings = Settings(config)
    trainer = Trainer(settings, task, seed, switches, dtype=dtype, device=device)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "training.pt").exists():
            trainer.load(folder / "training.pt")
    while not trainer.done:
        trainer.epoch(_require_finite_loss)
        if folder is not None:
            trainer.save(folder / "training.pt")
    if folder is not None:
        save_weights(folder / "final.pt", trainer.bridge, trainer.record.average)
    return trainer.record, test(settings, trainer.record, task, seed, switches)


@dataclass(frozen=True)
class FullRun:
    """The 100th, 80th and 50th percentile of every seed, (seeds, 3), and the 100th's mean and population std."""

    percentiles: Tensor
    mean: float
    std: float


def full_run(
    config: Mapping[str, Any],
    task: DesignTask,
    *,
    seeds: Sequence[int] = tuple(range(8)),
    switches: Switches,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    folder: Path | None = None,
) -> FullRun:
    """Train and test under each seed: `run`, with a folder in FOLDER/seed0 and so on, so that seeds that were trained
    before are only tested. Raises ValueError for no seed at all, and as `run`."""
    if not seeds:
        raise ValueError("seeds: got none, expected at least one")
    percentiles = []
    for seed in seeds:
        own = None if folder is None else folder / f"seed{seed}"
        _, tested = run(config, task, seed=seed, switches=switches, dtype=dtype, device=device, folder=own)
        percentiles.append(tested.evaluation.percentiles)
    best = torch.stack(percentiles)[:, 0].double().numpy()
    return FullRun(torch.stack(percentiles), float(np.mean(best)), float(np.std(best)))


def _require_finite_loss(trained: Trained) -> None:
    if not math.isfinite(trained.loss):
        raise FloatingPointError(
            f"loss: got {trained.loss} at step {trained.global_step} (epoch {trained.epoch}, counted from 0), "
            f"expected a finite number"
        )
