"""Write the report's files, each atomically: a kill leaves the old report or the new one."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["ReportUnavailable", "write_report"]


class ReportUnavailable(RuntimeError):
    """The page needs packages of the extra `report`, which are not installed."""


def write_report(document: Mapping[str, Any], folder: Path) -> Path:
    """Write `report.json` and `index.html` into `folder` and return the page's path.

    Raises ReportUnavailable if the extra `report` (Jinja2, Matplotlib) is not installed; `report.json` is written all
    the same.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / "report.json", json.dumps(document, indent=1, allow_nan=False) + "\n")
    try:
        from parity.report.page import render
    except ModuleNotFoundError as error:
        raise ReportUnavailable(
            f"the page needs {error.name}: pip install 'parity-suite[report]'; {folder / 'report.json'} is written"
        ) from error
    page = folder / "index.html"
    _replace(page, render(document))
    return page


def _replace(path: Path, text: str) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
