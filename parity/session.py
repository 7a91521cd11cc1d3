"""Open a session: the sides, components and conditions that pytest, the command line and the report share."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import metadata
from shlex import quote

import torch

from parity.component import Component, Context
from parity.component_selection import select_components
from parity.functions import FunctionSide, component_of
from parity.ledger import Entry, load
from parity.loading import load_side
from parity.policy import Policy
from parity.process.host import HostedSide, Limits, limit_hosts
from parity.recording.side import RecordedSide
from parity.search import EXAMPLES, Candidate
from parity.side import Side
from parity.study import Study, installed
from parity.torch_options import DTYPES, usable_device

__all__ = ["ITSELF", "Session", "known_differences", "open_session"]

ITSELF = "itself"
"""The profile of a candidate that has none."""

_MOST_GIB = 2.0**20
"""More is no limit, and no number of bytes that a system takes."""

_MOST_THREADS = 256
"""More than any machine's cores: OpenMP fails to start some thousands, in an error that names no option."""


@dataclass(frozen=True)
class Session:
    """Hold the conditions of a comparison; everything that the header prints.

    `candidate`: the text that names it, by which it is loaded in each profile; or `given`, the candidate itself.
    """

    study: Study = field(repr=False)
    reference: Side
    candidate: str
    given: Side | None
    profiles: tuple[str, ...]
    components: tuple[Component, ...]
    context: Context
    task_note: str
    seed: int
    examples: int
    ledger: dict[str, Entry] = field(repr=False)
    reference_named: str
    notes: tuple[str, ...] = ()

    @property
    def in_tree(self) -> bool:
        """True if both sides are the study's own: sections of the report that need whole runs need these."""
        return {self.reference_named, self.candidate} <= set(self.study.implementations)

    @property
    def order(self) -> list[str]:
        """The names of components along the pipeline: those of the study, then others that are compared."""
        return list(dict.fromkeys([*self.study.components, *(component.name for component in self.components)]))

    def component(self, name: str) -> Component:
        """Return the component of that name, as it is compared here. Raises ValueError if it is not."""
        found = next((c for c in self.components if c.name == name), None)
        return found or self.study.component(name)

    def candidate_in(self, profile: str, *, on: Sequence[str] = ()) -> Candidate:
        """Return the candidate in a profile, with further switches on, and the differences it is known to have.

        Raises ValueError for switches of a candidate that has none.
        """
        if self.given is not None:
            return Candidate(self.given)
        chosen = "" if self.reference_named == self.study.reference else f"--reference {quote(self.reference_named)} "
        made = self.study.implementations.get(self.candidate)
        if made is None or not made.profiles:
            side = load_side(self.candidate, on=on, study=self.study)
            chosen += f"--candidate {quote(self.candidate)}"
            layout = self.study.layouts.get(self.candidate.partition(":")[0])
            if layout is None or not layout.like:
                return Candidate(side, options=chosen)
            like = layout.like
            return Candidate(
                side, self.ledger, having=lambda names: load_side(like, on=names, study=self.study), options=chosen
            )
        if self.candidate != self.study.candidate:
            chosen += f"--candidate {quote(self.candidate)} "
        active = {*made.switches(profile), *on}
        return Candidate(
            side=load_side(self.candidate, profile, on=on, study=self.study),
            known={name: entry for name, entry in self.ledger.items() if name in active},
            without=lambda names: load_side(
                self.candidate, profile, on=[n for n in on if n not in names], off=names, study=self.study
            ),
            options=f"{chosen}--profile {profile}" + "".join(f" --on {name}" for name in on),
        )

    def header(self) -> list[str]:
        """Return a few lines on what is compared."""
        of_study = any(self.study.components.get(c.name) is not None for c in self.components)
        packages = ("numpy", *(self.study.packages if of_study else ()))
        versions = "".join(f"{name} {metadata.version(name)}, " for name in packages)
        every = {c.name for c in self.components} == set(self.study.components)
        names = "every component" if every else ", ".join(c.name for c in self.components)
        dtype = str(self.context.dtype).removeprefix("torch.")
        task = [f"task: {self.task_note}"] if self.context.task is not None else []
        return [
            f"parity: {self.reference.version} against {self._candidate_line()}, {names}",
            *task,
            f"conditions: seed {self.seed}, each component's examples and up to {self.examples} drawn inputs, {dtype}, "
            f"{self.context.device}, {torch.get_num_threads()} thread(s)",
            f"versions: torch {torch.__version__}, {versions}Python {platform.python_version()}",
            *self.notes,
        ]

    def _candidate_line(self) -> str:
        side = self.candidate_in(self.profiles[0]).side
        return side.version + (f", profiles {' and '.join(self.profiles)}" if self.profiles != (ITSELF,) else "")


