"""The test: sample designs from a trained model and score them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from reference_root.candidates import sampling_from_offline_data
from reference_root.config import Config
from reference_root.ema import EMA
from reference_root.offline_data import OfflineTask, get_offline_data
from reference_root.scores import ScoredTask, evaluate_designs, score_range, target_condition
from reference_root.training import build_model, seed_generators

__all__ = ["Task", "TestRun", "in_test_form", "test"]


class Task(OfflineTask, ScoredTask, Protocol):
    """A task that can be trained on, brought into its test form, and asked for scores."""

    def map_to_logits(self) -> None:
        """Switches a discrete task to logits."""


@dataclass(frozen=True)
class TestRun:
    """What a test leaves behind, n the number of candidates.

    `low` (n, D), `low_scores` (n,): the candidates; `high_cond` (n,): the score asked for; `high` (n, D): the sampled
    designs, standardised; `scores` (n,): their normalised scores; `percentiles` (3,): 100th, 80th, 50th.
    """

    low: Tensor
    low_scores: Tensor
    high_cond: Tensor
    high: Tensor
    scores: Tensor
    percentiles: Tensor


def in_test_form(task: Task) -> Task:
    """A copy of `task` as the test uses it: a discrete one with `map_to_logits()` applied."""
    task = copy.deepcopy(task)
    if task.is_discrete:
        task.map_to_logits()
    return task


def test(
    config: Config,
    task: OfflineTask,
    test_task: ScoredTask,
    seed: int,
    weights: Mapping[str, Tensor],
    shadow: Mapping[str, Tensor] | None,
) -> TestRun:
    """Samples from the final `weights`, or from their moving average `shadow` if there is one, and scores the result.

    Everything is reseeded and rebuilt: the data is shuffled again with the same seed, and the sampling noise comes
    from the generator as reseeding and building the model left it. `test_task` is the task in its test form: a
    discrete one has had `map_to_logits()` applied. Precision and device are those of `weights`.

    Raises ValueError for an unknown task name and bad settings, RuntimeError for weights of other names or shapes.
    Source: ROOT, `runners/DiffusionBasedModelRunners/BBDMRunner.py`, `test`.
    """
    limits = score_range(config.task.name)
    like = next(iter(weights.values()))
    seed_generators(seed)
    model = build_model(config, like.dtype, like.device)
    model.load_state_dict({**dict(model.named_buffers()), **weights})
    if shadow is not None:
        ema = EMA(config.ema.ema_decay if config.ema else 0.0)
        ema.shadow = dict(shadow)
        ema.apply_shadow(model)
    model.eval()
    data = get_offline_data(task, config.task.normalize_x, config.task.normalize_y, dtype=like.dtype).to(like.device)
    testing = config.testing
    low, low_scores = sampling_from_offline_data(
        data.x, data.y, testing.num_candidates, testing.type_sampling, testing.percentile_sampling, seed
    )
    high_cond = target_condition(data.mean_y, data.std_y, limits.y_max, testing.alpha, len(low))
    high = model.sample(low, low_scores, high_cond, testing.clip_denoised, testing.classifier_free_guidance_weight)
    scores, percentiles = evaluate_designs(test_task, high, data.mean_x, data.std_x, *limits)
    return TestRun(low, low_scores, high_cond, high, scores, percentiles)
