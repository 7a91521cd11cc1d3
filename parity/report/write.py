"""Make the parts of a report besides its results, in workers as well, and write its files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from parity.atomic_write import write_atomic
from parity.process.pool import Failure
from parity.report.evidence import plot_data, source_data
from parity.report.read import PLOT, SOURCES, many
from parity.results import document
from parity.session import Session
from parity.study import Rows, Section

__all__ = ["Made", "ReportUnavailable", "SectionJob", "make_document", "section_jobs", "write_report"]

_EVIDENCE = (
    Section(key="plots", title="Plots", make=plot_data, form=many(PLOT)),
    Section(key="sources", title="Sources", make=source_data, form=SOURCES),
)
"""Made as sections are, and shown with the components."""


class ReportUnavailable(RuntimeError):
    """The page needs packages of the extra `report`, which are not installed."""


@dataclass(frozen=True)
class SectionJob:
    """Make one section, for the results `rows` of the components that are there."""

    key: str
    title: str
    rows: Rows = field(repr=False)

    def run(self, session: Session, tell: Callable[[Any], None]) -> Any:  # noqa: ARG002 - as a job of a worker
        """Return the value that the document holds under `key`."""
        section = next(section for section in _made(session) if section.key == self.key)
        return section.make(session, self.rows)


@dataclass(frozen=True)
class Made:
    """A document; its results, as its sections settle them; and `lines` of the summary, each of them unexpected."""

    document: dict[str, Any]
    rows: Rows
    lines: Sequence[str]


def section_jobs(session: Session, rows: Rows) -> list[SectionJob]:
    """Return the jobs that make the sections of a report of these results."""
    return [SectionJob(part.key, part.title, rows) for part in _made(session) if part.applies(session, rows)]


def make_document(session: Session, rows: Rows, jobs: Sequence[SectionJob], results: Iterable[tuple[int, Any]]) -> Made:
    """Return the report of `rows` with what came back of its sections' `jobs`, and a line for each that did not."""
    values: dict[str, Any] = {}
    lost = []
    for k, value in results:
        if isinstance(value, Failure):
            lost.append(f"{jobs[k].title.lower()}: {value.reason}")
        else:
            values[jobs[k].key] = value
    lines = list(lost)
    for section in session.study.sections:
        if section.key in values:
            rows = section.settle(rows, values[section.key], session.ledger)
            lines += section.unexpected(values[section.key])
    return Made(document(session, rows) | values | {"unfinished": lost}, rows, lines)


def write_report(document: Mapping[str, Any], folder: Path, sections: Sequence[Section]) -> Path:
    """Write `report.json`, `report.md` with its pictures `report-*.svg`, and `index.html` into `folder`.

    Returns the page's path. Raises ReportUnavailable if the extra `report` (Jinja2, Matplotlib) is not installed;
    `report.json` is written all the same.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stored = json.dumps(document, indent=1, allow_nan=False) + "\n"
    write_atomic(folder / "report.json", stored)
    try:
        from parity.report.page import render  # an optional extra
    except ModuleNotFoundError as error:
        raise ReportUnavailable(
            f"the page needs {error.name}: pip install 'parity-suite[report]'; {folder / 'report.json'} is written"
        ) from error
    rendered = render(json.loads(stored), sections)  # as a reader of the file sees it
    for name, svg in rendered.pictures.items():
        write_atomic(folder / name, svg)
    write_atomic(folder / "report.md", rendered.markdown)
    page = folder / "index.html"
    write_atomic(page, rendered.page)
    return page


def _made(session: Session) -> list[Section]:
    return [section for section in (*session.study.sections, *_EVIDENCE) if section.read is None]