def open_session(
    *,
    reference: str | Side = "",
    candidate: str | Side = "",
    profiles: Sequence[str] = (),
    components: Sequence[str] = (),
    declared: Sequence[Component] = (),
    policy: Policy | None = None,
    task: str = "auto",
    seed: int = 0,
    examples: str = "dev",
    dtype: str = "float32",
    device: str = "cpu",
    threads: int = 1,
    call_limit: float = 120.0,
    memory_limit: float = 8.0,
) -> Session:
    """Check the options and load what they name; what is not given is the installed study's.

    `declared`: components besides the study's; without `components` these alone are compared. `policy`: of two
    functions.

    `call_limit` (seconds) and `memory_limit` (GiB) are those of one call of a checkout, which runs in a host.
    Raises ValueError naming the option, what it got and what is allowed.
    """
    study = installed()
    reference, candidate = reference or study.reference, candidate or study.candidate
    for option, given in (("--reference", reference), ("--candidate", candidate)):
        if not given:
            raise ValueError(f"{option} is needed: no study is installed that has a side of its own")
    for profile in profiles:
        if profile not in study.profiles:
            raise ValueError(f"profile {profile!r} is unknown; allowed are {', '.join(study.profiles) or 'none'}")
    if dtype not in DTYPES:
        raise ValueError(f"dtype {dtype!r} is unknown; allowed are {', '.join(DTYPES)}")
    if examples not in EXAMPLES and not (examples.isascii() and examples.isdigit() and int(examples) > 0):
        raise ValueError(f"examples {examples!r} is neither a positive number nor one of {', '.join(EXAMPLES)}")
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed must be from 0 to 2**64 - 1, got {seed}")
    if not 1 <= threads <= _MOST_THREADS:
        raise ValueError(f"threads must be from 1 to {_MOST_THREADS}, got {threads}")
    if not memory_limit > 0:
        raise ValueError(f"memory-limit must be a positive number of GiB, got {memory_limit:g}")
    limit_hosts(Limits(call_limit, int(min(memory_limit, _MOST_GIB) * 2**30)))
    torch.set_num_threads(threads)
    reference_side, candidate_side = (
        load_side(side, study=study) if isinstance(side, str) else side for side in (reference, candidate)
    )
    sides = reference_side, candidate_side
    functions = _of_functions(*sides, policy)
    # Functions come with their own inputs: no data is loaded for them.
    loaded, note = (None, "none") if functions else study.load_task(task)
    context = Context(task=loaded, device=usable_device(device), dtype=DTYPES[dtype])
    for side in sides:
        if isinstance(side, RecordedSide):
            side.check_conditions(context)
    declared = declared or functions
    registry = {**study.components, **{one.name: one for one in declared}}
    selected = select_components(components or [one.name for one in declared], *sides, registry)
    hosted = dict.fromkeys(note for side in sides if isinstance(side, HostedSide) for note in side.notes)
    named = candidate if isinstance(candidate, str) else sides[1].name
    made = study.implementations.get(named) if isinstance(candidate, str) else None
    has_profiles = made is not None and bool(made.profiles)
    if profiles and not has_profiles:
        raise ValueError(f"--profile goes with a candidate that has profiles; {named} has none")
    return Session(
        study=study,
        reference=sides[0],
        candidate=named,
        given=None if isinstance(candidate, str) else sides[1],
        profiles=(tuple(profiles) or made.profiles) if made is not None and has_profiles else (ITSELF,),
        components=selected.components,
        context=context,
        task_note=note,
        seed=seed,
        examples=EXAMPLES[examples] if examples in EXAMPLES else int(examples),
        ledger=known_differences(study),
        reference_named=reference if isinstance(reference, str) else sides[0].name,
        notes=(*selected.notes, *hosted),
    )


def _of_functions(reference: Side, candidate: Side, policy: Policy | None) -> list[Component]:
    """Return the component of two functions. Raises ValueError for a function beside another kind of side."""
    kinds = [isinstance(side, FunctionSide) for side in (reference, candidate)]
    if any(kinds) and not all(kinds):
        function, other = (reference, candidate) if kinds[0] else (candidate, reference)
        raise ValueError(f"{function.name} is a function, {other.name} is none: compare two functions, or two classes")
    return [component_of(reference, candidate, policy)] if all(kinds) else []  # type: ignore[arg-type]


def known_differences(study: Study) -> dict[str, Entry]:
    """Return the entries of the study's ledger. Raises LedgerError if it contradicts itself or the code."""
    if study.ledger is None:
        return {}
    switches = [name for made in study.implementations.values() for name in made.switches(None)]
    return load(study.ledger, components=study.components, switches=switches)
