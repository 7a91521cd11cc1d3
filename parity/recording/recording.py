"""A folder of recorded numbers of any side: its manifest, its files, and what is checked before one is believed.

`manifest.json` says what was recorded, with what, under which conditions, and for each component its two files with
their sha256: `NAME.json` with the cases and `NAME.npz` with the arrays that they name.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parity.atomic_write import write_atomic

__all__ = ["FORMAT", "GoldenError", "Recording"]

FORMAT = "parity-recording/1"
_MANIFEST = "manifest.json"
_CASE = {"params", "seed", "fingerprint", "inputs", "runs", "spread"}


class GoldenError(ValueError):
    """A folder of recorded numbers is not what its index says. The message names the file."""


@dataclass(frozen=True)
class Recording:
    """A folder with a manifest.

    `about`: `side`, `versions` and `conditions` of the recording, and `asked`, the components asked for (None: all).
    `components`: per component `cases` (how many), `files` with their sha256 and `declaration`, the form of its inputs.
    """

    path: Path
    about: Mapping[str, Any]
    components: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path) -> Recording:
        """The recording in a folder. Raises GoldenError for a folder that holds none, or one of another format."""
        file = path / _MANIFEST
        if not file.is_file():
            other = ": these are numbers of a published code, see `parity golden`" * (path / "index.json").is_file()
            raise GoldenError(f"{path} holds no recording: {_MANIFEST} is not there{other}")
        content = _json(file, file.read_bytes())
        found = content.get("format") if isinstance(content, dict) else None
        if found != FORMAT:
            raise GoldenError(f"{file} has the format {found!r}; this version reads {FORMAT}")
        try:
            about = {name: content[name] for name in ("side", "versions", "conditions", "asked")}
            for name, entry in content["components"].items():
                _ = int(entry["cases"]), entry["declaration"], [entry["files"][f] for f in _files(name)]
            return cls(path, about, dict(content["components"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise GoldenError(f"{file} cannot be read: {type(error).__name__}: {error}") from error

    @classmethod
    def begin(cls, path: Path, about: Mapping[str, Any]) -> Recording:
        """A new recording, or the one in the folder if it was made of the same code under the same conditions.

        Raises GoldenError naming what differs.
        """
        path.mkdir(parents=True, exist_ok=True)
        if not (path / _MANIFEST).exists():
            if any(path.iterdir()):
                raise GoldenError(f"{path} is not empty and holds no recording; name a new or an empty folder")
            begun = cls(path, about)
            begun._write()
            return begun
        there = cls.open(path)
        for part in ("side", "versions", "conditions", "asked"):
            if there.about[part] != about[part]:
                changed = _difference(part, there.about[part], about[part])
                raise GoldenError(f"{path} holds another recording ({changed}); name another folder")
        return there

    def write(self, component: str, declaration: Any, cases: list[Any], arrays: Mapping[str, Any]) -> dict[str, Any]:
        """Write a component's two files; the value is its entry, which `enter` adds to the manifest."""
        packed = io.BytesIO()
        np.savez_compressed(packed, **arrays)
        lines = ",\n".join(json.dumps(case, allow_nan=False) for case in cases)
        text = f'{{"component": {json.dumps(component)}, "cases": [\n{lines}\n]}}\n'
        contents = dict(zip(_files(component), (text.encode(), packed.getvalue()), strict=True))
        for name, content in contents.items():
            write_atomic(self.path / name, content)
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        return {"cases": len(cases), "files": digests, "declaration": declaration}

    def enter(self, component: str, entry: Mapping[str, Any]) -> None:
        """Name a component's files in the manifest: from now on it is recorded. A kill before leaves it out."""
        self.components[component] = dict(entry)
        self._write()

    def cases(self, component: str) -> list[dict[str, Any]]:
        """A recorded component's cases as JSON values.

        Raises GoldenError for a file that is absent, altered or not what it should be: its digest is checked before
        anything in it is looked at.
        """
        content = _json(self.path / f"{component}.json", self._checked(f"{component}.json", component))
        cases = content.get("cases") if isinstance(content, dict) else None
        if not isinstance(cases, list) or not all(isinstance(case, dict) and set(case) >= _CASE for case in cases):
            raise GoldenError(
                f"{self.path / component}.json cannot be read: it has no list of cases with {sorted(_CASE)}"
            )
        return cases

    def arrays(self, component: str) -> dict[str, NDArray[Any]]:
        """The arrays that a component's cases name. Errors as in `cases`; nothing in the archive is executed."""
        content = self._checked(f"{component}.npz", component)
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as opened:
                return {name: opened[name] for name in opened.files}
        except (OSError, ValueError, EOFError, TypeError, AttributeError, zipfile.BadZipFile) as error:
            raise GoldenError(f"{self.path / component}.npz cannot be read: {error}") from error

    def _checked(self, name: str, component: str) -> bytes:
        try:
            content = (self.path / name).read_bytes()
        except OSError as error:
            raise GoldenError(f"{self.path / name} cannot be read: {error.strerror}") from error
        if hashlib.sha256(content).hexdigest() != self.components[component]["files"][name]:
            raise GoldenError(f"{self.path / name} is not the file that was recorded (cut short or altered): sha256")
        return content

    def _write(self) -> None:
        whole = {"format": FORMAT, **self.about, "components": dict(sorted(self.components.items()))}
        write_atomic(self.path / _MANIFEST, json.dumps(whole, indent=1, allow_nan=False) + "\n")


def _files(component: str) -> tuple[str, str]:
    return f"{component}.json", f"{component}.npz"


def _json(file: Path, content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise GoldenError(f"{file} is no valid JSON: {error}") from error


def _difference(part: str, there: Any, here: Any) -> str:
    if not (isinstance(there, dict) and isinstance(here, dict)):
        return f"{part}: {there} became {here}"
    return ", ".join(_changes(part, there, here))


def _changes(part: str, there: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted({*there, *here}):
        if there.get(name) != here.get(name):
            yield f"{part} {name}: {there.get(name)} became {here.get(name)}"
