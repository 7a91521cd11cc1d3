"""What a training run is between two epochs, as one file: saved, checked and taken up again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from ggfm.bridge import BrownianBridge
from ggfm.checkpoint import Exactly, Rows, read, write
from ggfm.data import OfflineData
from ggfm.optimisation import Updater
from ggfm.pairs import Batch, Pairs
from ggfm.record import TrainingRecord
from ggfm.settings import Settings
from ggfm.switches import Switches
from ggfm.weights import put_weights, weights_of

__all__ = ["load", "save"]

_LOGGED = {"losses": [float], "lr": [float], "val_losses": [[float]], "val_steps": [int], "global_step": int}


class Run(Protocol):
    """The parts of a run that a checkpoint holds, or that say which run it is; `ggfm.training.Trainer` has them."""

    settings: Settings
    seed: int
    switches: Switches
    device: torch.device
    data: OfflineData
    bridge: BrownianBridge
    updater: Updater
    record: TrainingRecord
    held_out: list[Pairs]

    @property
    def n_epochs(self) -> int:
        """Epochs in all."""


def save(trainer: Run, path: Path) -> None:
    """Write a run between two epochs; see `ggfm.checkpoint.write`."""
    record = trainer.record
    entries = {
        **weights_of(trainer.bridge, record.average),
        "updater": trainer.updater.state(),
        "run": _identity(trainer),
        "epochs_done": record.epochs_done,
        "record": {name: getattr(record, name) for name in _LOGGED},
        "pool": record.pool,
        "held_out": Pairs.concatenated(trainer.held_out).columns(),
        "generators": _generators(trainer),
    }
    write(path, entries)


def load(trainer: Run, path: Path) -> None:
    """Turn a run into the one that was saved.

    Raises ValueError as `ggfm.checkpoint.read`, and for entries that contradict each other; the run is then as before.
    """
    x, y = trainer.data.x, trainer.data.y
    form = {
        **weights_of(trainer.bridge, trainer.record.average),
        "updater": trainer.updater.form(),
        "run": _exactly(_identity(trainer)),
        "epochs_done": int,
        "record": _LOGGED,
        "pool": Rows(x),
        "held_out": {name: Rows(column) for name, column in Pairs(x, y, x, y).columns().items()},
        "generators": _generators(trainer),
    }
    entries = read(path, form)
    _require_consistent(path, entries, trainer.n_epochs)
    put_weights(entries, trainer.bridge, trainer.record.average)
    trainer.updater.restore(entries["updater"])
    for name, value in entries["record"].items():
        setattr(trainer.record, name, value)
    trainer.record.epochs_done = entries["epochs_done"]
    trainer.record.pool = entries["pool"].to(trainer.device)
    trainer.held_out = [Pairs(**{name: column.to(trainer.device) for name, column in entries["held_out"].items()})]
    torch.set_rng_state(entries["generators"]["cpu"])
    if trainer.device.type == "cuda":
        torch.cuda.set_rng_state(entries["generators"]["cuda"], trainer.device)


def _identity(trainer: Run) -> dict[str, Any]:
    """Which run this is: two runs with the same answers train alike."""
    return {
        "seed": trainer.seed,
        "switches": str(trainer.switches),
        "dtype": str(trainer.data.x.dtype),
        "device": trainer.device.type,
        "designs": len(trainer.data.x),
        "config": trainer.settings.of_training,
    }


def _generators(trainer: Run) -> dict[str, Tensor]:
    """The states of torch's global generators that a run draws from, by device."""
    states = {"cpu": torch.get_rng_state()}
    if trainer.device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(trainer.device)
    return states


def _exactly(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _exactly(value) if isinstance(value, Mapping) else Exactly(value) for name, value in values.items()}


def _require_consistent(path: Path, entries: Mapping[str, Any], n_epochs: int) -> None:
    """ValueError where entries of the right form contradict each other."""
    record, held_out = entries["record"], entries["held_out"]
    steps, validations = record["global_step"], len(record["val_losses"])
    counts = {
        "record/losses": (len(record["losses"]), steps),
        "record/lr": (len(record["lr"]), steps),
        "record/val_steps": (len(record["val_steps"]), validations),
        **{f"held_out/{name}": (len(held_out[name]), len(held_out["x_high"])) for name in Batch._fields},
    }
    for entry, (length, wanted) in counts.items():
        if length != wanted:
            raise ValueError(f"{path}: entry {entry}: got {length} of them, expected {wanted}")
    if not 0 <= entries["epochs_done"] <= n_epochs:
        raise ValueError(f"{path}: entry epochs_done: got {entries['epochs_done']}, expected 0 to {n_epochs}")
    try:
        torch.Generator().set_state(entries["generators"]["cpu"])
    except RuntimeError as error:
        raise ValueError(f"{path}: entry generators/cpu: expected a generator's state, got other bytes") from error
