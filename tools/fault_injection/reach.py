"""Which components a change of a file can reach, which of its lines they run, and what a verdict depends on."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import tools.fault_injection.worker  # noqa: F401 - all processes come from one that has imported what the first of them names
from parity.change_impact.references import Reference, Sources
from parity.change_impact.selection import component_files, selection_of
from parity.component import start_seed
from parity.execution import run
from parity.loading import load_side
from parity.process.pool import Failure, Handler, Pool
from parity.root_ggfm.components import REGISTRY
from parity.session import open_session
from tools.fault_injection.catalogue import source_folder

__all__ = ["Reach", "executed_lines", "open_reach", "reach"]

_LIMIT = 600.0
"""Seconds for all of it: each takes a few."""

_FROM_ELSEWHERE = (
    "parity/process/",
    "parity/recording/",
    "parity/root_ggfm/published_numbers.py",
    "parity/root_ggfm/checkouts/",
)
"""What runs or reads other people's code: no copy of GGFM is judged by it."""


@dataclass(frozen=True)
class Reach:
    """`components` by file of GGFM, along the pipeline. `digest`: of all sources that a verdict depends on."""

    components: Mapping[str, tuple[str, ...]]
    digest: str


def reach(options: Mapping[str, Any]) -> Reach:
    """What changes of GGFM's files can reach, told by the sources. `options`: of `parity.session.open_session`."""
    found: Reach = _asked("reach", options)
    return found


def executed_lines(options: Mapping[str, Any]) -> dict[str, frozenset[int]]:
    """The lines of each of GGFM's files that run when it is imported, or on any component's own examples."""
    found: dict[str, frozenset[int]] = _asked("lines", options)
    return found


def _asked(question: str, options: Mapping[str, Any]) -> Any:
    """In a process of its own: where copies are judged, GGFM itself must not be imported."""
    with Pool(open_reach, (options,), size=1, time_limit=_LIMIT) as pool:
        _, answer = next(iter(pool.run([question])))
    if isinstance(answer, Failure):
        raise RuntimeError(f"what a change reaches could not be told: it {answer.reason}\n{answer.output}".rstrip())
    return answer


def open_reach(options: Mapping[str, Any]) -> Handler:
    """The handler of the two questions."""

    def handle(question: str, tell: Callable[[Any], None]) -> Any:  # noqa: ARG001 - a handler's signature
        return _reach() if question == "reach" else _executed(options)

    return handle


def _reach() -> Reach:
    package = source_folder()
    folder = package.parent
    files = [path.relative_to(folder).as_posix() for path in sorted(package.rglob("*.py"))]
    touched = selection_of(files, folder).files
    components = {file.removeprefix("ggfm/"): tuple(c for c in REGISTRY if c in touched[file]) for file in files}
    return Reach(components, _digest(folder))


def _digest(folder: Path) -> str:
    """Of the files that components and the search refer to, and of all of GGFM."""
    sources = Sources(folder, ("ggfm", "reference_root", "parity"))
    files = {*sources.files_of([Reference("parity.search")]), *_union(component_files(sources).values())}
    files |= {path.relative_to(folder).as_posix() for path in (folder / "ggfm").rglob("*.py")}
    digest = hashlib.sha256()
    for file in sorted(file for file in files if not file.startswith(_FROM_ELSEWHERE)):
        digest.update(f"{file}\n".encode() + (folder / file).read_bytes())
    return digest.hexdigest()[:16]


def _union(groups: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset().union(*groups)


@dataclass
class _Tracer:
    """Notes every line of a package that runs."""

    package: str
    lines: dict[str, set[int]] = field(default_factory=dict)

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Any:  # noqa: ARG002 - as `sys.settrace` calls it
        file = frame.f_code.co_filename
        if not file.startswith(self.package):
            return None
        self.lines.setdefault(file.removeprefix(self.package), set()).add(frame.f_lineno)
        return self


def _executed(options: Mapping[str, Any]) -> dict[str, frozenset[int]]:
    tracer = _Tracer(f"{source_folder()}/")
    sys.settrace(tracer)
    try:
        session = open_session(**options)
        side = load_side("ggfm", "aligned")
        for component in session.components:
            for params in component.examples:
                inputs = component.build(params, session.context)
                run(component.bind(side), inputs, seed=start_seed(params), device=session.context.device)
    finally:
        sys.settrace(None)
    return {file: frozenset(lines) for file, lines in tracer.lines.items()}
