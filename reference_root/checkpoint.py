"""Checkpoints: a training run on disk between two epochs, and the final weights as the test reads them.

Both hold plain values and tensors only, so that reading one executes nothing.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from reference_root.dataloader import stack_pairs, unstack_pairs
from reference_root.training import Training, TrainingRun

__all__ = ["load_final", "load_training", "save_final", "save_training"]

_TRAINING, _FINAL = "ROOT training, format 1", "ROOT final weights, format 1"
_RECORD = ("losses", "lr", "val_losses", "val_steps", "global_step")


def save_training(path: Path, training: Training) -> None:
    """Writes everything that the remaining epochs depend on; NumPy's generator is not drawn from any more."""
    run = training.run
    _write(
        path,
        {
            "kind": _TRAINING,
            "epochs_done": training.epochs_done,
            "record": {name: getattr(run, name) for name in _RECORD},
            "weights": dict(training.model.named_parameters()),
            # An epoch may end between two optimiser steps, with gradients that still count.
            "gradients": {n: p.grad for n, p in training.model.named_parameters() if p.grad is not None},
            "shadow": training.ema.shadow if training.ema else None,
            "optimizer": training.update.optimizer.state_dict(),
            "scheduler": training.update.scheduler.state_dict(),
            "val_pairs": stack_pairs(training.val_pairs),
            "generator": torch.get_rng_state(),
            "generators_cuda": torch.cuda.get_rng_state_all() if run.data.x.is_cuda else [],
        },
    )


@torch.no_grad()
def load_training(path: Path, training: Training) -> None:
    """Puts `training`, built from the same configuration, where `save_training` was called.

    What follows equals the uninterrupted run to the bit. Raises ValueError naming the file and what in it does not
    fit; then nothing has changed.
    """
    state = _read(path, _TRAINING)
    parameters = dict(training.model.named_parameters())
    _check_tensors(path, "weights", state["weights"], parameters)
    if state["gradients"]:
        _check_tensors(path, "gradients", state["gradients"], parameters)
    if (state["shadow"] is None) != (training.ema is None):
        held, wanted = ("no", "one") if training.ema else ("a", "none")
        raise ValueError(f"{path}: shadow: holds {held} moving average, model.EMA.use_ema asks for {wanted}")
    if training.ema:
        _check_tensors(path, "shadow", state["shadow"], parameters)
    for number, (name, parameter) in enumerate(parameters.items()):
        for entry, value in state["optimizer"]["state"].get(number, {}).items():
            if isinstance(value, Tensor) and value.ndim and value.shape != parameter.shape:
                raise ValueError(
                    f"{path}: optimizer {entry} of {name} has shape {tuple(value.shape)}, "
                    f"expected {tuple(parameter.shape)}"
                )
    device = training.run.data.x.device
    for name, parameter in parameters.items():
        parameter.copy_(state["weights"][name])
        gradient = state["gradients"].get(name)
        parameter.grad = None if gradient is None else gradient.to(device)
    if training.ema:
        training.ema.shadow = {name: weight.to(device) for name, weight in state["shadow"].items()}
    training.update.optimizer.load_state_dict(state["optimizer"])
    training.update.scheduler.load_state_dict(state["scheduler"])
    training.val_pairs = unstack_pairs([column.to(device) for column in state["val_pairs"]])
    for name in _RECORD:
        setattr(training.run, name, state["record"][name])
    training.epochs_done = state["epochs_done"]
    torch.set_rng_state(state["generator"])
    if state["generators_cuda"]:
        torch.cuda.set_rng_state_all(state["generators_cuda"])


def save_final(path: Path, run: TrainingRun) -> None:
    """Writes the final weights and their moving average, as ROOT does after the last epoch."""
    _write(path, {"kind": _FINAL, "weights": run.weights, "shadow": run.shadow})


def load_final(path: Path, like: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor] | None]:
    """Final weights and moving average (None without one) for a model with parameters `like`.

    Raises ValueError naming the file and what in it does not fit.
    """
    state = _read(path, _FINAL)
    _check_tensors(path, "weights", state["weights"], like)
    if state["shadow"] is not None:
        _check_tensors(path, "shadow", state["shadow"], like)
    return state["weights"], state["shadow"]


def _write(path: Path, state: Mapping[str, Any]) -> None:
    """Atomically: a kill leaves the old file or the new one."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            torch.save(dict(state), file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


_ENTRIES = {
    _FINAL: {"weights", "shadow"},
    _TRAINING: {
        "epochs_done", "record", "weights", "gradients", "shadow", "optimizer", "scheduler", "val_pairs", "generator",
        "generators_cuda",
    },
}  # fmt: skip


def _read(path: Path, kind: str) -> dict[str, Any]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ValueError(f"{path}: there is no such checkpoint") from error
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"{path}: cut short, or no checkpoint: {reason}") from error
    found = state.get("kind") if isinstance(state, dict) else type(state).__name__
    if found != kind:
        raise ValueError(f"{path}: expected {kind!r}, got {found!r}")
    missing = _ENTRIES[kind] - set(state)
    if missing:
        raise ValueError(f"{path}: lacks {', '.join(sorted(missing))}")
    return dict(state)


def _check_tensors(path: Path, entry: str, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    if set(found) != set(expected):
        raise ValueError(f"{path}: {entry} holds {sorted(found)}, expected {sorted(expected)}")
    for name, tensor in expected.items():
        got = found[name]
        if got.shape != tensor.shape or got.dtype != tensor.dtype:
            raise ValueError(
                f"{path}: {entry} {name} is {tuple(got.shape)} {got.dtype}, "
                f"expected {tuple(tensor.shape)} {tensor.dtype}"
            )
