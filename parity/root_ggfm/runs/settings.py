"""What the command line says about a configuration: `--set` and `--seeds`."""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

__all__ = ["digest", "entries", "merged", "parse_seeds", "parse_settings", "plain", "seeds_in_words"]

_LARGEST_SEED = 2**32 - 1  # NumPy's


def parse_seeds(text: str) -> tuple[int, ...]:
    """`0-7`, `0,3`, `0` or a mixture, in the order given, each once. Raises ValueError for anything else."""
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
    """Rising seeds as `seeds 0-3, 7`: those that follow each other in short."""
    runs: list[list[int]] = []
    for seed in seeds:
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    short = ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
    return f"seed{'s' * (len(seeds) > 1)} {short}"


def parse_settings(texts: Sequence[str]) -> dict[str, Any]:
    """`training.n_epochs=3` as {"training.n_epochs": 3}; values are YAML. Raises ValueError naming the option."""
    settings: dict[str, Any] = {}
    for text in texts:
        name, equals, written = text.partition("=")
        if not equals or not all(name.split(".")):
            raise ValueError(f"--set {text!r}: expected NAME=VALUE such as training.n_epochs=3")
        try:
            value = yaml.safe_load(written)
        except yaml.YAMLError as error:
            raise ValueError(f"--set {text!r}: the value is no YAML: {' '.join(str(error).split())}") from error
        finite = not isinstance(value, float) or math.isfinite(value)
        if not isinstance(value, bool | int | float | str) or not finite:
            raise ValueError(f"--set {text!r}: expected a finite number, true, false or a text, got {value!r}")
        settings[name] = value
    return settings


def merged(config: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """A copy with the entries of the dotted names set. Raises ValueError where a name leads through a value."""
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
    """Every value that is no section, with its dotted name."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from entries(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def plain(config: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The configuration as JSON holds it. Raises ValueError naming the source for NaN and infinity."""
    try:
        result: dict[str, Any] = json.loads(json.dumps(config, default=str, allow_nan=False))
    except ValueError as error:
        raise ValueError(f"{source}: an entry is NaN or infinite; allowed are finite numbers ({error})") from error
    return result


def digest(tree: Mapping[str, Any]) -> str:
    """Eight hexadecimal digits that tell configurations apart."""
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()[:8]
