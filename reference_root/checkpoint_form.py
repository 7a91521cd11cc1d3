"""What a checkpoint must hold to fit a run, looked at before anything of the run changes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from reference_root.training import Training

__all__ = ["RECORD", "check_identity", "check_state", "check_tensors"]

RECORD = {"losses": list, "lr": list, "val_losses": list, "val_steps": list, "global_step": int}
"""What of `TrainingRun` grows batch by batch."""

_MEMORY = {
    "Adam": {"step", "exp_avg", "exp_avg_sq"},
    "RMSProp": {"step", "square_avg"},
    "SGD": {"momentum_buffer"},
}


def check_identity(path: Path, found: Any, expected: Mapping[str, Any]) -> None:
    """ValueError naming the first entry in which the file's run is another one."""
    found = found if isinstance(found, dict) else {}
    for name in (*expected, *found):
        left, right = found.get(name, "absent"), expected.get(name, "absent")
        if left != right:
            raise ValueError(f"{path}: is of a run with {name} {left!r}, this one has {right!r}")


def check_tensors(path: Path, entry: str, found: Any, expected: Mapping[str, Tensor]) -> None:
    """ValueError unless `found` holds the names of `expected`, with the same shapes and precision."""
    if not isinstance(found, dict) or set(found) != set(expected):
        raise ValueError(f"{path}: {entry} holds other names than {', '.join(expected)}")
    for name, tensor in expected.items():
        got = found[name]
        if not isinstance(got, Tensor) or got.shape != tensor.shape or got.dtype != tensor.dtype:
            is_now = f"{tuple(got.shape)} {got.dtype}" if isinstance(got, Tensor) else repr(got)
            raise ValueError(f"{path}: {entry} {name} is {is_now}, expected {tuple(tensor.shape)} {tensor.dtype}")


def check_state(path: Path, state: Mapping[str, Any], training: Training) -> None:
    """ValueError naming the first entry of a saved training that cannot be one of this run."""
    parameters = dict(training.model.named_parameters())
    check_tensors(path, "weights", state["weights"], parameters)
    if state["gradients"]:
        check_tensors(path, "gradients", state["gradients"], parameters)
    if training.ema:
        check_tensors(path, "shadow", state["shadow"], parameters)
    if type(state["epochs_done"]) is not int or not 0 <= state["epochs_done"] <= training.config.training.n_epochs:
        raise ValueError(f"{path}: epochs_done is {state['epochs_done']!r}, expected 0 to n_epochs")
    _check_record(path, state["record"])
    _check_optimizer(path, state["optimizer"], training, state["record"]["global_step"])
    if not isinstance(state["scheduler"], dict) or set(state["scheduler"]) != set(
        training.update.scheduler.state_dict()
    ):
        raise ValueError(f"{path}: scheduler is no state of a ReduceLROnPlateau")
    _check_val_pairs(path, state["val_pairs"], training)
    if (state["generator_cuda"] is not None) != training.run.data.x.is_cuda:
        raise ValueError(f"{path}: generator_cuda is of a run on another kind of device")


def _check_record(path: Path, record: Any) -> None:
    for name, kind in RECORD.items():
        if not isinstance(record, dict) or not isinstance(record.get(name), kind):
            raise ValueError(f"{path}: record lacks {name}, expected {kind.__name__}")
    steps, validations = record["global_step"], len(record["val_losses"])
    for name, length in (("losses", steps), ("lr", steps), ("val_steps", validations)):
        if len(record[name]) != length:
            raise ValueError(f"{path}: record has {len(record[name])} {name}, expected {length}")
    numbers = [*record["losses"], *record["lr"], *(loss for losses in record["val_losses"] for loss in losses)]
    if not all(isinstance(number, float) for number in numbers):
        raise ValueError(f"{path}: record holds losses or rates that are no numbers")


def _check_optimizer(path: Path, found: Any, training: Training, global_step: int) -> None:
    update, kind = training.update, training.config.optimizer["optimizer"]
    own = update.optimizer.state_dict()["param_groups"]
    if not isinstance(found, dict) or [set(group) for group in found.get("param_groups", ())] != [set(own[0])]:
        raise ValueError(f"{path}: optimizer is no state of {kind}")
    stepped = global_step >= update.accumulate_grad_batches
    memory = found.get("state")
    if not isinstance(memory, dict) or set(memory) != set(own[0]["params"] if stepped else ()):
        raise ValueError(f"{path}: optimizer remembers other parameters than the model's")
    for number, parameter in zip(own[0]["params"], training.model.parameters(), strict=True):
        remembered = memory.get(number, {})
        names = _MEMORY[kind] if stepped else ()
        check_tensors(
            path,
            f"optimizer {number}",
            remembered,
            {name: torch.zeros(()) if name == "step" else parameter for name in names},
        )


def _check_val_pairs(path: Path, columns: Any, training: Training) -> None:
    x, y = training.run.data.x, training.run.data.y
    shapes = [tuple(column.shape[1:]) for column in columns]
    if shapes not in ([], [x.shape[1:], y.shape[1:]] * 2) or len({len(column) for column in columns}) > 1:
        raise ValueError(f"{path}: val_pairs have shapes {shapes}, expected pairs of {x.shape[1]} dimensions")
