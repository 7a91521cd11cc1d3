"""Components recorded one by one, in worker processes or here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parity.process.pool import Handler
from parity.recording.provenance import code_of, source_state, versions
from parity.recording.record import record_component
from parity.recording.recording import Recording
from parity.recording.values import task_digest
from parity.search import inputs_of
from parity.session import Session, open_session

__all__ = ["Recorded", "about", "open_recorder"]


@dataclass(frozen=True)
class Recorded:
    """A component whose files are written: its entry in the manifest, and what is to be said about it."""

    entry: Mapping[str, Any]
    remark: str


def open_recorder(options: Mapping[str, Any], folder: Path) -> Handler:
    """The handler of a worker: takes a component's name, writes its files, returns `Recorded`.

    `options` of `open_session`, the recorded side as the candidate in the one profile.
    """
    session = open_session(**options)
    recording = Recording.open(folder)
    side = session.candidate_in(session.profiles[0]).side

    def record(name: str, _: Any) -> Recorded:
        component = session.component(name)
        pinned = [entry.pinned(component.examples[0]) for entry in session.ledger.values() if entry.component == name]
        # Those pinned in the ledger last: their difference is looked for there whatever was drawn.
        inputs = [*inputs_of(component, session.examples, session.seed), *pinned]
        return Recorded(*record_component(component, side, session.context, inputs, recording))

    return record


def about(session: Session, asked: list[str] | None) -> dict[str, Any]:
    """What the manifest says besides the components: the side and its sources, versions and conditions."""
    profile = session.profiles[0]
    side = session.candidate_in(profile).side
    task = session.context.task
    return {
        "side": {"name": side.name, "version": side.version, **source_state(code_of(session.candidate))},
        "versions": versions(),
        "conditions": {
            "profile": profile,
            "task": task.name,
            "task_sha256": task_digest(task),
            "seed": session.seed,
            "examples": session.examples,
            "dtype": str(session.context.dtype).removeprefix("torch."),
            "device": str(session.context.device),
        },
        "asked": asked,
    }
