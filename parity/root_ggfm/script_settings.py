"""Settings of training scripts in both layouts: which is which, changed copies of configurations, what a script reads.

A setting has one name, that of ROOT's configuration files; `script_settings.toml` says where each layout keeps it.
No code of the scripts is executed here.
"""

from __future__ import annotations

import copy
import math
import tomllib
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from parity.adapter_file import nearest
from parity.root_ggfm.script_source import (
    UNKNOWN,
    Located,
    SettingsClass,
    YamlFile,
    defaults_where_absent,
    options,
    overrides,
    seeds_in_a_loop,
)

__all__ = [
    "SMALL", "Setting", "changed_arguments", "changed_config", "differing", "effective", "find", "small", "table",
]  # fmt: skip

SMALL: Mapping[str, Any] = {
    "n_epochs": 2,
    "batch_size": 20,
    "accumulate_grad_batches": 2,
    "val_frac": 0.1,
    "validation_interval": 1,
    "save_interval": 1,
    "num_functions": 2,
    "num_points": 32,
    "num_gradient_steps": 4,
    "num_fit_samples": 200,
    "threshold_diff": 1e-6,
    "hidden_size": 16,
    "num_timesteps": 50,
    "sample_step": 6,
    "start_ema_step": 4,
    "update_ema_interval": 1,
    "cooldown": 0,
    "patience": 0,
    "num_candidates": 16,
}
"""A run of seconds in which each part of the pipeline happens: an epoch ends between two optimiser steps, the average
begins to decay, the rate falls, pairs are held out."""

_YAML_OPTION = "config"
_CLASS = "src/config.py", "Config", "load_config"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A setting and its places. `root`, `ggfm`: entries of YAML files; `attribute`: of GGFM's class `Config`.

    `root_is`, `ggfm_is`: what a script does that has no such setting. `cannot`: why a layout's file does not set it.
    `same`: two words for one thing. `only`: the one task that uses it.
    """

    name: str
    kind: str
    root: str = ""
    ggfm: tuple[str, ...] = ()
    attribute: str = ""
    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None
    allowed: tuple[str, ...] = ()
    root_is: Any = None
    ggfm_is: Any = None
    cannot: Mapping[str, str] = field(default_factory=dict)
    same: Mapping[str, str] = field(default_factory=dict)
    only: str = ""

    def entries(self, layout: str) -> tuple[str, ...]:
        """Return the dotted entries of a layout's YAML file that hold it; none where it cannot be set."""
        return ((self.root,) if self.root else ()) if layout == "root" else self.ggfm

    def check(self, value: Any) -> None:
        """Raise ValueError for a value of another type or out of range."""
        kinds: Mapping[str, tuple[type, ...]] = {
            "integer": (int,), "number": (int, float), "boolean": (bool,), "text": (str,),
        }  # fmt: skip
        fits = isinstance(value, kinds[self.kind]) and isinstance(value, bool) is (self.kind == "boolean")
        if fits and self.kind in ("integer", "number"):
            fits = (
                math.isfinite(value)
                and (self.least is None or value >= self.least)
                and (self.most is None or value <= self.most)
                and (self.above is None or value > self.above)
                and (self.below is None or value < self.below)
            )
        if not fits or (self.allowed and value not in self.allowed):
            raise ValueError(f"{self.name} must be {self.says}, got {value!r}")

    @property
    def says(self) -> str:
        """The allowed values in words."""
        if self.allowed:
            return f"one of {', '.join(self.allowed)}"
        if self.kind in ("boolean", "text"):
            return {"boolean": "true or false", "text": "a text"}[self.kind]
        bounds = (("at least", self.least), ("above", self.above), ("at most", self.most), ("below", self.below))
        limits = " and ".join(f"{word} {limit:g}" for word, limit in bounds if limit is not None)
        return f"{'an integer' if self.kind == 'integer' else 'a number'} {limits}".rstrip()


@cache
def table() -> Mapping[str, Setting]:
    """Return all settings by name."""
    read = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
    return {name: Setting(name=name, **{k: _frozen(v) for k, v in entry.items()}) for name, entry in read.items()}


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def find(names: Iterable[str]) -> dict[str, Setting]:
    """Return settings by name, or by the dotted entry of either layout. Raises ValueError for any other name."""
    known = table()
    entries = {entry: s for s in known.values() for layout in ("root", "ggfm") for entry in s.entries(layout)}
    found: dict[str, Setting] = {}
    for name in names:
        setting = known.get(name) or entries.get(name)
        if setting is None:
            close = nearest(name, known) or f"; there are {', '.join(known)}"
            raise ValueError(f"setting {name!r} is unknown{close}")
        if setting.name in found:
            raise ValueError(f"setting {setting.name} is given twice, the second time as {name!r}")
        found[setting.name] = setting
    return found


