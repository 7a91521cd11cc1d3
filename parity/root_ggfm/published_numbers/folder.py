"""The format of recorded numbers: an `index.json` and one `.npz` per component, read without executing anything."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["GoldenCase", "GoldenError", "GoldenFolder"]


class GoldenError(ValueError):
    """The folder is not what its index says. The message names the file."""


@dataclass(frozen=True)
class GoldenCase:
    """One recorded call: plain parameters, input and output arrays."""

    component: str
    key: str
    params: Mapping[str, Any]
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]

    def nested(self, prefix: str) -> dict[str, Tensor]:
        """The inputs below `prefix/`, without it: `state/denoise_fn.main.0.bias` -> `denoise_fn.main.0.bias`."""
        start = f"{prefix}/"
        return {name.removeprefix(start): array for name, array in self.inputs.items() if name.startswith(start)}

    @property
    def state(self) -> dict[str, Tensor]:
        """Recorded weights."""
        return self.nested("state")


class GoldenFolder:
    """A folder of recorded numbers.

    `index.json` holds `components[NAME]`, a list of cases with `key`, `params`, `inputs` and `outputs` (array names).
    An array lies in `NAME.npz` under `KEY/in/INPUT` or `KEY/out/OUTPUT`.

    Raises GoldenError for a folder without an index, an index that is no valid JSON, an archive that is absent or
    cut short, and an array that the index names and the archive lacks.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        index = path / "index.json"
        if not index.is_file():
            raise GoldenError(f"{path} holds no recorded numbers: {index.name} is not there")
        try:
            content = json.loads(index.read_text(encoding="utf-8"))
            self._components: dict[str, list[dict[str, Any]]] = content["components"]
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
            raise GoldenError(f"{index} cannot be read: {type(error).__name__}: {error}") from error
        self.about = {key: value for key, value in content.items() if key != "components"}
        self._arrays: dict[str, dict[str, Tensor]] = {}

    @property
    def components(self) -> tuple[str, ...]:
        """Names of the components recorded."""
        return tuple(self._components)

    def cases(self, component: str) -> Iterator[GoldenCase]:
        """The cases of a component, in order."""
        for case in self._components[component]:
            yield self._case(component, case)

    def case(self, key: str) -> GoldenCase:
        """The case with that key, such as `gp_pairs/0`."""
        for component, cases in self._components.items():
            for case in cases:
                if case["key"] == key:
                    return self._case(component, case)
        raise GoldenError(f"{self.path} has no case {key!r}")

    def _case(self, component: str, case: Mapping[str, Any]) -> GoldenCase:
        arrays = self._load(component) if case["inputs"] or case["outputs"] else {}

        def pick(names: list[str], kind: str) -> dict[str, Tensor]:
            paths = {name: f"{case['key']}/{kind}/{name}" for name in names}
            missing = [p for p in paths.values() if p not in arrays]
            if missing:
                raise GoldenError(f"{self.path / component}.npz lacks {missing[0]}, which index.json names")
            return {name: arrays[p] for name, p in paths.items()}

        return GoldenCase(
            component, case["key"], case["params"], pick(case["inputs"], "in"), pick(case["outputs"], "out")
        )

    def _load(self, component: str) -> dict[str, Tensor]:
        if component not in self._arrays:
            file = self.path / f"{component}.npz"
            try:
                # Opened here: NumPy leaves a file open that turns out to be no archive.
                with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
                    self._arrays[component] = {
                        name: torch.from_numpy(np.array(archive[name])) for name in archive.files
                    }
            except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
                raise GoldenError(f"{file} cannot be read (absent or cut short?): {error}") from error
        return self._arrays[component]
