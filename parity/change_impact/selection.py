"""Which components a set of changed files can touch, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import parity
from parity.change_impact.git import changed_files
from parity.change_impact.references import Reference, Sources
from parity.loading import load_side
from parity.root_ggfm.components import REGISTRY
from parity.root_ggfm.profiles import SIDES

__all__ = ["Selection", "component_files", "select", "selection_of"]

_PACKAGES = ("ggfm", "reference_root", "parity")

_OF_A_COMPONENT = (
    "ggfm/",
    "reference_root/",
    "parity/root_ggfm/sides/",
    "parity/root_ggfm/checkouts/",
    "parity/root_ggfm/components/",
    "parity/root_ggfm/inputs.py",
)
"""Where a file counts for the components whose code refers to it. Any other counts for all of them, or for none."""

_FOR_NONE = (
    "tests/", "docs/", "examples/", "benchmarks/", ".github/", ".ci/", ".pre-commit", ".gitignore", "LICENSE",
    "tox.ini", "tools/", "parity/diagnosis/", "parity/root_ggfm/published_numbers.py", "parity/recording/recorder.py",
    "parity/report/", "parity/root_ggfm/plots/", "parity/root_ggfm/runs/", "parity/root_ggfm/claims/",
)  # fmt: skip
"""What no verdict depends on: texts, tests, and what only shows, explains or uses verdicts."""


_SHOWN = 3
"""Files named of those for which everything is judged."""


@dataclass(frozen=True)
class Selection:
    """The components that changed files can touch: `reasons` by component, `files` by file, in the order of git."""

    revision: str
    files: Mapping[str, tuple[str, ...]]

    @property
    def reasons(self) -> dict[str, tuple[str, ...]]:
        """The files for which each component is to be judged, along the pipeline; without those that are not."""
        found = {name: tuple(f for f, touched in self.files.items() if name in touched) for name in REGISTRY}
        return {name: files for name, files in found.items() if files}

    def lines(self, among: Sequence[str]) -> list[str]:
        """What is judged out of the components `among`, and because of which file."""
        chosen = [name for name in among if name in self.reasons]
        lines = [
            f"since {self.revision}: {len(self.files)} changed file{'s' * (len(self.files) != 1)}, "
            f"{len(chosen)} of {len(among)} components to judge"
        ]
        lines += [f"  {f}: {', '.join(names)}" for f, names in self.files.items() if 0 < len(names) < len(REGISTRY)]
        general = [file for file, touched in self.files.items() if len(touched) == len(REGISTRY)]
        if general:
            more = f" and {len(general) - _SHOWN} more" if len(general) > _SHOWN else ""
            lines.append(f"  {', '.join(general[:_SHOWN])}{more}: every component")
        without = sum(not touched for touched in self.files.values())
        return lines + [f"  {without} on which no component depends"] * bool(without)


def select(revision: str) -> Selection:
    """What changed between a commit and the files that run here. Raises GitError if git cannot tell."""
    folder = Path(parity.__file__).resolve().parents[1]
    return selection_of(changed_files(folder, revision), folder, revision)


def selection_of(changed: Iterable[str], folder: Path, revision: str = "") -> Selection:
    """The components that depend on each changed file, named relative to the folder that holds the three packages."""
    files = dict.fromkeys(changed, ())
    sources = Sources(folder, _PACKAGES)
    needed = component_files(sources)
    return Selection(revision, {file: _touched(file, folder, sources, needed) for file in files})


def component_files(sources: Sources) -> dict[str, frozenset[str]]:
    """Return, per component, the files that its own file and the sides' calls of it refer to, on any input."""
    sides = [type(load_side(side)) for side in SIDES]
    calls = [sources.member(s.__module__, s.__qualname__, m) for s in sides for m in ("__init__", "__getattr__")]
    called = [call for call in calls if call is not None]
    return {c.name: sources.files_of([Reference(c.build.__module__), *called]) for c in REGISTRY.values()}


def _touched(file: str, folder: Path, sources: Sources, needed: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
    every = tuple(REGISTRY)
    if file.startswith(_FOR_NONE) or (file.endswith(".md") and "/" not in file):
        return ()
    of_a_component = file.startswith(_OF_A_COMPONENT) and file.endswith(".py") and not file.endswith("__init__.py")
    if not of_a_component or not (folder / file).is_file() or sources.runs_when_imported(file):
        return every
    return tuple(name for name in REGISTRY if file in needed[name])
