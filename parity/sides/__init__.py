"""The implementations that can be compared, by name. Nothing else in parity imports them."""

from __future__ import annotations

from collections.abc import Iterable

from parity.sides.interface import Bridge, MissingComponent, Side

__all__ = ["PROFILES", "Bridge", "MissingComponent", "Side", "load_side", "switches"]

PROFILES = ("aligned", "described")
SIDES = ("reference_root", "ggfm")


def load_side(name: str, profile: str = "aligned", *, on: Iterable[str] = (), off: Iterable[str] = ()) -> Side:
    """The side `name`; ggfm in a profile, with switches turned on or off on top of it.

    Raises ValueError for an unknown side, profile or switch, naming what is allowed.
    """
    if name == "reference_root":
        from parity.sides.root import RootSide

        return RootSide()
    if name == "ggfm":
        from ggfm.switches import profile as ggfm_profile
        from parity.sides.ggfm import GgfmSide

        return GgfmSide(ggfm_profile(profile).having({**dict.fromkeys(on, True), **dict.fromkeys(off, False)}))
    raise ValueError(f"side {name!r} is unknown; allowed are {', '.join(SIDES)}")


def switches(profile: str | None = None) -> tuple[str, ...]:
    """The names of ggfm's switches; with a profile, those that it turns on."""
    from ggfm.switches import Switches
    from ggfm.switches import profile as ggfm_profile

    return Switches.names() if profile is None else ggfm_profile(profile).on
