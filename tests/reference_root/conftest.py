from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import reference_root as root


class SmallTask:
    """A continuous task, or a discrete one if it holds integers, with an oracle that needs no data."""

    def __init__(self, x: np.ndarray, y: np.ndarray, num_classes: int = 4) -> None:
        self.x, self.y, self.num_classes = x, y, num_classes
        self.is_discrete = np.issubdtype(x.dtype, np.integer)

    def to_logits(self, x: np.ndarray) -> np.ndarray:
        return np.eye(self.num_classes, dtype=np.float32)[x][:, :, 1:]

    def map_to_logits(self) -> None:
        self.x = self.to_logits(self.x)

    def predict(self, x: np.ndarray) -> np.ndarray:
        return -(x.reshape(len(x), -1) ** 2).sum(axis=1, keepdims=True)


@pytest.fixture(autouse=True)
def _generators():
    """Tests draw from freshly seeded global generators and leave them as they were."""
    numpy_state = np.random.get_state()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        np.random.seed(0)
        yield
    np.random.set_state(numpy_state)


@pytest.fixture
def make_params() -> Callable[..., root.BridgeParams]:
    def make(**changes: Any) -> root.BridgeParams:
        values: dict[str, Any] = {
            "num_timesteps": 20, "mt_type": "linear", "objective": "grad", "loss_type": "l1", "skip_sample": True,
            "sample_type": "linear", "sample_step": 6, "max_var": 1.0, "eta": 0.2,
            "MLPParams": root.MLPParams(image_size=4, hidden_size=8),
        }  # fmt: skip
        return root.BridgeParams(**(values | changes))

    return make


@pytest.fixture
def make_model(make_params) -> Callable[..., root.BrownianBridgeModel]:
    return lambda **changes: root.BrownianBridgeModel(make_params(**changes))


@pytest.fixture
def make_task() -> Callable[..., SmallTask]:
    def make(n: int = 40, d: int = 4, *, discrete: bool = False) -> SmallTask:
        rng = np.random.default_rng(0)
        x = rng.integers(0, 4, (n, d)) if discrete else rng.normal(size=(n, d)).astype(np.float32)
        return SmallTask(x, rng.normal(size=(n, 1)).astype(np.float32))

    return make


@pytest.fixture
def config() -> dict[str, Any]:
    """A ROOT configuration that trains in a fraction of a second."""
    return {
        "GP": {
            "initial_lengthscale": 1.0, "initial_outputscale": 1.0, "noise": 0.01, "sampling_from_GP_lr": 0.05,
            "num_functions": 2, "num_gradient_steps": 3, "num_points": 16, "delta_lengthscale": 0.25,
            "delta_variance": 0.25, "threshold_diff": 0.001, "type_of_initial_points": "highest",
        },
        "model": {
            "BB": {
                "params": {
                    "num_timesteps": 20, "mt_type": "linear", "objective": "grad", "loss_type": "l1",
                    "skip_sample": True, "sample_type": "linear", "sample_step": 6, "max_var": 1.0, "eta": 0.2,
                    "MLPParams": {"image_size": 4, "hidden_size": 8, "condition_key": "SpatialRescaler"},
                },
                "optimizer": {"optimizer": "Adam", "lr": 0.001, "beta1": 0.9, "weight_decay": 0.0},
                "lr_scheduler": {"factor": 0.5, "patience": 3, "threshold": 1e-4, "cooldown": 2, "min_lr": 5e-7},
            },
            "EMA": {"use_ema": True, "ema_decay": 0.9, "update_ema_interval": 2, "start_ema_step": 4},
        },
        "task": {"name": "DKittyMorphology-Exact-v0", "normalize_x": True, "normalize_y": True},
        "training": {
            "n_epochs": 2, "batch_size": 8, "accumulate_grad_batches": 2, "classifier_free_guidance_prob": 0.15,
            "val_frac": 0.1, "validation_interval": 2, "save_interval": 2,
        },
        "testing": {
            "clip_denoised": False, "num_candidates": 6, "percentile_sampling": 0.5, "type_sampling": "highest",
            "classifier_free_guidance_weight": -1.5, "alpha": 0.8,
        },
    }  # fmt: skip
