"""What became of each change, one JSON line as soon as it is known, so that a run that is killed can go on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["FORMAT", "Results", "Row"]

FORMAT = "parity-faults/1"

Row = dict[str, Any]
"""`what`, `id`, `seed`, `key` (of all that it depends on), `outcome`, and what the campaign found."""


class Results:
    """A file of rows. Raises ValueError for one that holds something else, OSError where it cannot be written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[tuple[str, str, int], Row] = {}
        for row in self._read():
            self.rows[row["what"], row["id"], row["seed"]] = row

    def find(self, what: str, name: str, seed: int, key: str) -> Row | None:
        """The row of a change, unless it was made under other conditions."""
        row = self.rows.get((what, name, seed))
        return row if row is not None and row["key"] == key else None

    def add(self, row: Row) -> None:
        """Append a row, on to the disk. A kill leaves whole lines and perhaps a last one that `_read` passes over."""
        line = json.dumps({"format": FORMAT, **row}, allow_nan=False).encode() + b"\n"
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            end = os.lseek(descriptor, 0, os.SEEK_END)
            if end and os.pread(descriptor, 1, end - 1) != b"\n":
                line = b"\n" + line
            os.write(descriptor, line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self.rows[row["what"], row["id"], row["seed"]] = row

    def _read(self) -> Iterator[Row]:
        if not self.path.exists():
            return
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue  # cut short by a kill
            if not isinstance(row, dict) or row.get("format") != FORMAT:
                raise ValueError(
                    f"{self.path} holds something else than results of planted faults; choose another file"
                )
            yield row
