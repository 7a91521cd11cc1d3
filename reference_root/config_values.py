"""What each entry of a ROOT configuration may be: one table of types and ranges, by dotted name."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reference_root.candidates import SAMPLING_TYPES

__all__ = ["ENTRIES", "UNUSED", "Entry", "check_values", "entries_of", "unknown_entries"]


@dataclass(frozen=True)
class Entry:
    """A test of one entry's value, and what it allows in words."""

    allowed: str
    fits: Callable[[Any], bool]


def _count(minimum: int) -> Entry:
    return Entry(
        f"an integer of at least {minimum}",
        lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= minimum,
    )


def _number(allowed: str, inside: Callable[[float], bool] = lambda _: True) -> Entry:
    def fits(value: Any) -> bool:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and abs(value) <= sys.float_info.max and inside(value)  # false for NaN

    return Entry(allowed, fits)


def _one_of(*choices: str) -> Entry:
    return Entry(f"one of {', '.join(map(repr, choices))}", lambda value: value in choices)


_ANY = _number("a finite number")
_POSITIVE = _number("a number above 0", lambda value: value > 0)
_NOT_NEGATIVE = _number("a number of at least 0", lambda value: value >= 0)
_FRACTION = _number("a number from 0 to 1", lambda value: 0 <= value <= 1)
_BELOW_ONE = _number("a number from 0 to below 1", lambda value: 0 <= value < 1)
_FLAG = Entry("true or false", lambda value: isinstance(value, bool))
_TEXT = Entry("a text", lambda value: isinstance(value, str))

ENTRIES: dict[str, Entry] = {
    "GP.initial_lengthscale": _POSITIVE,
    "GP.initial_outputscale": _POSITIVE,
    "GP.noise": _NOT_NEGATIVE,
    "GP.num_functions": _count(1),
    "GP.num_gradient_steps": _count(0),
    "GP.num_points": _count(1),
    "GP.num_fit_samples": _count(1),
    "GP.sampling_from_GP_lr": _NOT_NEGATIVE,
    "GP.delta_lengthscale": _NOT_NEGATIVE,
    "GP.delta_variance": _NOT_NEGATIVE,
    "GP.threshold_diff": _ANY,
    "GP.type_of_initial_points": _TEXT,  # whatever is neither highest nor lowest means all designs
    "model.BB.params.num_timesteps": _count(1),
    "model.BB.params.mt_type": _one_of("linear", "sin"),
    "model.BB.params.objective": _one_of("grad", "noise", "ysubx"),
    "model.BB.params.loss_type": _one_of("l1", "l2"),
    "model.BB.params.skip_sample": _FLAG,
    "model.BB.params.sample_type": _one_of("linear", "cosine"),
    "model.BB.params.sample_step": _count(1),
    "model.BB.params.max_var": _POSITIVE,
    "model.BB.params.eta": _NOT_NEGATIVE,
    "model.BB.params.MLPParams.image_size": _count(1),
    "model.BB.params.MLPParams.hidden_size": _count(1),
    "model.BB.optimizer.optimizer": _TEXT,  # an unknown one fails where the scheduler meets it, as published
    "model.BB.optimizer.lr": _POSITIVE,
    "model.BB.optimizer.beta1": _BELOW_ONE,
    "model.BB.optimizer.weight_decay": _NOT_NEGATIVE,
    "model.BB.lr_scheduler.factor": _number("a number above 0 and below 1", lambda value: 0 < value < 1),
    "model.BB.lr_scheduler.patience": _count(0),
    "model.BB.lr_scheduler.threshold": _NOT_NEGATIVE,
    "model.BB.lr_scheduler.cooldown": _count(0),
    "model.BB.lr_scheduler.min_lr": _NOT_NEGATIVE,
    "model.EMA.use_ema": _FLAG,
    "model.EMA.ema_decay": _FRACTION,
    "model.EMA.start_ema_step": _count(0),
    "model.EMA.update_ema_interval": _count(1),
    "task.name": _TEXT,
    "task.normalize_x": _FLAG,
    "task.normalize_y": _FLAG,
    "training.n_epochs": _count(1),
    "training.batch_size": _count(1),
    "training.accumulate_grad_batches": _count(1),
    "training.classifier_free_guidance_prob": _FRACTION,
    "training.val_frac": _BELOW_ONE,
    "training.validation_interval": _count(1),
    "training.save_interval": _count(1),
    "testing.clip_denoised": _FLAG,
    "testing.num_candidates": _count(1),
    "testing.percentile_sampling": _number("a number above 0, at most 1", lambda value: 0 < value <= 1),
    "testing.type_sampling": _one_of(*SAMPLING_TYPES),
    "testing.classifier_free_guidance_weight": _ANY,
    "testing.alpha": _ANY,
}
"""Every entry that ROOT reads, and what it may be."""

UNUSED = (
    "runner",
    "model.model_name",
    "model.model_type",
    "model.latent_before_quant_conv",
    "model.normalize_latent",
    "model.only_load_latent_mean_std",
    "model.CondStageParams",
    "model.BB.params.MLPParams.condition_key",
)
"""Entries of ROOT's own files that change nothing here."""


def entries_of(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is no section, with its dotted name."""
    for name, value in config.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from entries_of(value, f"{path}.")
        else:
            yield path, value


def check_values(config: Mapping[str, Any]) -> None:
    """ValueError for the first entry of a wrong type or an impossible value: its name, the value, what is allowed."""
    for path, value in entries_of(config):
        entry = ENTRIES.get(path)
        if entry is not None and not entry.fits(value):
            raise ValueError(f"config: {path} must be {entry.allowed}, got {value!r}{_hint(value, entry)}")


def _hint(value: Any, entry: Entry) -> str:
    """YAML 1.1 takes 5e-7 for a text, since it has no point."""
    try:
        number = float(value) if isinstance(value, str) else math.nan
    except ValueError:
        return ""
    written = repr(number) if "." in repr(number) else repr(number).replace("e", ".0e")
    return f", a text to YAML; as a number it is written {written}" if entry.fits(number) else ""


def unknown_entries(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The dotted names, sorted, of entries that neither ROOT reads nor its own files hold."""
    unused = tuple(f"{name}." for name in UNUSED)
    return tuple(
        sorted(path for path, _ in entries_of(config) if path not in ENTRIES and not f"{path}.".startswith(unused))
    )
