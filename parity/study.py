"""A study: implementations of one paper with their components, known differences and data, as the engine sees them.

The engine knows no study by name. It finds the installed one by the entry point group `parity.studies`; where there is
none, an empty study takes its place, and only a user's own sides can be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from parity.component import Component
from parity.side import Side

__all__ = [
    "Implementation", "Layout", "NoCheckout", "Scripts", "Section", "Study", "find_checkout", "installed", "layout_of",
    "with_layout",
]  # fmt: skip

_GROUP = "parity.studies"


class NoCheckout(ValueError):
    """A path that holds no checkout of a layout."""


def _no_switches(profile: str | None) -> tuple[str, ...]:  # noqa: ARG001 - an implementation without switches
    return ()


@dataclass(frozen=True, kw_only=True)
class Implementation:
    """An implementation of the study's own.

    `load(profile, on, off)` makes the side in a profile, with switches turned on or off on top of it. `profiles`: none
    where it has no switches. `switches(profile)`: those that a profile turns on; of None, all.
    """

    load: Callable[[str, Sequence[str], Sequence[str]], Side]
    profiles: tuple[str, ...] = ()
    switches: Callable[[str | None], tuple[str, ...]] = _no_switches


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A published layout of a repository, known by its `files`: one of them is enough, since a commit may lack some.

    `loader`: `module:function` that makes the side of `LAYOUT:PATH`, run in a host only. `like`: the implementation
    whose switches say which differences such code is known to have.
    """

    files: tuple[str, ...]
    loader: str
    like: str = ""


