"""Small inputs for GGFM's own tests: tasks, a configuration, a bridge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from ggfm.bridge import BrownianBridge
from ggfm.network import draw_initial_weights
from ggfm.pairs import Pairs
from ggfm.switches import Switches


class SmallTask:
    """A task held in arrays. Discrete: the oracle is the share of 2s, logits are a one-hot without the first class."""

    def __init__(self, x: np.ndarray, y: np.ndarray, num_classes: int | None = None) -> None:
        self._x, self._y, self._classes = x, y, num_classes
        self.mapped = False

    @property
    def x(self) -> np.ndarray:
        return self.to_logits(self._x) if self.mapped else self._x.copy()

    @property
    def y(self) -> np.ndarray:
        return self._y.copy()

    @property
    def is_discrete(self) -> bool:
        return self._classes is not None

    @property
    def num_classes(self) -> int:
        assert self._classes is not None
        return self._classes

    def to_logits(self, x: np.ndarray) -> np.ndarray:
        return np.eye(self.num_classes, dtype=np.float32)[x][:, :, 1:]

    def map_to_logits(self) -> None:
        self.mapped = True

    def predict(self, x: np.ndarray) -> np.ndarray:
        if not self.is_discrete:
            return -(x**2).sum(axis=1, keepdims=True)
        assert self.mapped
        return (x.argmax(axis=2) == 1).mean(axis=1, keepdims=True).astype(np.float32)


@pytest.fixture(autouse=True)
def _one_thread_fresh_seed() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    np.random.seed(0)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def continuous_task() -> SmallTask:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4)).astype(np.float32)
    x[:, 1] = 2.5
    return SmallTask(x, -(x**2).sum(axis=1, keepdims=True))


@pytest.fixture
def discrete_task() -> SmallTask:
    rng = np.random.default_rng(1)
    x = rng.integers(0, 4, size=(60, 3)).astype(np.int32)
    return SmallTask(x, rng.random((60, 1)).astype(np.float32), num_classes=4)


@pytest.fixture
def make_pairs() -> Callable[..., Pairs]:
    def make(n: int, dim: int = 3, seed: int = 0) -> Pairs:
        g = torch.Generator().manual_seed(seed)
        columns = (torch.randn(size, generator=g) for size in [(n, dim), (n,), (n, dim), (n,)])
        return Pairs(*columns)

    return make


@pytest.fixture
def make_bridge() -> Callable[..., BrownianBridge]:
    def make(*switched_on: str, **options: Any) -> BrownianBridge:
        options = {"num_timesteps": 20, "sample_step": 8, "eta": 0.2} | options
        bridge = BrownianBridge(3, 8, switches=Switches.aligned().toggled(*switched_on), **options)
        torch.manual_seed(7)
        draw_initial_weights(bridge.denoise_fn, Switches.aligned().toggled("init"))
        return bridge

    return make


@pytest.fixture
def config() -> dict[str, Any]:
    return {
        "GP": {
            "initial_lengthscale": 1.0,
            "initial_outputscale": 1.0,
            "noise": 0.01,
            "sampling_from_GP_lr": 0.05,
            "num_functions": 2,
            "num_gradient_steps": 4,
            "num_points": 20,
            "delta_lengthscale": 0.25,
            "delta_variance": 0.25,
            "threshold_diff": 0.001,
            "type_of_initial_points": "highest",
        },
        "model": {
            "BB": {
                "params": {
                    "mt_type": "linear",
                    "objective": "grad",
                    "loss_type": "l1",
                    "skip_sample": True,
                    "sample_type": "linear",
                    "sample_step": 6,
                    "num_timesteps": 20,
                    "eta": 0.2,
                    "MLPParams": {"image_size": 4, "hidden_size": 8},
                },
                "optimizer": {"optimizer": "Adam", "lr": 0.01, "beta1": 0.5, "weight_decay": 0.1},
                "lr_scheduler": {"factor": 0.5, "patience": 0, "threshold": 1e-4, "cooldown": 0, "min_lr": 5e-7},
            },
            "EMA": {"use_ema": True, "ema_decay": 0.9, "update_ema_interval": 1, "start_ema_step": 1},
        },
        "task": {"name": "DKittyMorphology-Exact-v0", "normalize_x": True, "normalize_y": True},
        "training": {
            "n_epochs": 2,
            "batch_size": 8,
            "accumulate_grad_batches": 2,
            "classifier_free_guidance_prob": 0.5,
            "val_frac": 0.2,
            "validation_interval": 1,
        },
        "testing": {
            "clip_denoised": False,
            "num_candidates": 6,
            "percentile_sampling": 0.5,
            "type_sampling": "highest",
            "classifier_free_guidance_weight": -1.5,
            "alpha": 0.8,
        },
    }
