"""Compare two scripts: record both, then run the candidate once more, led along the reference's recording."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from parity.watch.follow import Difference, read_differences
from parity.watch.recording import Recording
from parity.watch.script import Script, Watched, fingerprint, watch_script

__all__ = ["Pair", "compare_scripts"]


@dataclass(frozen=True)
class Pair:
    """Two scripts compared. `first`: the candidate as it runs by itself; `led`: beside the reference."""

    reference: Recording
    first: Recording
    led: Recording
    differences: list[Difference]
    compared: dict[str, int]
    equal: dict[str, int]
    pairs: list[list[int]]

    @property
    def agrees(self) -> bool:
        """True if nothing differs by more than rounding."""
        return not any(difference.counts for difference in self.differences)


def compare_scripts(
    reference: Script,
    candidate: Script,
    out: Path,
    how: Watched,
    *,
    other: Watched | None = None,
    tick: Callable[[str], object] = lambda _: None,
) -> Pair:
    """Return what differs. `other`: how the candidate is watched, where that is not `how`.

    Keeps three recordings in `out`; those that are there, whole and of the same files and settings are used again.
    """
    other = other or how
    places = {name: out / name for name in ("reference", "candidate", "led")}
    for name, script, watched in (("reference", reference, how), ("candidate", candidate, other)):
        if not _is_of(places[name], fingerprint(script, watched)):
            shutil.rmtree(places[name], ignore_errors=True)
            watch_script(script, places[name], watched, tick=lambda name=name: tick(name))  # type: ignore[misc]
    shutil.rmtree(places["led"], ignore_errors=True)
    led = watch_script(candidate, places["led"], other, follow=places["reference"], tick=lambda: tick("led"))
    found = read_differences(places["led"])
    return Pair(
        Recording(places["reference"], partial=True), Recording(places["candidate"], partial=True), led,
        found["differences"], found["compared"], found["equal"], found["pairs"],
    )  # fmt: skip


def _is_of(folder: Path, wanted: str) -> bool:
    """True for a whole recording of this very script, run in this very way."""
    try:
        return bool(Recording(folder).about.get("fingerprint") == wanted)
    except ValueError:
        return False