def changed_config(layout: str, path: Path, settings: Mapping[str, Any]) -> str:
    """Return a layout's YAML file with other settings. Raises ValueError naming a setting that is unknown or that this
    layout cannot set, a wrong value, and a file that cannot be read."""
    changed = copy.deepcopy(YamlFile(path, str(path)).values)
    for setting, value in _checked(layout, settings):
        _put(changed, setting.entries(layout), value)
    return yaml.safe_dump(changed, sort_keys=False, allow_unicode=True)


def changed_arguments(
    layout: str, folder: Path, argv: Sequence[str], settings: Mapping[str, Any], scratch: Path
) -> list[str]:
    """Write a changed copy of a script's configuration into `scratch`; return its command line with that copy.

    `argv`: the script in `folder`, and its arguments. Raises ValueError as `changed_config`, and for a script that
    would not read a setting where it was put.
    """
    effective(layout, folder, argv, settings)
    path = _configuration(folder, argv)
    if path is None:
        raise ValueError(f"{argv[0]} reads no configuration file: its settings cannot be set")
    copied = scratch / path.name
    copied.write_text(changed_config(layout, path, settings), "utf-8")
    given = list(argv)
    for k, word in enumerate(given[1:], 1):
        option, equals, _ = word.partition("=")
        if option in ("-c", f"--{_YAML_OPTION}"):
            given[k : k + (1 if equals else 2)] = [option, str(copied)]
            return given
    return [*given, f"--{_YAML_OPTION}", str(copied)]


def small(layout: str, folder: Path, argv: Sequence[str]) -> dict[str, Any]:
    """Return those of `SMALL` that a script reads."""
    read = effective(layout, folder, argv)
    only = {s.name for s in table().values() if s.only}
    return {n: v for n, v in SMALL.items() if n in read or (layout == "root" and n in only)}


def _checked(layout: str, settings: Mapping[str, Any]) -> list[tuple[Setting, Any]]:
    found = list(zip(find(settings).values(), settings.values(), strict=True))
    for setting, value in found:
        if not setting.entries(layout):
            why = setting.cannot.get(layout, "it has no such setting")
            raise ValueError(f"{setting.name} cannot be set in {layout.upper()}'s configuration: {why}")
        setting.check(value)
    return found


def _put(config: MutableMapping[str, Any], entries: Sequence[str], value: Any) -> None:
    """Put a value at the first of the entries that the configuration has, or else the deepest of whose sections it has
    most; sections are made as needed."""
    best = max(entries, key=lambda entry: _depth(config, entry.split(".")))
    *sections, name = best.split(".")
    for section in sections:
        if not isinstance(config.setdefault(section, {}), dict):
            config[section] = {}
        config = config[section]
    config[name] = value


def _depth(config: Any, entry: Sequence[str]) -> float:
    """Return the share of an entry's words that lead into the configuration."""
    for k, word in enumerate(entry):
        if not isinstance(config, Mapping) or word not in config:
            return k / len(entry)
        config = config[word]
    return 1.0


def effective(
    layout: str, folder: Path, argv: Sequence[str], settings: Mapping[str, Any] | None = None
) -> dict[str, Located]:
    """Return the settings as a script would read them, each with its place; settings that it has not are left out,
    those that only running it would tell are `UNKNOWN`.

    `argv`: the script in `folder`, and its arguments; `settings`: changes to its configuration. Names that the table
    lacks are the script's own: dotted entries, `Config.NAME`, `args.NAME`. Raises ValueError for a script or a
    configuration that cannot be read, for wrong changes, and for changes that the script would not read.
    """
    if layout not in ("root", "ggfm"):
        raise ValueError(f"layout must be root or ggfm, got {layout!r}")
    script = folder / argv[0]
    shown = _shown(script, folder)
    arguments = options(script, shown, argv[1:])
    path = _configuration(folder, argv)
    file = None if path is None else YamlFile(path, _shown(path, folder))
    changes = _checked(layout, settings or {})
    if file is not None:
        for setting, value in changes:
            _put(file.values, setting.entries(layout), value)
    elif changes:
        raise ValueError(f"{shown} reads no configuration file: its settings cannot be set")
    if layout == "root":
        read = _of_root(folder, script, shown, arguments, file)
    else:
        read = _of_ggfm(folder, script, arguments, file)
    found = {setting.name: read.pop(key) for key, setting in _keys(layout).items() if key in read}
    for setting in table().values():
        fixed = setting.root_is if layout == "root" else setting.ggfm_is
        if fixed is not None and setting.name not in found:
            found[setting.name] = Located(fixed, setting.cannot.get(layout, f"{layout.upper()} has no such setting"))
    for setting, value in changes:
        got = found.get(setting.name)
        if got is None or (got.value != UNKNOWN and not _same(setting, got.value, value)):
            raise ValueError(
                f"{setting.name} cannot be set to {value!r}: {shown} reads {_said(got)} whatever its file says"
            )
        found[setting.name] = Located(got.value, f"set, {got.where}")
    order = {name: k for k, name in enumerate(table())}
    return dict(sorted((found | read).items(), key=lambda item: order.get(item[0], len(order))))


