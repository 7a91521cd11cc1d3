"""Open a session on adapter files without running them in this process: a child opens it, and says what it is.

The code of an adapter file may exit, crash, hang or start processes wherever it runs; a command must outlive it.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from hypothesis import strategies as st

from parity.adapter_file import is_adapter_file
from parity.component import Component, Context
from parity.jobs import open_judge
from parity.loading import check_switches, load_side
from parity.process.host import Limits
from parity.process.pool import Failure, Handler, Pool
from parity.search import Candidate, inputs_of
from parity.session import Session, known_differences, open_session
from parity.side import Capabilities
from parity.study import installed
from parity.torch_options import DTYPES

__all__ = ["DescribedSession", "DescribedSide", "open_described"]

_TO_OPEN = 600.0
"""Seconds for the whole session: data may be fetched from a cold disk, and checkouts loaded."""


class DescribedSide:
    """A side whose code runs in other processes only."""

    capabilities = Capabilities("none")

    def __init__(self, name: str, version: str) -> None:
        self.name, self.version = name, version

    def __getattr__(self, component: str) -> Any:
        raise AttributeError(f"{self.name} runs in worker processes only, there is no {component} here")


@dataclass(frozen=True)
class DescribedSession(Session):
    """A session as a child described it: `sides` by the texts that name them, `options` of the line that reproduces."""

    sides: Mapping[str, DescribedSide] = field(default_factory=dict)
    options: str = ""

    def candidate_in(self, profile: str, *, on: Sequence[str] = ()) -> Candidate:
        """Return the candidate in a profile. Raises ValueError for switches of a candidate that has none."""
        if self.candidate not in self.sides:
            return super().candidate_in(profile, on=on)
        check_switches(self.candidate, on, self.study)
        return Candidate(self.sides[self.candidate], options=self.options)


def open_described(options: Mapping[str, Any], *, here: bool = False) -> Session:
    """Open the session that `options` (of `parity.session.open_session`) describe; `here`: in this process, whatever it
    runs.

    Raises ValueError for an adapter file that cannot be loaded, and whatever `open_session` raises.
    """
    study = installed()
    named = [options.get("reference") or study.reference, options.get("candidate") or study.candidate]
    files = list(dict.fromkeys(side for side in named if is_adapter_file(side)))
    if here or not files:
        return open_session(**options)
    seconds = Limits(options["call_limit"]).seconds
    with Pool(open_description, (dict(options), named), size=1, time_limit=seconds) as pool:
        for k, result in pool.run(files):
            _raised(files[k], result)
        [(_, found)] = pool.run([None], time_limit=_TO_OPEN)
    _raised(" and ".join(files), found)
    told = json.loads(found["session"])
    for kind, text in found["warnings"]:
        warnings.warn(text, {"FutureWarning": FutureWarning}.get(kind, UserWarning), stacklevel=2)
    torch.set_num_threads(options["threads"])
    sides = {name: DescribedSide(*about) for name, about in told["sides"].items()}
    task, note = study.load_task(options["task"]) if told["on_task"] else (None, "none")
    return DescribedSession(
        study=study,
        reference=sides[named[0]] if named[0] in sides else load_side(named[0], study=study),
        candidate=named[1],
        given=None,
        profiles=tuple(told["profiles"]),
        components=tuple(_component(one) for one in told["components"]),
        context=Context(task=task, device=torch.device(told["device"]), dtype=DTYPES[options["dtype"]]),
        task_note=note,
        seed=options["seed"],
        examples=told["examples"],
        ledger=known_differences(study),
        reference_named=named[0],
        notes=tuple(told["notes"]),
        sides=sides,
        options=told["options"],
    )


def open_description(options: dict[str, Any], named: Sequence[str]) -> Handler:
    """Return the handler of the child: a text is an adapter file to load, None asks for the session."""
    caught: list[tuple[str, str]] = []

    def handle(job: str | None, tell: Callable[[Any], None]) -> dict[str, Any]:
        try:
            with warnings.catch_warnings(record=True) as raised:
                warnings.simplefilter("default")
                if job is not None:
                    load_side(job)
                    return {}
                described = open_judge(options)(_Description(named), tell)
        except (ValueError, OSError, RuntimeError) as error:
            return {"error": str(error)}
        finally:
            caught.extend((w.category.__name__, str(w.message)) for w in raised if w.category is FutureWarning)
        return {"session": described, "warnings": list(dict.fromkeys(caught))}

    return handle


@dataclass(frozen=True)
class _Description:
    named: Sequence[str]

    def run(self, session: Session, _: Callable[[Any], None]) -> str:
        """Return the session in JSON: nothing but text is to come from a process that has run the file."""
        candidate = session.candidate_in(session.profiles[0])
        pairs = zip(self.named, (session.reference, candidate.side), strict=True)
        found = {
            "sides": {n: (s.name, s.version) for n, s in pairs if n not in session.study.implementations},
            "profiles": session.profiles,
            "components": [_plain(component) for component in session.components],
            "on_task": session.context.task is not None,
            "device": str(session.context.device),
            "examples": session.examples,
            "notes": session.notes,
            "options": candidate.options,
        }
        return json.dumps(found, default=str)


def _plain(component: Component) -> dict[str, Any]:
    names = ("name", "title", "formula", "cost", "on_task")
    drawn = inputs_of(component, 1, 0)[len(component.examples) :]
    return {n: getattr(component, n) for n in names} | {"examples": list(component.examples), "drawn": drawn}


def _component(plain: dict[str, Any]) -> Component:
    drawn = plain.pop("drawn")

    def build(params: Mapping[str, Any], ctx: Context) -> dict[str, Any]:  # noqa: ARG001 - as any
        raise RuntimeError(f"inputs of {plain['name']} are built in worker processes only")

    return Component(**plain, strategy=lambda: st.sampled_from(drawn), build=build)


def _raised(side: str, result: Any) -> None:
    """Raise ValueError for a result that is an error, or a failure of the child."""
    if isinstance(result, Failure):
        path = re.escape(side.partition(".py")[0] + ".py")
        line = re.search(rf'File "(?:[^"]*/)?{path}", line (\d+)', result.output)
        raise ValueError(f"{side} cannot be loaded: {result.reason}" + (f" (line {line[1]})" if line else ""))
    if "error" in result:
        raise ValueError(result["error"])
