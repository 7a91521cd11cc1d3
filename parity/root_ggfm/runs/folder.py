"""The folder of one seed: who may write it, what lies in it, and whether that is what it should be."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from parity.atomic_write import write_atomic
from parity.root_ggfm.runs.settings import entries

__all__ = ["CONDITIONS", "PROGRESS", "REMEDY", "RESULT", "SeedFolder", "read_document", "write_document"]

CONDITIONS = "parity-run-conditions/1"
PROGRESS = "parity-run-progress/1"
RESULT = "parity-run/1"

REMEDY = "move it away, or start this seed over with --fresh"


class SeedFolder:
    """Paths of one seed's files. A result that is there is whole: it is written last."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.conditions = path / "run.json"
        self.checkpoint = path / "checkpoint.pt"
        self.progress = path / "progress.json"
        self.curve = path / "loss.png"
        self.result = path / "result.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder; the lock falls with the process, however it ends. ValueError where another one holds it."""
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.path / ".lock", timeout=0):
                for left_over in (part for path in self._files for part in self.path.glob(f".{path.name}*")):
                    left_over.unlink()  # what a kill left half written
                yield
        except Timeout as error:
            raise ValueError(f"{self.path} is in use by another process; wait, or choose another --out") from error

    def check(self, conditions: Mapping[str, Any]) -> None:
        """ValueError if what lies here comes from other conditions, or from nobody knows which."""
        if self.conditions.exists():
            _check_same(self.conditions, read_document(self.conditions, CONDITIONS), conditions)
            return
        foreign = [p.name for p in (self.checkpoint, self.progress, self.result) if p.exists()]
        if foreign:
            raise ValueError(f"{self.path} holds {', '.join(foreign)} but no run.json that says of which run; {REMEDY}")

    def begin(self, conditions: Mapping[str, Any]) -> None:
        """`check`, then keep the conditions."""
        self.check(conditions)
        if not self.conditions.exists():
            write_document(self.conditions, CONDITIONS, conditions)

    def clear(self) -> None:
        """Forget the run. What names its conditions goes last, so that half a clearing is still a run."""
        for path in self._files:
            path.unlink(missing_ok=True)

    @property
    def _files(self) -> tuple[Path, ...]:
        return self.result, self.curve, self.progress, self.checkpoint, self.conditions


def write_document(path: Path, kind: str, document: Mapping[str, Any]) -> None:
    """Write a JSON document atomically. Raises ValueError for NaN and infinity."""
    write_atomic(path, json.dumps({"format": kind, **document}, indent=1, allow_nan=False) + "\n")


def read_document(path: Path, kind: str) -> dict[str, Any]:
    """Read a JSON document of a kind. Raises ValueError naming the file, what is wrong, and what to do."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read, or was cut short or changed: {error}; {REMEDY}") from error
    found = document.get("format") if isinstance(document, dict) else type(document).__name__
    if found != kind:
        raise ValueError(f"{path}: expected format {kind!r}, got {found!r}; {REMEDY}")
    return dict(document)


def _check_same(path: Path, kept: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    before, now = ({name: value for name, value in entries(tree) if name != "format"} for tree in (kept, asked))
    differing = [
        f"{name} was {before.get(name, 'absent')!r}, is now {now.get(name, 'absent')!r}"
        for name in dict.fromkeys([*before, *now])
        if before.get(name, "absent") != now.get(name, "absent")
    ]
    if differing:
        raise ValueError(
            f"{path} keeps a run under other conditions: {'; '.join(differing)}. Ask for the same, choose another "
            "--out, or start over with --fresh"
        )
