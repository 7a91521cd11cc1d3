"""Train and test ROOT as `reference_root` computes it, seed by seed: a script like ROOT's own, with its arguments.

It is copied beside a copy of the package before it is run (`parity.root_ggfm.scripts.script_of`).
"""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path
from typing import Any

import design_bench  # the watched run puts the study's tasks in its place
import numpy as np
from torch import Tensor

import reference_root as root

__all__ = ["main"]


def main() -> None:
    """Run the seeds 0 to 7, and print mean and standard deviation of the 100th percentile."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-c", "--config", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=8)
    args = parser.parse_args()
    config = root.Config.from_mapping(root.read_config_file(args.config))
    task = design_bench.make(config.task.name)
    test_task = root.in_test_form(task)
    best = []
    for seed in range(args.seeds):
        random.seed(seed)
        training = root.Training(config, task, seed)
        for _ in range(config.training.n_epochs):
            training.epoch()
        run = training.finish()
        random.seed(seed)
        best.append(float(_tested(root.Training(config, task, seed), run, test_task)[0]))
    sys.stdout.write(f"Normalized 100th percentile score:\nMean: {np.mean(best)}\nStd: {np.std(best)}\n")


def _tested(fresh: root.Training, run: root.TrainingRun, task: Any) -> Tensor:
    """Return the percentiles of the trained weights, in a model that is built anew as for training."""
    model, data, config, testing = fresh.model, fresh.run.data, fresh.config, fresh.config.testing
    model.load_state_dict({**dict(model.named_buffers()), **run.weights})
    limits = root.score_range(config.task.name)
    low, low_scores = root.sampling_from_offline_data(
        data.x, data.y, testing.num_candidates, testing.type_sampling, testing.percentile_sampling, fresh.seed
    )
    if fresh.ema is not None and run.shadow is not None:
        fresh.ema.shadow = run.shadow
        fresh.ema.apply_shadow(model)
    model.eval()
    condition = root.target_condition(data.mean_y, data.std_y, limits.y_max, testing.alpha, len(low))
    high = model.sample(low, low_scores, condition, testing.clip_denoised, testing.classifier_free_guidance_weight)
    return root.evaluate_designs(task, high, data.mean_x, data.std_x, *limits)[1]


if __name__ == "__main__":
    main()
