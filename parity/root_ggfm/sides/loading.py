"""The implementations that can be compared, by name. Nothing else in parity imports them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import cast

from parity.side import Side

__all__ = ["PROFILES", "SIDES", "load_side", "switches"]

PROFILES = ("aligned", "described")
SIDES = ("reference_root", "ggfm")


def load_side(name: str, profile: str = "aligned", *, on: Iterable[str] = (), off: Iterable[str] = ()) -> Side:
    """The side `name`; ggfm in a profile, with switches turned on or off on top of it.

    `root:PATH` and `ggfm:PATH` are checkouts, in processes of their own (`parity.process`), as is a folder alone, whose
    files tell which of both it is; `golden:DIR` is a recording in the place of a side, `FILE.py` or `FILE.py:NAME` an
    adapter file of a user's own.
    Raises ValueError for an unknown side, profile or switch, naming what is allowed, and for a recording or a file that
    cannot be used.
    """
    if name == "reference_root":
        from parity.root_ggfm.sides.root import RootSide

        return RootSide()
    if name == "ggfm":
        from ggfm.switches import profile as ggfm_profile
        from parity.root_ggfm.sides.ggfm import GgfmSide

        return GgfmSide(ggfm_profile(profile).having({**dict.fromkeys(on, True), **dict.fromkeys(off, False)}))
    if name.startswith("golden:"):
        from parity.recording.recorded_side import RecordedSide

        return cast("Side", RecordedSide(Path(name.removeprefix("golden:"))))
    if name.startswith(("root:", "ggfm:")) or Path(name).is_dir():
        from parity.process.hosted_side import load_hosted
        from parity.root_ggfm.checkouts.loading import with_layout

        return cast("Side", load_hosted(with_layout(name)))
    if name.endswith(".py") or ".py:" in name:
        from parity.adapter_file import load_own

        return cast("Side", load_own(name))
    raise ValueError(
        f"side {name!r} is unknown; allowed are {', '.join(SIDES)}, root:PATH, ggfm:PATH, golden:DIR, "
        "FILE.py, FILE.py:NAME and the folder of a checkout"
    )


def switches(profile: str | None = None) -> tuple[str, ...]:
    """The names of ggfm's switches; with a profile, those that it turns on."""
    from ggfm.switches import Switches
    from ggfm.switches import profile as ggfm_profile

    return Switches.names() if profile is None else ggfm_profile(profile).on
