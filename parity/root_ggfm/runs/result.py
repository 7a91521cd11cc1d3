"""The result of one seed as a JSON document."""

from __future__ import annotations

import itertools
import math
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from parity.root_ggfm.contract import Training
from parity.root_ggfm.runs.folder import REMEDY, RESULT, read_document
from parity.root_ggfm.runs.request import Request, data_digest
from parity.root_ggfm.tasks.task import Task, constants
from parity.side import Tree
from parity.version import __version__

__all__ = ["PERCENTILES", "best_offline", "progress_of", "read_result", "result_of", "val_means"]

PERCENTILES = {"p100": "100th", "p80": "80th", "p50": "50th"}
"""Keys of the percentiles in a result, and their names."""

_KEYS = {
    "side", "version", "label", "switches", "task", "data", "task_note", "size", "config", "unknown_entries",
    "seed", "dtype", "device", "threads", "nudge", "versions", "status", "reason", "losses", "lr", "val_losses",
    "val_steps", "global_step", "scores", "best_offline", "timings",
}  # fmt: skip


def result_of(
    request: Request,
    seed: int,
    training: Training,
    *,
    test: Tree | None,
    reason: str | None,
    timings: Mapping[str, Any],
) -> dict[str, Any]:
    """The document, less its format. Without `test` the run diverged for `reason`; only finite losses are kept."""
    losses = _finite(training.losses)
    means = val_means(training.val_losses)
    kept = len(list(itertools.takewhile(lambda mean: mean is None or math.isfinite(mean), means)))
    return {
        "side": request.side.name,
        "version": request.side.version,
        "label": request.label,
        "switches": list(request.switches),
        "task": request.task.name,
        "data": data_digest(request.task),
        "task_note": request.task_note,
        "size": request.size,
        "config": dict(request.config),
        "unknown_entries": list(request.unknown_entries),
        "seed": seed,
        "dtype": request.dtype,
        "device": request.device,
        "threads": request.threads,
        "nudge": request.nudge,
        "versions": {
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
            "parity": __version__,
        },
        "status": "finished" if test is not None else "diverged",
        "reason": reason,
        "losses": losses,
        "lr": list(training.lr)[: len(losses)],
        "val_losses": means[:kept],
        "val_steps": list(training.val_steps)[:kept],
        "global_step": len(losses),
        "scores": None if test is None else _scores(test),
        "best_offline": best_offline(request.task, request.config),
        "timings": dict(timings),
    }


def progress_of(training: Training, epochs_s: Sequence[float | None], resumed: int) -> dict[str, Any]:
    """Where a run stands, for whoever looks into its folder, and its timings so far."""
    means = val_means(training.val_losses)
    return {
        "epochs_done": training.epochs_done,
        "n_epochs": training.n_epochs,
        "global_step": len(training.losses),
        "loss": training.losses[-1] if training.losses else None,
        "val_loss": means[-1] if means else None,
        "epochs_s": list(epochs_s),
        "resumed": resumed,
    }


def read_result(path: Path) -> dict[str, Any]:
    """A result file. Raises ValueError naming the file if it was cut short or is something else."""
    document = read_document(path, RESULT)
    missing = _KEYS - set(document)
    if missing:
        raise ValueError(f"{path} lacks {', '.join(sorted(missing))}; {REMEDY}")
    wrong = [name for name, sound in _soundness(document).items() if not sound]
    if wrong:
        raise ValueError(f"{path}: {', '.join(wrong)} hold something else than a run writes; {REMEDY}")
    return document


def _soundness(document: Mapping[str, Any]) -> dict[str, bool]:
    """Of what is computed with: whether it is what a run writes."""
    scores, timings, nudge = document["scores"], document["timings"], document["nudge"]
    means, steps, losses, rates = (document[key] for key in ("val_losses", "val_steps", "losses", "lr"))
    percentiles = [scores.get(key) for key in PERCENTILES] if isinstance(scores, dict) else None
    return {
        "label, task, size": all(isinstance(document[key], str) for key in ("label", "task", "size")),
        "seed, threads, nudge": _whole([document["seed"], document["threads"], *[nudge] * (nudge is not None)]),
        "status": document["status"] in ("finished", "diverged"),
        "scores": _numbers(percentiles) if document["status"] == "finished" else scores is None,
        "timings": isinstance(timings, dict) and _numbers([timings.get(name) for name in ("train_s", "test_s")]),
        "losses, lr": _numbers(losses) and _numbers(rates) and len(losses) == len(rates),
        "val_losses, val_steps": isinstance(means, list)
        and _numbers([mean for mean in means if mean is not None])
        and _whole(steps)
        and len(means) == len(steps),
        "best_offline": _numbers([document["best_offline"]]),
        "config, versions": isinstance(document["config"], dict) and isinstance(document["versions"], dict),
    }


def _numbers(values: Any) -> bool:
    """Whether it is a list of finite numbers (of Python's, an integer may be larger than any float)."""
    return isinstance(values, list) and all(type(v) in (int, float) and abs(v) <= sys.float_info.max for v in values)


def _whole(values: Any) -> bool:
    return isinstance(values, list) and all(type(v) is int for v in values)


def val_means(val_losses: Sequence[Sequence[float]]) -> list[float | None]:
    """The mean that each validation reports; None where there was no validation pair."""
    return [sum(losses) / len(losses) if losses else None for losses in val_losses]


def best_offline(task: Task, config: Mapping[str, Any]) -> float:
    """The best offline score on the scale of the results: (max y - y_min)/(y_max - y_min)."""
    known = constants(str(config["task"]["name"]))
    return (float(task.y.max()) - known.y_min) / (known.y_max - known.y_min)


def _finite(values: Sequence[float]) -> list[float]:
    return list(itertools.takewhile(math.isfinite, values))


def _scores(test: Tree) -> dict[str, Any]:
    percentiles = [float(value) for value in test["percentiles"]]
    return {**dict(zip(PERCENTILES, percentiles, strict=True)), "all": [float(score) for score in test["scores"]]}
