"""One command's worth of runs: what is trained, on what, under which conditions."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from parity.loading import load_side
from parity.root_ggfm.contract import Trainable
from parity.root_ggfm.profiles import PROFILES
from parity.root_ggfm.runs.fits import check_fits, check_task_name
from parity.root_ggfm.runs.settings import digest, merged, parse_settings, plain
from parity.root_ggfm.runs.sizes import size_config
from parity.root_ggfm.sides.root_config import read_config_file
from parity.root_ggfm.tasks.catalogue import load_task
from parity.root_ggfm.tasks.task import Task
from parity.torch_options import DTYPES, usable_device

__all__ = ["SIDES", "Request", "RunSide", "prepare"]

SIDES = {"root": "reference_root", "ggfm": "ggfm"}
"""Names of the sides on the command line, and in `parity.root_ggfm.sides`."""


class RunSide(Trainable, Protocol):
    """A side that can be run whole."""

    name: str
    version: str


@dataclass(frozen=True, kw_only=True)
class Request:
    """What `parity run` was asked for, checked. `size` is also the folder's name; `switches` are those that are on."""

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
        """OUT/task/size/label; one folder per seed lies in it."""
        return self.out / self.task.name.replace(":", "-") / self.size / self.label

    @property
    def torch_dtype(self) -> torch.dtype:
        """The precision as torch names it."""
        return DTYPES[self.dtype]

    def conditions(self, seed: int) -> dict[str, Any]:
        """Everything that the outcome of a seed depends on; what `run.json` keeps."""
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


def data_digest(task: Task) -> str:
    """Sixteen hexadecimal digits of the offline designs and scores."""
    whole = hashlib.sha256()
    for values in (task.x, task.y):
        whole.update(f"{values.dtype}{values.shape}".encode())
        whole.update(np.ascontiguousarray(values).tobytes())
    return whole.hexdigest()[:16]


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
) -> Request:
    """Check what the command line asks for and load what it names. `settings`: NAME=VALUE, put over the configuration.

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
    return Request(
        side=loaded,
        label=_label(loaded.name, nudge),
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
    """The folder's name, the whole configuration, and the entries in it that nothing uses."""
    overrides = parse_settings(settings)
    if file is None:
        name, source = size or "desk", f"size {size or 'desk'}"
        base = size_config(name, task)
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
    check_fits(whole, task, switches)
    whole = plain(whole, source)
    return f"{name}-{digest(whole)}" if overrides else name, whole, unknown


def _label(side_name: str, nudge: int | None) -> str:
    """`root`, `root-nudge1`, `ggfm-aligned+pool`: the side's name without brackets."""
    label = side_name.replace("reference_root", "root").replace("[", "-").rstrip("]")
    return label if nudge is None else f"{label}-nudge{nudge}"
