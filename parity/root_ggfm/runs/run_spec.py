"""The options of `parity run` checked and loaded: seeds, settings, presets, feasibility, and the run specification."""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
import yaml

from parity.loading import load_side
from parity.root_ggfm.contract import Trainable
from parity.root_ggfm.profiles import PROFILES
from parity.root_ggfm.sides.root_config import PUBLISHED, published_config, read_config_file
from parity.root_ggfm.tasks.catalogue import load_task
from parity.root_ggfm.tasks.synthetic import CONTINUOUS, DISCRETE
from parity.root_ggfm.tasks.task import CONSTANTS, Task
from parity.root_ggfm.tasks.tfbind8 import NAME as TFBIND8
from parity.torch_options import DTYPES, usable_device

__all__ = [
    "DESK",
    "PERCENTILES",
    "SIDES",
    "SIZES",
    "Override",
    "RunSide",
    "RunSpec",
    "check_feasible",
    "check_task_name",
    "conditions_key",
    "data_digest",
    "digest",
    "entries",
    "grouped",
    "merged",
    "parse_seeds",
    "parse_settings",
    "plain",
    "prepare",
    "preset_config",
    "seeds_in_words",
]

SIDES = {"root": "reference_root", "ggfm": "ggfm"}
"""Names of the sides on the command line, and in `parity.root_ggfm.sides`."""

SIZES = ("desk", "published")

PERCENTILES = {"p100": "100th", "p80": "80th", "p50": "50th"}
"""Keys of the percentiles in a result, and their names."""

_LARGEST_SEED = 2**32 - 1  # NumPy's
_POOL = 1024
_BEST = 2000


class Override(NamedTuple):
    """A value other than the published one, and why."""

    value: int | float
    reason: str


DESK: Mapping[str, Override] = {
    "GP.num_fit_samples": Override(500, "a kernel matrix a thirtieth as wide (only TFBind8's configuration has it)"),
    "GP.num_points": Override(512, "half the paths per function; they take most of the time"),
    "model.BB.params.MLPParams.hidden_size": Override(512, "about a quarter of the weights"),
    "training.batch_size": Override(32, "half, as there are half the pairs: as many batches per epoch as published"),
    "training.n_epochs": Override(20, "a fifth"),
    "training.validation_interval": Override(4, "a fifth: five validations, as published"),
    "model.EMA.start_ema_step": Override(800, "a fifth, as there are a fifth of the batches"),
    "model.EMA.update_ema_interval": Override(2, "a quarter, so that the average forgets its start as it does there"),
    "model.BB.lr_scheduler.patience": Override(40, "a fifth, as there are a fifth of the optimiser steps"),
    "model.BB.lr_scheduler.cooldown": Override(40, "a fifth, likewise"),
}
"""The entries of ROOT's configuration that `desk` changes; everything else stays as published."""


def parse_seeds(text: str) -> tuple[int, ...]:
    """Parse `0-7`, `0,3`, `0` or a mixture, in the order given, each once. Raises ValueError for anything else."""
    seeds: dict[int, None] = {}
    for part in text.split(","):
        first, dash, last = (piece.strip() for piece in part.partition("-"))
        if not (first.isdecimal() and (last.isdecimal() if dash else True)):
            raise ValueError(f"--seeds {text!r}: expected numbers and ranges such as 0-7 or 0,3, got {part.strip()!r}")
        start, end = int(first), int(last or first)
        if not start <= end <= _LARGEST_SEED:
            raise ValueError(f"--seeds {text!r}: {part.strip()} must rise and end at {_LARGEST_SEED} or before")
        seeds |= dict.fromkeys(range(start, end + 1))
    return tuple(seeds)


def seeds_in_words(seeds: Sequence[int]) -> str:
    """Write rising seeds as `seeds 0-3, 7`, consecutive ones as a range."""
    ranges: list[list[int]] = []
    for seed in seeds:
        if ranges and seed == ranges[-1][-1] + 1:
            ranges[-1].append(seed)
        else:
            ranges.append([seed])
    short = ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in ranges)
    return f"seed{'s' * (len(seeds) > 1)} {short}"


