"""Compare two scripts: record both, then run the candidate once more, led along the reference's recording."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from parity.watch.follow import PASS_BEFORE, Difference, aligned, read_differences
from parity.watch.locate import last_events, locate, read_operations
from parity.watch.recording import Recording
from parity.watch.script import Script, Watched, fingerprint, watch_script

__all__ = ["Pair", "compare_scripts"]

_PASSES = 3


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

    Raises ValueError where one of them does nothing that can be compared.
    Keeps three recordings in `out`; those that are there, whole and of the same files and settings are used again.
    """
    other = other or how
    places = {name: out / name for name in ("reference", "candidate", "led")}
    for name, script, watched in (("reference", reference, how), ("candidate", candidate, other)):
        if not _is_of(places[name], fingerprint(script, watched)):
            shutil.rmtree(places[name], ignore_errors=True)
            made = watch_script(script, places[name], watched, tick=lambda name=name: tick(name))  # type: ignore[misc]
            _check_it_trains(script, made)
    theirs, first = (Recording(places[name], partial=True) for name in ("reference", "candidate"))
    led = _led(candidate, theirs, first, places["led"], other, lambda: tick("led"))
    _locate(reference, candidate, out, how, other, tick)
    found = read_differences(places["led"])
    return Pair(theirs, first, led, found["differences"], found["compared"], found["equal"], found["pairs"])


def _led(
    candidate: Script, reference: Recording, first: Recording, out: Path, how: Watched, tick: Callable[[], object]
) -> Recording:
    """Return the recording of the candidate, led along the reference's.

    Which lines do the same is told from the pass before, by equal values. Once led, more values are equal than in a run
    by itself; where other lines then prove to be partners, the candidate is led once more.
    """
    before = out.with_name(PASS_BEFORE)
    shutil.rmtree(before, ignore_errors=True)
    partners = aligned(reference, first)[0]
    for _ in range(_PASSES):
        shutil.rmtree(out, ignore_errors=True)
        led = watch_script(candidate, out, how, follow=reference.folder, tick=tick)
        now = aligned(reference, led)[0]
        if all(now[place] == partners.get(place) for place in now):
            break
        partners = now
        shutil.rmtree(before, ignore_errors=True)
        shutil.copytree(out, before)
    shutil.rmtree(before, ignore_errors=True)
    return led


def _locate(
    reference: Script, candidate: Script, out: Path, how: Watched, other: Watched, tick: Callable[[str], object]
) -> None:
    """Run both once more to tell at which operations they part, where their events do not."""
    last = last_events(read_differences(out / "led")["differences"])
    if last is None:
        return
    sides = []
    for script, name, watched, until in ((reference, "reference", how, last[0]), (candidate, "led", other, last[1])):
        place = out / f"operations of {name}"
        shutil.rmtree(place, ignore_errors=True)
        follow = out / "reference" if name == "led" else None
        watched = replace(watched, store=0.0, operations=until)
        made = watch_script(script, place, watched, follow=follow, tick=lambda name=name: tick(name))  # type: ignore[misc]
        sides.append((made, read_operations(place)))
        shutil.rmtree(place, ignore_errors=True)
    locate(out / "led", sides[0], sides[1])


def _check_it_trains(script: Script, recording: Recording) -> None:
    roles, end = {event.role for event in recording.events}, recording.end
    if end is not None and end.how not in ("finished", "stopped") and not roles - _BEFORE:
        site = recording.site(end)
        raise ValueError(f"{script.name} ended before it trained anything: {end.why}" + (f" ({site})" if site else ""))
    if not roles & _TRAINING and end is not None and end.how == "finished":
        notes = [str(event.values["note"]) for event in recording.events if event.role == "note"]
        unwatched = [note for note in notes if note.startswith("not watched")]
        what = "; ".join(["no loss, no gradient, no model's pass", *unwatched])
        raise ValueError(f"{script.name} trains nothing: {what}")


_BEFORE = {"note", "printed", "seed"}
_TRAINING = {"loss", "gradient", "grad", "forward"}


def _is_of(folder: Path, wanted: str) -> bool:
    """True for a whole recording of this very script, run in this very way."""
    try:
        return bool(Recording(folder).about.get("fingerprint") == wanted)
    except ValueError:
        return False
