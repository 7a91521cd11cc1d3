"""Train and test ROOT as `reference_root` computes it, seed by seed: a script like ROOT's own, with its arguments.

It is copied beside a copy of the package before it is run (`parity.root_ggfm.scripts.script_of`).
"""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

import design_bench  # the watched run puts the study's tasks in its place
import numpy as np

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
        result = root.test(config, task, test_task, seed, run.weights, run.shadow)
        best.append(float(result.percentiles[0]))
    sys.stdout.write(f"Normalized 100th percentile score:\nMean: {np.mean(best)}\nStd: {np.std(best)}\n")


if __name__ == "__main__":
    main()
