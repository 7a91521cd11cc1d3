"""Load a side by the text that names it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from parity.adapter_file import is_adapter_file, load_own
from parity.process.host import load_hosted
from parity.recording.side import RecordedSide
from parity.side import Side
from parity.study import Study, installed, with_layout

__all__ = ["check_switches", "forms", "load_side"]


def load_side(
    name: str, profile: str = "", *, on: Sequence[str] = (), off: Sequence[str] = (), study: Study | None = None
) -> Side:
    """Load the side `name`.

    An implementation of the study comes in a profile (default: its first), with switches turned on or off on top of
    it. `LAYOUT:PATH` is a checkout, in a process of its own, as is a folder alone, whose files tell its layout;
    `golden:DIR` a recording in the place of a side; `FILE.py` or `FILE.py:NAME` an adapter file.

    Raises ValueError for an unknown side, profile or switch, naming what is allowed, and for a checkout, a recording or
    a file that cannot be used.
    """
    study = study or installed()
    made = study.implementations.get(name)
    check_switches(name, (*on, *off), study)
    if made is not None:
        return made.load(profile or next(iter(made.profiles), ""), on, off)
    layout, colon, _ = name.partition(":")
    if name.startswith("golden:"):
        return cast("Side", RecordedSide(Path(name.removeprefix("golden:")), unchecked=tuple(study.layouts)))
    if (colon and layout in study.layouts) or Path(name).is_dir():
        return cast("Side", load_hosted(with_layout(name, study.layouts)))
    if is_adapter_file(name):
        return cast("Side", load_own(name, study.components))
    raise ValueError(f"side {name!r} is unknown; allowed are {', '.join(forms(study))} and the folder of a checkout")


def forms(study: Study) -> list[str]:
    """Return the forms that a side's name may have."""
    layouts = [f"{name}:PATH" for name in study.layouts]
    return [*study.implementations, *layouts, "golden:DIR", "FILE.py", "FILE.py:NAME"]


def check_switches(name: str, switches: Sequence[str], study: Study) -> None:
    """Raise ValueError for switches of a side that has none."""
    having = [side for side, made in study.implementations.items() if made.profiles]
    if switches and name not in having:
        raise ValueError(f"{name} has no switches: --on and --off go with {', '.join(having) or 'no side here'}")