def parse_settings(texts: Sequence[str]) -> dict[str, Any]:
    """Parse `training.n_epochs=3` to {"training.n_epochs": 3}; values are YAML. Raises ValueError naming the option."""
    settings: dict[str, Any] = {}
    for text in texts:
        name, equals, written = text.partition("=")
        if not equals or not all(name.split(".")):
            raise ValueError(f"--set {text!r}: expected NAME=VALUE such as training.n_epochs=3")
        try:
            value = yaml.safe_load(written)
        except yaml.YAMLError as error:
            raise ValueError(f"--set {text!r}: the value is not YAML: {' '.join(str(error).split())}") from error
        finite = not isinstance(value, float) or math.isfinite(value)
        if not isinstance(value, bool | int | float | str) or not finite:
            raise ValueError(f"--set {text!r}: expected a finite number, true, false or a text, got {value!r}")
        settings[name] = value
    return settings


def merged(config: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy with the entries of the dotted names set. Raises ValueError where a name leads through a value."""
    result = copy.deepcopy(dict(config))
    for name, value in settings.items():
        *sections, last = name.split(".")
        section = result
        for part in sections:
            section = section.setdefault(part, {})
            if not isinstance(section, dict):
                raise ValueError(f"{name}: {part} is a value in this configuration, not a section")
        if isinstance(section.get(last), dict):
            raise ValueError(f"{name} is a section in this configuration; it holds {', '.join(section[last])}")
        section[last] = value
    return result


def entries(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value that is not a section, with its dotted name."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from entries(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def plain(config: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return the configuration as JSON holds it. Raises ValueError naming the source for NaN and infinity."""
    try:
        result: dict[str, Any] = json.loads(json.dumps(config, default=str, allow_nan=False))
    except ValueError as error:
        raise ValueError(f"{source}: an entry is NaN or infinite; allowed are finite numbers ({error})") from error
    return result


def digest(tree: Mapping[str, Any]) -> str:
    """Return eight hexadecimal digits that identify a configuration."""
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()[:8]


def conditions_key(result: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what two results must share to be compared: task, data, size, configuration, precision, device."""
    return (*(str(result[name]) for name in ("task", "data", "size", "dtype", "device")), digest(result["config"]))


def grouped(
    results: Iterable[Mapping[str, Any]], key: Callable[[Mapping[str, Any]], tuple[str, ...]] = conditions_key
) -> list[list[Mapping[str, Any]]]:
    """Group results by a key, in order; by default those that can be compared."""
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for result in results:
        groups.setdefault(key(result), []).append(result)
    return list(groups.values())


def data_digest(task: Task) -> str:
    """Return sixteen hexadecimal digits of the offline designs and scores."""
    whole = hashlib.sha256()
    for values in (task.x, task.y):
        whole.update(f"{values.dtype}{values.shape}".encode())
        whole.update(np.ascontiguousarray(values).tobytes())
    return whole.hexdigest()[:16]


def preset_config(size: str, task: Task) -> dict[str, Any]:
    """Return the configuration of a task in a size.

    `published` is ROOT's own, of its four tasks. `desk` is that with `DESK` put over it. The built-in tasks take
    TFBind8's with their own `image_size`; its `task.name` stays, since by that name both sides look up the range of
    scores, and the built-in tasks are scored from 0 to 1 as TFBind8 is.

    Raises ValueError for a size that does not exist and for a task that has none of that size.
    """
    if size not in SIZES:
        raise ValueError(f"size {size!r} is unknown; allowed are {', '.join(SIZES)}")
    built_in = task.name in (DISCRETE, CONTINUOUS)
    if task.name not in PUBLISHED and not (built_in and size == "desk"):
        allowed = (*PUBLISHED, *((DISCRETE, CONTINUOUS) if size == "desk" else ()))
        raise ValueError(
            f"size {size!r} does not exist for task {task.name}; it does for {', '.join(allowed)}. "
            "--config takes a configuration of your own"
        )
    config = published_config(TFBIND8 if built_in else task.name)
    if built_in:
        columns = int(task.x.shape[1])  # of a discrete task, L(V - 1) logits
        dimension = columns * (task.num_classes - 1) if task.is_discrete else columns
        config = merged(config, {"model.BB.params.MLPParams.image_size": dimension})
    if size == "published":
        return config
    there = dict(entries(config))
    return merged(config, {name: override.value for name, override in DESK.items() if name in there})


def check_feasible(config: Mapping[str, Any], task: Task, switches: Sequence[str] = ()) -> None:
    """Raise ValueError naming the entry that would stop a run on this task, in training or only in the test.

    `cosine` steps start outside of the schedule; candidates and start points must be among the N offline designs.
    `switches`: those of ggfm that are on; with `pool`, half of the start points are among the 2000 best designs.
    """
    params, testing, gp = config["model"]["BB"]["params"], config["testing"], config["GP"]
    n, wanted, share = len(task.y), testing["num_candidates"], testing["percentile_sampling"]
    if params["skip_sample"] and params["sample_type"] == "cosine":
        raise ValueError("config: model.BB.params.sample_type 'cosine' cannot be sampled with; allowed is 'linear'")
    among = {"low": int(share * n), "high": int(share * n), "random": n}.get(testing["type_sampling"], wanted)
    if wanted > among:
        raise ValueError(
            f"config: testing.num_candidates must be at most the {among} designs that type_sampling "
            f"{testing['type_sampling']!r} draws from (percentile_sampling {share}, {n} designs), got {wanted}"
        )
    kind = gp["type_of_initial_points"]
    if "pool" in switches:
        most = min(2 * _BEST + 1, 2 * n)
        limit = f"{most} with the switch pool"
    else:
        most = min(n, _POOL) if kind in ("highest", "lowest") else n
        limit = f"the {most} designs of the pool {kind!r}"
    if gp["num_points"] > most:
        raise ValueError(f"config: GP.num_points must be at most {limit}, got {gp['num_points']}")


def check_task_name(config: Mapping[str, Any], task_name: str) -> None:
    """Raise ValueError if `task.name` stands for another range of scores than that of the task that is run.

    By `task.name` both sides look up the range by which they normalise scores.
    """
    named, run = CONSTANTS.get(str(config["task"]["name"])), CONSTANTS.get(task_name)
    if named is None or run is None or (named.y_min, named.y_max) == (run.y_min, run.y_max):
        return
    raise ValueError(
        f"config: task.name is {named.name}, whose scores run from {named.y_min:g} to {named.y_max:g}; those of "
        f"--task {run.name} run from {run.y_min:g} to {run.y_max:g}. They must be the same: choose the other task, or "
        "--set task.name"
    )


class RunSide(Trainable, Protocol):
    """A side that can be run whole."""

    name: str
    version: str


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """The checked options of `parity run`. `size` is also a folder's name; `switches` are those that are on."""

    side: RunSide
    label: str
    switches: tuple[str, ...]
    task: Task
    task_note: str
    size: str
    config: Mapping[str, Any]
    unknown_entries: tuple[str, ...]
    dtype: str
    device: str
    threads: int
    nudge: int | None
    out: Path

    @property
    def folder(self) -> Path:
        """OUT/task/size/label; it holds one folder per seed."""
        return self.out / self.task.name.replace(":", "-") / self.size / self.label

    @property
    def torch_dtype(self) -> torch.dtype:
        """The precision as torch names it."""
        return DTYPES[self.dtype]

    def conditions(self, seed: int) -> dict[str, Any]:
        """Return everything that the outcome of a seed depends on; `run.json` keeps it."""
        return {
            "side": self.side.name,
            "version": self.side.version,
            "label": self.label,
            "switches": list(self.switches),
            "task": self.task.name,
            "data": data_digest(self.task),
            "size": self.size,
            "config": dict(self.config),
            "seed": seed,
            "dtype": self.dtype,
            "device": self.device,
            "threads": self.threads,
            "nudge": self.nudge,
            "torch": torch.__version__,
        }


def prepare(
    *,
    side: str,
    task: str = "auto",
    profile: str | None = None,
    on: Sequence[str] = (),
    off: Sequence[str] = (),
    size: str | None = None,
    config: str | Path | None = None,
    settings: Sequence[str] = (),
    out: str | Path = "runs",
    device: str = "cpu",
    threads: int = 1,
    dtype: str = "float32",
    nudge: int | None = None,
) -> RunSpec:
    """Check the options and load what they name. `settings`: NAME=VALUE, put over the configuration.

    Raises ValueError naming the option, what it got and what is allowed.
    """
    if side not in SIDES:
        raise ValueError(f"--side {side!r} is unknown; allowed are {', '.join(SIDES)}")
    if side == "root" and (profile is not None or on or off):
        raise ValueError("--profile, --on and --off choose what sets ggfm apart; --side root has no switches")
    if side != "root" and nudge is not None:
        raise ValueError(f"--nudge shows what rounding does to the reference; it needs --side root, got {side}")
    if profile not in (None, *PROFILES):
        raise ValueError(f"--profile {profile!r} is unknown; allowed are {', '.join(PROFILES)}")
    both = [name for name in on if name in off]
    if both:
        raise ValueError(f"--on and --off both name {', '.join(both)}; a switch can be set once")
    if size is not None and config is not None:
        raise ValueError("--size and --config both name a configuration; give one of them")
    if nudge is not None and nudge < 0:
        raise ValueError(f"--nudge must be 0 or more, it seeds a generator, got {nudge}")
    if dtype not in DTYPES:
        raise ValueError(f"--dtype {dtype!r} is unknown; allowed are {', '.join(DTYPES)}")
    if threads < 1:
        raise ValueError(f"--threads must be at least 1, got {threads}")
    device = str(usable_device(device, "--device"))
    loaded: Any = load_side(SIDES[side], profile or "aligned", on=on, off=off)
    designs, note = load_task(task)
    switches = tuple(loaded.switches.on) if side == "ggfm" else ()
    name, whole, unknown = _configuration(loaded, designs, size, config, settings, switches)
    label = loaded.name.replace("reference_root", "root").replace("[", "-").rstrip("]")  # such as ggfm-aligned+pool
    return RunSpec(
        side=loaded,
        label=label if nudge is None else f"{label}-nudge{nudge}",
        switches=switches,
        task=designs,
        task_note=note,
        size=name,
        config=whole,
        unknown_entries=unknown,
        dtype=dtype,
        device=device,
        threads=threads,
        nudge=nudge,
        out=Path(out),
    )


def _configuration(
    side: RunSide,
    task: Task,
    size: str | None,
    file: str | Path | None,
    settings: Sequence[str],
    switches: Sequence[str],
) -> tuple[str, dict[str, Any], tuple[str, ...]]:
    """Return the folder's name, the whole configuration, and the entries in it that nothing uses."""
    overrides = parse_settings(settings)
    if file is None:
        name, source = size or "desk", f"size {size or 'desk'}"
        base = preset_config(name, task)
    else:
        name, source = Path(file).stem, str(file)
        base = read_config_file(file)
    whole = merged(base, overrides)
    try:
        unknown = side.check_config(whole)
    except ValueError as error:
        raise ValueError(f"{source}{' with --set' if overrides else ''}: {error}") from error
    unused = [f"--set {entry}" for entry in overrides if entry in unknown]
    if unused:
        raise ValueError(f"{', '.join(unused)}: nothing uses an entry of that name")
    check_task_name(whole, task.name)
    check_feasible(whole, task, switches)
    whole = plain(whole, source)
    return f"{name}-{digest(whole)}" if overrides else name, whole, unknown