def _said(located: Located | None) -> str:
    return "no such setting" if located is None else f"{located.value!r} ({located.where})"


@cache
def _keys(layout: str) -> Mapping[str, Setting]:
    """Return settings by what the script itself calls them."""
    if layout == "root":
        own = {s.root: s for s in table().values() if s.root}
    else:
        own = {f"Config.{s.attribute}": s for s in table().values() if s.attribute}
    return own | {name: table()[name] for name in ("seed", "n_seeds", "device")}


def _shown(path: Path, folder: Path) -> str:
    path, folder = path.resolve(), folder.resolve()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


def _configuration(folder: Path, argv: Sequence[str]) -> Path | None:
    """Return the YAML file that the script is given, or takes by default; None where it takes none."""
    script = folder / argv[0]
    given = options(script, _shown(script, folder), argv[1:]).get(_YAML_OPTION)
    if given is None or not isinstance(given.value, str):
        return None
    places = [folder / given.value, script.parent / given.value, Path(given.value)]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise ValueError(f"--{_YAML_OPTION}: there is no file {given.value!r} ({given.where})")
    return found


def _of_root(
    folder: Path, script: Path, shown: str, arguments: Mapping[str, Located], file: YamlFile | None
) -> dict[str, Located]:
    read = file.entries() if file is not None else {}
    absent = defaults_where_absent(folder)
    for entry in (s.root for s in table().values()):
        if entry and entry not in read and entry.rpartition(".")[2] in absent:
            read[entry] = absent[entry.rpartition(".")[2]]
    read |= overrides(script, arguments)
    seeds = seeds_in_a_loop(script, shown)
    if seeds is not None:
        read["seed"] = seeds
        read["n_seeds"] = Located(len(seeds.value), seeds.where)
    elif "seed" in arguments:
        read |= {"seed": arguments["seed"], "n_seeds": Located(1, shown)}
    if "gpu_ids" in arguments:
        number = str(arguments["gpu_ids"].value)
        device = {"-1": "cpu", "0": "cuda"}.get(number, f"cuda:{number}")
        read["device"] = Located(device, arguments["gpu_ids"].where)
    return read | {f"args.{name}": given for name, given in arguments.items()}


def _of_ggfm(folder: Path, script: Path, arguments: Mapping[str, Located], file: YamlFile | None) -> dict[str, Located]:
    place, name, function = _CLASS
    settings = SettingsClass(folder / place, place, name)
    if file is not None:
        settings.apply(function, file)
    own = settings.attributes | overrides(script, arguments)
    for attribute, value in defaults_where_absent(folder).items():
        if attribute.isupper():
            own.setdefault(attribute, value)
    read = {f"{name}.{attribute}": value for attribute, value in own.items()}
    return read | {f"args.{name}": given for name, given in arguments.items()}


def differing(
    reference: tuple[str, Mapping[str, Located]], candidate: tuple[str, Mapping[str, Located]]
) -> list[dict[str, Any]]:
    """Return a row for each setting that differs: its name, both values, both places. Each side: its name, and what
    `effective` says of it. A setting that one side does not have at all is shown as not set; one that only running a
    script would tell is left out."""
    rows = []
    for setting in table().values():
        first, second = (side[1].get(setting.name) for side in (reference, candidate))
        tasks = {side[1]["task"].value for side in (reference, candidate) if "task" in side[1]}
        if (setting.only and setting.only not in tasks) or setting.name == "image_size":
            continue
        if first is None and second is None:
            continue
        if UNKNOWN in (getattr(first, "value", None), getattr(second, "value", None)):
            continue
        if first is not None and second is not None and _same(setting, first.value, second.value):
            continue
        rows.append(
            {
                "name": setting.name,
                "reference": _plain(first), "candidate": _plain(second),
                "reference_place": "" if first is None else first.where,
                "candidate_place": "" if second is None else second.where,
            }
        )  # fmt: skip
    return rows


def _same(setting: Setting, one: Any, other: Any) -> bool:
    one, other = (setting.same.get(v, v) if isinstance(v, str) else v for v in (one, other))
    return bool(isinstance(one, bool) is isinstance(other, bool) and one == other)


def _plain(located: Located | None) -> Any:
    if located is None:
        return "not set"
    value = located.value
    return list(value) if isinstance(value, tuple) else value
