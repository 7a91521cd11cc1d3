"""The two implementations, and the profiles and switches of GGFM, by name."""

from __future__ import annotations

from pathlib import Path

from ggfm.switches import Switches
from ggfm.switches import profile as ggfm_profile

__all__ = ["LEDGER", "PROFILES", "SIDES", "switches"]

SIDES = ("reference_root", "ggfm")
PROFILES = ("aligned", "described")
LEDGER = Path(__file__).with_name("known_differences.toml")


def switches(profile: str | None = None) -> tuple[str, ...]:
    """Return the names of ggfm's switches; with a profile, those that it turns on."""
    return Switches.names() if profile is None else ggfm_profile(profile).on
