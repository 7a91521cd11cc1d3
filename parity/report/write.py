"""Write the report's files, each atomically: a kill leaves the old report or the new one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from parity.atomic_write import write_atomic

__all__ = ["ReportUnavailable", "write_report"]


class ReportUnavailable(RuntimeError):
    """The page needs packages of the extra `report`, which are not installed."""


def write_report(document: Mapping[str, Any], folder: Path, *, runs: Sequence[Mapping[str, Any]] | None = None) -> Path:
    """Write `report.json`, `report.md` with its pictures `report-*.svg`, and `index.html` into `folder`.

    `runs`: results of whole runs; with them the report has a section on them.
    Returns the page's path.

    Raises ReportUnavailable if the extra `report` (Jinja2, Matplotlib) is not installed; `report.json` is written all
    the same.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if runs is not None:
        document = {**document, "runs": _runs(runs)}
    stored = json.dumps(document, indent=1, allow_nan=False) + "\n"
    write_atomic(folder / "report.json", stored)
    try:
        from parity.report.page import render
    except ModuleNotFoundError as error:
        raise ReportUnavailable(
            f"the page needs {error.name}: pip install 'parity-suite[report]'; {folder / 'report.json'} is written"
        ) from error
    rendered = render(json.loads(stored))  # what a reader of the file would see
    for name, svg in rendered.pictures.items():
        write_atomic(folder / name, svg)
    write_atomic(folder / "report.md", rendered.markdown)
    page = folder / "index.html"
    write_atomic(page, rendered.page)
    return page


def _runs(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Table, comparisons, plots, and every seed's percentiles; all losses stay in the results' own files."""
    from parity.root_ggfm.runs.comparison import compare, rows  # the study imports this package
    from parity.root_ggfm.runs.plots import run_plots

    kept = ("task", "size", "label", "seed", "nudge", "status", "reason", "scores", "best_offline", "timings")
    return {
        "rows": [asdict(row) for row in rows(results)],
        "comparisons": [asdict(comparison) for comparison in compare(results)],
        "plots": run_plots(results),
        "results": [{key: result[key] for key in kept} for result in results],
    }
