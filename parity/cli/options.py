"""The options that commands and pytest share: declared once, and turned into a session."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from parity.adapter_file import nearest
from parity.described import open_described
from parity.loading import forms
from parity.process.pool import Opener, Pool, usable_cores
from parity.search import inputs_of
from parity.session import Session
from parity.study import installed

__all__ = [
    "CONDITIONS", "HOST", "POOL", "SESSION", "add_options", "case_of", "in_workers", "session_of", "session_options",
]  # fmt: skip

CONDITIONS = ("component", "task", "seed", "examples", "dtype", "device", "threads")
"""The components, their inputs, and how they are computed."""

HOST = ("call-limit", "memory-limit")
"""The limits of one call of a checkout."""

SESSION = ("reference", "candidate", "profile", *CONDITIONS, *HOST)
POOL = ("jobs", "time-limit")

_REPEATED: dict[str, Any] = {"action": "append"}


def add_options(add: Callable[..., Any], names: Iterable[str], **changes: dict[str, Any]) -> None:
    """Declare options by `add`: a parser's `add_argument`, or `addoption` of a pytest group.

    `changes`: other settings for some of them.
    """
    study = installed()
    switched = study.candidate or "the candidate"
    declared: dict[str, dict[str, Any]] = {
        "reference": {"default": "", "metavar": "SIDE", "help": f"judged against: as --candidate ({study.reference})"},
        "candidate": {
            "default": "",
            "metavar": "SIDE",
            "help": f"the side judged: {', '.join(forms(study))} (default {study.candidate})",
        },
        "profile": _REPEATED | {"choices": study.profiles or None, "help": f"profile of {switched}; may be repeated"},
        "on": _REPEATED | {"default": [], "metavar": "SWITCH", "help": f"turn a switch of {switched} on as well"},
        "component": _REPEATED | {"metavar": "NAME", "help": "see `parity components`"},
        "task": {"default": "auto", "help": "task whose designs are used (default TFBind8 if cached)"},
        "seed": {"type": int, "default": 0, "help": "seed of the search for inputs (default 0)"},
        "examples": {"default": "dev", "help": "inputs per component: dev, ci, nightly or a number"},
        "dtype": {"default": "float32", "help": "float32 (judged against float64) or float64"},
        "device": {"default": "cpu", "help": "device that both sides compute on"},
        "threads": {"type": int, "default": 1, "help": "threads of PyTorch (default 1)"},
        "call-limit": {
            "type": float,
            "default": 120.0,
            "metavar": "SECONDS",
            "help": "for one call of a checkout (default 120)",
        },
        "memory-limit": {
            "type": float,
            "default": 8.0,
            "metavar": "GIB",
            "help": "for the process of a checkout (default 8)",
        },
        "since": {
            "metavar": "REV",
            "help": "only components whose sources changed between this commit and the files here",
        },
        "jobs": {
            "type": int,
            "metavar": "N",
            "help": f"worker processes (default: as many as cores may be used, {usable_cores()} here, by --threads); "
            "0: all in this process, for a debugger, without a time limit",
        },
        "time-limit": {
            "type": float,
            "metavar": "SECONDS",
            "help": "for one component in one profile; what takes longer is stopped and reported (default 300, more in "
            "proportion beyond 100 inputs per component)",
        },
    }
    for name in names:
        add(f"--{name}", **(declared[name] | changes.get(name.replace("-", "_"), {})))


def session_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of `open_session`, for this process and for each worker."""
    names = ("reference", *CONDITIONS[1:], "candidate", "call_limit", "memory_limit")
    return {
        "profiles": tuple(options.profile or ()),
        "components": tuple(options.component or ()),
        **{name: getattr(options, name) for name in names if hasattr(options, name)},
    }


def in_workers(
    opener: Opener, jobs: Sequence[Any], options: argparse.Namespace, *arguments: Any, limit: float
) -> Iterator[tuple[int, Any]]:
    """Run jobs in the worker processes that `options` ask for; return the index of each and its result as it ends.

    `opener`: takes the options of `open_session` and `arguments`.
    """
    if options.jobs == 0:
        handler = opener(session_options(options), *arguments)
        yield from ((k, handler(job, lambda _: None)) for k, job in enumerate(jobs))
        return
    size = max(1, usable_cores() // options.threads) if options.jobs is None else options.jobs
    with Pool(opener, (session_options(options), *arguments), size=size, time_limit=limit) as pool:
        yield from pool.run(jobs)


def session_of(options: argparse.Namespace) -> Session:
    """Open the session and print its header. Raises ValueError naming the option that is wrong."""
    session = open_described(session_options(options), here=getattr(options, "jobs", None) == 0)
    print("\n".join(session.header()), flush=True)
    return session


def case_of(options: argparse.Namespace, session: Session) -> dict[str, Any] | None:
    """Return the one input of `--case`. Raises ValueError for text that is no input of the one component."""
    if options.case is None:
        return None
    if len(options.component or ()) != 1:
        raise ValueError("--case needs exactly one --component")
    try:
        case = json.loads(options.case, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise ValueError(f"--case is no valid JSON: {error}") from error
    component = session.component(options.component[0])
    expected = set(component.examples[0])
    if not isinstance(case, dict) or not expected <= set(case):
        raise ValueError(f"--case of {component.name} must be an object with {sorted(expected)}")
    kinds: dict[str, set[str]] = {}
    for params in inputs_of(component, 1, 0):
        for name, value in params.items():
            kinds.setdefault(name, set()).add(_kind(value))
    for name, value in case.items():
        if name not in kinds:
            raise ValueError(f"--case of {component.name} has no {name!r}{nearest(name, kinds)}")
        allowed = kinds[name] | ({"int"} if "float" in kinds[name] else set())
        if _kind(value) not in allowed:
            raise ValueError(
                f"--case of {component.name}: {name} must be {' or '.join(sorted(allowed))}, got {value!r}"
            )
        if name == "seed" and not 0 <= value < 2**63:
            raise ValueError(f"--case of {component.name}: seed must be from 0 to 2**63 - 1, got {value}")
    return case


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object. Raises ValueError for a key that stands in it twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"--case holds {twice!r} twice")
    return found


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__
