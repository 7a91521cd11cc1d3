"""What one session compares, under which conditions: shared by pytest, the command line and the report."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import metadata
from shlex import quote

import torch

from parity.component import Component, Context
from parity.component_selection import compared
from parity.ledger import Entry, load
from parity.process.host import HostedSide, Limits, limit_hosts
from parity.recording.recorded_side import RecordedSide
from parity.root_ggfm.components import REGISTRY, component
from parity.root_ggfm.sides.loading import PROFILES, SIDES, load_side, switches
from parity.root_ggfm.tasks.catalogue import load_task
from parity.search import EXAMPLES, Candidate
from parity.side import Side
from parity.torch_options import DTYPES, usable_device

__all__ = ["Session", "open_session"]

_MOST_GIB = 2.0**20
"""More is no limit, and no number of bytes that a system takes."""


@dataclass(frozen=True)
class Session:
    """The conditions of a comparison; everything that the header prints."""

    reference: Side
    candidate: str
    profiles: tuple[str, ...]
    components: tuple[Component, ...]
    context: Context
    task_note: str
    seed: int
    examples: int
    ledger: dict[str, Entry] = field(repr=False)
    reference_named: str = "reference_root"
    notes: tuple[str, ...] = ()

    @property
    def in_tree(self) -> bool:
        """Whether both sides are those of this repository: what goes beyond single components needs whole ones."""
        return self.reference_named in SIDES and self.candidate in SIDES

    def component(self, name: str) -> Component:
        """The component of that name, as it is compared here. Raises ValueError if it is not."""
        found = next((c for c in self.components if c.name == name), None)
        return found or component(name)

    def candidate_in(self, profile: str, *, on: Sequence[str] = ()) -> Candidate:
        """The candidate in a profile, with further switches on, and the differences it is known to have."""
        against = "" if self.reference_named == "reference_root" else f"--reference {quote(self.reference_named)} "
        if self.candidate != "ggfm":
            options = f"{against}--candidate {quote(self.candidate)}"
            if not self.candidate.startswith("ggfm:"):
                return Candidate(load_side(self.candidate), options=options)
            return Candidate(
                load_side(self.candidate),
                self.ledger,
                having=lambda names: load_side("ggfm", on=names),
                options=options,
            )
        active = {*switches(profile), *on}
        known = {name: entry for name, entry in self.ledger.items() if name in active}
        return Candidate(
            side=load_side("ggfm", profile, on=on),
            known=known,
            without=lambda names: load_side("ggfm", profile, on=[n for n in on if n not in names], off=names),
            options=f"{against}--profile {profile}" + "".join(f" --on {name}" for name in on),
        )

    def header(self) -> list[str]:
        """What is compared, in a few lines."""
        torch_line = f"torch {torch.__version__}, numpy {metadata.version('numpy')}, "
        torch_line += f"gpytorch {metadata.version('gpytorch')}, Python {platform.python_version()}"
        every = {c.name for c in self.components} == set(REGISTRY)
        names = "every component" if every else ", ".join(c.name for c in self.components)
        dtype = str(self.context.dtype).removeprefix("torch.")
        return [
            f"parity: {self.reference.version} against {self._candidate_line()}, {names}",
            f"task: {self.task_note}",
            f"conditions: seed {self.seed}, each component's examples and up to {self.examples} drawn inputs, {dtype}, "
            f"{self.context.device}, {torch.get_num_threads()} thread(s)",
            f"versions: {torch_line}",
            *self.notes,
        ]

    def _candidate_line(self) -> str:
        side = self.candidate_in(self.profiles[0]).side
        profiles = f", profiles {' and '.join(self.profiles)}" if self.candidate == "ggfm" else ""
        return f"{side.version}{profiles}"


def open_session(
    *,
    reference: str = "reference_root",
    candidate: str = "ggfm",
    profiles: Sequence[str] = PROFILES,
    components: Sequence[str] = (),
    task: str = "auto",
    seed: int = 0,
    examples: str = "dev",
    dtype: str = "float32",
    device: str = "cpu",
    threads: int = 1,
    call_limit: float = 120.0,
    memory_limit: float = 8.0,
) -> Session:
    """Check the options and load what they name.

    `call_limit` (seconds) and `memory_limit` (GiB) are those of one call of a checkout, which runs in a host.
    Raises ValueError naming the option, what it got and what is allowed.
    """
    for profile in profiles:
        if profile not in PROFILES:
            raise ValueError(f"profile {profile!r} is unknown; allowed are {', '.join(PROFILES)}")
    if dtype not in DTYPES:
        raise ValueError(f"dtype {dtype!r} is unknown; allowed are {', '.join(DTYPES)}")
    if examples not in EXAMPLES and not (examples.isdigit() and int(examples) > 0):
        raise ValueError(f"examples {examples!r} is neither a positive number nor one of {', '.join(EXAMPLES)}")
    if threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    if not memory_limit > 0:
        raise ValueError(f"memory-limit must be a positive number of GiB, got {memory_limit:g}")
    limit_hosts(Limits(call_limit, int(min(memory_limit, _MOST_GIB) * 2**30)))
    torch.set_num_threads(threads)
    loaded, note = load_task(task)
    side, other = load_side(reference), load_side(candidate)
    context = Context(task=loaded, device=usable_device(device), dtype=DTYPES[dtype])
    for recorded in (side, other):
        if isinstance(recorded, RecordedSide):
            recorded.check_conditions(context)
    chosen = compared(components, side, other)
    hosted = dict.fromkeys(note for s in (side, other) if isinstance(s, HostedSide) for note in s.notes)
    return Session(
        reference=side,
        candidate=candidate,
        profiles=tuple(profiles) if candidate == "ggfm" else ("itself",),
        components=chosen.components,
        context=context,
        task_note=note,
        seed=seed,
        examples=EXAMPLES[examples] if examples in EXAMPLES else int(examples),
        ledger=load(components=REGISTRY, switches=switches()),
        reference_named=reference,
        notes=(*chosen.notes, *hosted),
    )