Rows = Sequence[Mapping[str, Any]]
"""Results of components, as plain values."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """Declare a part of the report besides the components; the document holds its value, plain, under `key`.

    `make(session, rows)` returns the value, in a worker; `applies(session, rows)`: False leaves the section out.
    `read(folder)`, of a section that is not made, returns the value for `parity report --KEY DIR`; `help` explains this
    option.
    `form`: the value's type, with which msgspec checks a stored one; of a list, entries of another form alone are lost.
    `templates`: a package whose folder `templates` has `KEY.html.j2` and `KEY.md.j2`. They show `section.value`, below
    the title; `names`: what they use besides. `label` stands in the page's list of contents.
    `count_wrong(value)`: how many things, named by `wrong` (one, several), are not as expected: the page's beginning.
    `unexpected(value)`: lines of the summary; any of them makes the exit code 1.
    `settle(rows, value, ledger)` returns the rows with the verdicts that this section gives them.
    """

    key: str
    title: str
    label: str = ""
    make: Callable[[Any, Rows], Any] = lambda session, rows: None  # noqa: ARG005 - it is read
    applies: Callable[[Any, Rows], bool] = lambda session, rows: True  # noqa: ARG005 - in every report
    read: Callable[[Path], Any] | None = None
    help: str = ""
    form: Any = Any
    templates: str = ""
    names: Mapping[str, Any] = field(default_factory=dict)
    wrong: tuple[str, str] = ("", "")
    count_wrong: Callable[[Any], int] = lambda value: 0  # noqa: ARG005 - it expects nothing
    unexpected: Callable[[Any], Sequence[str]] = lambda value: ()  # noqa: ARG005 - it expects nothing
    settle: Callable[[Rows, Any, Mapping[str, Any]], Rows] = lambda rows, value, ledger: rows  # noqa: ARG005


@dataclass(frozen=True, kw_only=True)
class Scripts:
    """Say what a study knows of training scripts in its layouts; each entry is named as `module:name`.

    `prepare(folder, arguments, setting, watch)` runs in the script's process before it, and returns notes. `calls`: a
    sequence of published functions whose calls are reported. `judge(pair)` returns rows of the study's components.
    `settings(reference, candidate, pair)` returns rows of both sides' settings. `script(side)` returns the text
    `script:PATH ARGS` of another side: of an implementation of the study's own, or of a checkout, `LAYOUT:PATH`; empty
    if it has none. `files`: of one of these a script's folder has one, as of a layout's, for all this to apply to it.
    """

    prepare: str = ""
    calls: str = ""
    judge: str = ""
    settings: str = ""
    script: str = ""
    files: tuple[str, ...] = ()

    def apply_to(self, folder: Path, layouts: Mapping[str, Layout]) -> bool:
        """True for the folder of a script that this is about."""
        return layout_of(folder, layouts) is not None or any((folder / file).is_file() for file in self.files)


def _no_task(name: str) -> tuple[Any, str]:
    if name != "auto":
        raise ValueError(f"task {name!r} is unknown: no study is installed that has one")
    return None, "none"


def _no_commands(actions: Any) -> None:
    """Add no command."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """All that a study hands to the engine.

    `components` in the order of the pipeline. `reference`, `candidate`: the implementations compared by default;
    `labels`: what people call the two.
    `ledger`: the file of known differences; `ledger_profile`: the profile in which their pinned inputs are judged.
    `load_task(name)`: a task and a note on it. `plots`: by component, `(session, profile) -> plots`. `sections`: of the
    report. `commands(actions)`: adds commands of the study's own. `packages`: shown with their versions. `code`:
    packages that are a side's own code, though installed. `adapters`: folders, from the package on, whose code
    translates for a side. `irrelevant`: paths, by their beginning, on which no verdict depends. `checks`: the folder of
    its pytest checks. `scripts`: of training scripts in its layouts.
    """

    name: str = ""
    components: Mapping[str, Component] = field(default_factory=dict)
    implementations: Mapping[str, Implementation] = field(default_factory=dict)
    reference: str = ""
    candidate: str = ""
    labels: tuple[str, str] = ("reference", "candidate")
    ledger: Path | None = None
    ledger_profile: str = ""
    load_task: Callable[[str], tuple[Any, str]] = _no_task
    layouts: Mapping[str, Layout] = field(default_factory=dict)
    plots: Mapping[str, Callable[[Any, str], Any]] = field(default_factory=dict)
    sections: tuple[Section, ...] = ()
    commands: Callable[[Any], None] = _no_commands
    packages: tuple[str, ...] = ()
    code: tuple[str, ...] = ()
    adapters: tuple[str, ...] = ()
    irrelevant: tuple[str, ...] = ()
    checks: Path | None = None
    scripts: Scripts | None = None

    @property
    def profiles(self) -> tuple[str, ...]:
        """The profiles of all implementations."""
        return tuple(dict.fromkeys(p for made in self.implementations.values() for p in made.profiles))

    def component(self, name: str) -> Component:
        """Return the component of that name. Raises ValueError naming those that there are."""
        if name not in self.components:
            raise ValueError(f"component {name!r} is unknown; known are {', '.join(self.components)}")
        return self.components[name]


@cache
def installed() -> Study:
    """Return the installed study. Raises RuntimeError if there are several."""
    found = {entry.value: entry for entry in metadata.entry_points(group=_GROUP)}
    if len(found) > 1:
        raise RuntimeError(f"several studies are installed, and one is compared at a time: {', '.join(found)}")
    for entry in found.values():
        study: Study = entry.load()
        return study
    return Study()


def find_checkout(specifier: str, layouts: Mapping[str, Layout]) -> tuple[str, Path]:
    """Return the layout and the folder that `LAYOUT:PATH` names. Raises NoCheckout naming what it lacks."""
    layout, _, path = specifier.partition(":")
    folder = Path(path).expanduser().resolve()
    if not path or not folder.is_dir():
        raise NoCheckout(f"{specifier}: {path or 'an empty path'} is not a folder")
    if not _has_any(folder, layouts[layout]):
        other = [name for name, known in layouts.items() if all((folder / file).is_file() for file in known.files)]
        hint = f"; it looks like {other[0]}:{path}" if other else ""
        files = ", ".join(layouts[layout].files)
        raise NoCheckout(f"{specifier} is no checkout of that layout: it has none of {files}{hint}")
    return layout, folder


def with_layout(path: str, layouts: Mapping[str, Layout]) -> str:
    """Return `LAYOUT:PATH` of a folder, by its files; return a specifier that names its layout as it is.

    Raises NoCheckout for a folder that has no layout, and for one that has several.
    """
    if path.partition(":")[0] in layouts:
        return path
    found = [name for name, layout in layouts.items() if _has_any(Path(path), layout)]
    if not found:
        known = "; ".join(f"{name}: {', '.join(layout.files)}" for name, layout in layouts.items()) or "none is known"
        raise NoCheckout(f"{path} is no checkout: it has none of the files of either layout ({known})")
    if len(found) > 1:
        raise NoCheckout(f"{path} matches two layouts: say which is meant, {' or '.join(f'{n}:{path}' for n in found)}")
    return f"{found[0]}:{path}"


def layout_of(folder: Path, layouts: Mapping[str, Layout]) -> str | None:
    """Return the first layout that a folder has; None if it has none."""
    return next((name for name, layout in layouts.items() if _has_any(folder, layout)), None)


def _has_any(folder: Path, layout: Layout) -> bool:
    return any((folder / file).is_file() for file in layout.files)
