"""A configuration as a checkout's runner reads it: published entries, and what a command line adds to them."""

from __future__ import annotations

import dis
import sys
from argparse import Namespace
from collections.abc import ItemsView, Iterator, KeysView, Mapping
from functools import cache
from types import FrameType
from typing import Any

from parity.root_ggfm.sides.root_config import PUBLISHED, published_config

__all__ = ["FOLDER", "UNREAD", "Section", "runner_config"]


class Section(Namespace):
    """A section as a namespace: attributes, `in`, items, `get` and `vars`, which published code uses side by side.

    An entry that it does not have is `machine`'s, which stands for command line and machine; None where that has none
    either, and a section at the top. `asked` notes both, by dotted name. What a published configuration may hold and
    this one does not is absent, and so is what code asks for by `getattr` or `hasattr`, prepared for its absence.
    """

    machine: Mapping[str, Any]
    asked: dict[str, Any]
    path: str

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or (name not in self.machine and _is_asked_in_words(sys._getframe(1))):
            raise AttributeError(f"the configuration has no {self.path}{name}")
        return self[name]

    def __getitem__(self, name: str) -> Any:
        if name in vars(self):
            return vars(self)[name]
        if name in _vocabulary():
            raise AttributeError(f"the configuration has no {self.path}{name}")
        if not self.path and name not in self.machine:
            setattr(self, name, _section({}, self.machine, self.asked, f"{name}."))
            return vars(self)[name]
        named = "run" if name.endswith("name") else None  # a run's: paths are made of it
        self.asked[f"{self.path}{name}"] = self.machine.get(name, named)
        return self.asked[f"{self.path}{name}"]

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self, name, value)

    def __contains__(self, name: str) -> bool:
        return name in vars(self) or name in self.machine

    def __iter__(self) -> Iterator[str]:
        return iter(vars(self))

    def get(self, name: str, default: Any = None) -> Any:
        """The entry, or what the machine's is, or the default."""
        return vars(self).get(name, self.machine.get(name, default))

    def keys(self) -> KeysView[str]:
        """Names of its own entries."""
        return vars(self).keys()

    def items(self) -> ItemsView[str, Any]:
        """Its own entries."""
        return vars(self).items()


def _is_asked_in_words(frame: FrameType) -> bool:
    """Whether a line asks by a call, as `getattr(config, "name", default)`, and not by a dot."""
    return "CALL" in dis.opname[frame.f_code.co_code[frame.f_lasti]]  # or PRECALL, of Python 3.11


def _section(values: Mapping[str, Any], machine: Mapping[str, Any], asked: dict[str, Any], path: str) -> Section:
    kind = type("Section", (Section,), {"machine": machine, "asked": asked, "path": path})
    section: Section = kind()
    for name, value in values.items():
        inner = f"{path}{name}."
        setattr(section, name, _section(value, machine, asked, inner) if isinstance(value, Mapping) else value)
    return section


class _Device(str):
    """The CPU where code takes a device, and where it takes the first of several."""

    type = "cpu"
    __slots__ = ()

    def __getitem__(self, key: Any) -> Any:
        return self if isinstance(key, int) else super().__getitem__(key)


FOLDER = "results"
"""Where runners write, in the host's scratch folder."""

UNREAD: Mapping[str, Any] = {
    "model_name": "BrownianBridge", "model_type": "BBDM", "latent_before_quant_conv": False, "normalize_latent": False,
    "only_load_latent_mean_std": False, "CondStageParams": {"n_stages": 2, "in_channels": 3, "out_channels": 3},
}  # fmt: skip
"""What published configurations of the model hold besides, and no side computes with."""

_MACHINE: Mapping[str, Any] = {
    "device": _Device("cpu"), "gpu_ids": "-1", "train": True, "use_DDP": False, "debug": False, "wandb": False,
    "use_wandb": False, "result_path": FOLDER, "save_path": FOLDER, "results_path": FOLDER,
    "ckpt_path": FOLDER, "log_path": FOLDER, "output_dir": FOLDER, "image_path": FOLDER,
}  # fmt: skip
"""What no configuration file holds."""


@cache
def _vocabulary() -> frozenset[str]:
    return frozenset(_names({task: published_config(task) for task in PUBLISHED}))


def _names(values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        yield name
        if isinstance(value, Mapping):
            yield from _names(value)


def runner_config(config: Mapping[str, Any], seed: int) -> tuple[Section, dict[str, Any]]:
    """The namespace for one runner, and what was asked of it that `config` does not hold."""
    asked: dict[str, Any] = {}
    return _section(config, {**_MACHINE, "seed": seed}, asked, ""), asked
