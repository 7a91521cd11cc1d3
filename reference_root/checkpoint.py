"""Checkpoints: a training run on disk between two epochs, and the final weights as the test reads them.

Both hold plain values and tensors only, so that reading one executes nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from reference_root.checkpoint_form import RECORD, check_identity, check_state, check_tensors
from reference_root.config_values import entries_of
from reference_root.dataloader import stack_pairs, unstack_pairs
from reference_root.tensor_file import read_tensors, write_tensors
from reference_root.training import Training

__all__ = ["load_final", "load_training", "save_final", "save_training"]

_TRAINING, _FINAL = "ROOT training, format 1", "ROOT final weights, format 1"


def save_training(path: Path, training: Training) -> None:
    """Writes everything that the remaining epochs depend on; NumPy's generator is not drawn from any more."""
    write_tensors(path, {"kind": _TRAINING, "run": _identity(training), **_state(training)})


def load_training(path: Path, training: Training) -> None:
    """Puts `training`, built from the same configuration, where `save_training` was called.

    What follows equals the uninterrupted run to the bit. Raises ValueError naming the file and what in it does not
    fit: another seed, configuration (`testing` apart), precision or number of designs too. Then nothing has changed.
    """
    state = _read(path, _TRAINING)
    check_identity(path, state["run"], _identity(training))
    check_state(path, state, training)
    before = copy.deepcopy(_state(training))
    try:
        _put(training, state)
    except Exception as error:
        _put(training, before)
        raise ValueError(f"{path}: does not fit this run: {error}") from error


def _identity(training: Training) -> dict[str, Any]:
    config = {name: value for name, value in asdict(training.config).items() if name not in ("testing", "unknown")}
    return dict(entries_of(config)) | {
        "seed": training.seed,
        "dtype": str(training.run.data.x.dtype),
        "number of designs": len(training.run.data.x),
    }


def _state(training: Training) -> dict[str, Any]:
    run, parameters = training.run, dict(training.model.named_parameters())
    return {
        "epochs_done": training.epochs_done,
        "record": {name: getattr(run, name) for name in RECORD},
        "weights": {name: parameter.detach() for name, parameter in parameters.items()},
        # An epoch may end between two optimiser steps, with gradients that still count.
        "gradients": {name: p.grad for name, p in parameters.items() if p.grad is not None},
        "shadow": training.ema.shadow if training.ema else None,
        "optimizer": training.update.optimizer.state_dict(),
        "scheduler": training.update.scheduler.state_dict(),
        "val_pairs": stack_pairs(training.val_pairs),
        "generator": torch.get_rng_state(),
        "generator_cuda": torch.cuda.get_rng_state(run.data.x.device) if run.data.x.is_cuda else None,
    }


@torch.no_grad()
def _put(training: Training, state: Mapping[str, Any]) -> None:
    device = training.run.data.x.device
    for name, parameter in training.model.named_parameters():
        parameter.copy_(state["weights"][name])
        gradient = state["gradients"].get(name)
        parameter.grad = None if gradient is None else gradient.to(device)
    if training.ema:
        training.ema.shadow = {name: weight.to(device) for name, weight in state["shadow"].items()}
    training.update.optimizer.load_state_dict(state["optimizer"])
    training.update.scheduler.load_state_dict(state["scheduler"])
    training.val_pairs = unstack_pairs([column.to(device) for column in state["val_pairs"]])
    for name in RECORD:
        setattr(training.run, name, state["record"][name])
    training.epochs_done = state["epochs_done"]
    torch.set_rng_state(state["generator"])
    if state["generator_cuda"] is not None and device.type == "cuda":
        torch.cuda.set_rng_state(state["generator_cuda"], device)


def save_final(path: Path, training: Training) -> None:
    """Writes the final weights and their moving average, as ROOT does after the last epoch, and of which run."""
    run = training.finish()
    write_tensors(path, {"kind": _FINAL, "run": _identity(training), "weights": run.weights, "shadow": run.shadow})


def load_final(path: Path, training: Training) -> tuple[dict[str, Tensor], dict[str, Tensor] | None]:
    """Final weights and moving average (None without one) of the run that `training` would be.

    Raises ValueError naming the file and what in it does not fit, as `load_training` does.
    """
    state = _read(path, _FINAL)
    check_identity(path, state["run"], _identity(training))
    parameters = dict(training.model.named_parameters())
    check_tensors(path, "weights", state["weights"], parameters)
    if training.ema:
        check_tensors(path, "shadow", state["shadow"], parameters)
    return state["weights"], state["shadow"]


_ENTRIES = {
    _FINAL: {"run", "weights", "shadow"},
    _TRAINING: {
        "run", "epochs_done", "record", "weights", "gradients", "shadow", "optimizer", "scheduler", "val_pairs",
        "generator", "generator_cuda",
    },
}  # fmt: skip


def _read(path: Path, kind: str) -> dict[str, Any]:
    state = read_tensors(path)
    found = state.get("kind") if isinstance(state, dict) else type(state).__name__
    if found != kind:
        raise ValueError(f"{path}: expected {kind!r}, got {found!r}")
    missing = _ENTRIES[kind] - set(state)
    if missing:
        raise ValueError(f"{path}: lacks {', '.join(sorted(missing))}")
    return dict(state)
