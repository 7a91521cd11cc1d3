"""The options that `check`, `report` and their kin share: what they declare, and what is made of them."""

from __future__ import annotations

import argparse
import json
from typing import Any

from parity.loading import forms
from parity.process.pool import usable_cores
from parity.session import Session, open_session
from parity.study import installed

__all__ = [
    "add_condition_options", "add_host_options", "add_pool_options", "add_profile_option", "add_session_options",
    "add_switch_option", "add_worker_options",
    "case_of", "session_of", "session_options",
]  # fmt: skip


def add_session_options(parser: argparse.ArgumentParser) -> None:
    """Declare the sides, the profile and the conditions."""
    study = installed()
    named = ", ".join(forms(study))
    parser.add_argument(
        "--reference", default="", metavar="SIDE", help=f"judged against: as --candidate ({study.reference})"
    )
    parser.add_argument(
        "--candidate", default="", metavar="SIDE", help=f"the side judged: {named} (default {study.candidate})"
    )
    add_profile_option(parser)
    add_condition_options(parser)
    add_host_options(parser)


def add_profile_option(parser: argparse.ArgumentParser, *, repeated: bool = True) -> None:
    """Declare the profile of a candidate that has profiles."""
    study = installed()
    text = f"profile of {study.candidate or 'the candidate'}"
    choices = study.profiles or None
    if repeated:
        parser.add_argument("--profile", action="append", choices=choices, help=f"{text}; may be repeated")
    else:
        default = next(iter(study.profiles), "")
        parser.add_argument("--profile", choices=choices, help=f"{text} (default {default})")


def add_switch_option(parser: argparse.ArgumentParser) -> None:
    """Declare the switches that are turned on besides the profile's."""
    name = installed().candidate or "the candidate"
    parser.add_argument(
        "--on", action="append", default=[], metavar="SWITCH", help=f"turn a switch of {name} on as well"
    )


def add_host_options(parser: argparse.ArgumentParser) -> None:
    """Declare the limits of one call of a checkout."""
    parser.add_argument(
        "--call-limit", type=float, default=120.0, metavar="SECONDS", help="for one call of a checkout (default 120)"
    )
    parser.add_argument(
        "--memory-limit", type=float, default=8.0, metavar="GIB", help="for the process of a checkout (default 8)"
    )


def add_condition_options(parser: argparse.ArgumentParser) -> None:
    """Declare the components, their inputs, and how they are computed."""
    parser.add_argument("--component", action="append", metavar="NAME", help="see `parity components`")
    parser.add_argument("--task", default="auto", help="task whose designs are used (default TFBind8 if cached)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the search for inputs (default 0)")
    parser.add_argument("--examples", default="dev", help="inputs per component: dev, ci, nightly or a number")
    parser.add_argument("--dtype", default="float32", help="float32 (judged against float64) or float64")
    parser.add_argument("--device", default="cpu", help="device that both sides compute on")
    parser.add_argument("--threads", type=int, default=1, help="threads of PyTorch (default 1)")


def add_worker_options(parser: argparse.ArgumentParser) -> None:
    """Declare the components that are run, and the workers."""
    parser.add_argument(
        "--since", metavar="REV", help="only components whose sources changed between this commit and the files here"
    )
    add_pool_options(
        parser,
        "for one component in one profile; what takes longer is stopped and reported (default 300, more in "
        "proportion beyond 100 inputs per component)",
    )


def add_pool_options(parser: argparse.ArgumentParser, limit: str) -> None:
    """Declare the number of worker processes and the time limit, which `limit` explains."""
    parser.add_argument(
        "--jobs", type=int, default=None, metavar="N",
        help=f"worker processes (default: as many as cores may be used, {usable_cores()} here, by --threads); "
        "0: all in this process, for a debugger, without a time limit",
    )  # fmt: skip
    parser.add_argument("--time-limit", type=float, default=None, metavar="SECONDS", help=limit)


def session_options(options: argparse.Namespace) -> dict[str, Any]:
    """The arguments of `open_session`, for this process and for each worker."""
    return {
        "reference": getattr(options, "reference", ""),  # some commands know one reference only
        "candidate": options.candidate,
        "profiles": tuple(options.profile or ()),
        "components": tuple(options.component or ()),
        "task": options.task,
        "seed": options.seed,
        "examples": options.examples,
        "dtype": options.dtype,
        "device": options.device,
        "threads": options.threads,
        **{name: getattr(options, name) for name in ("call_limit", "memory_limit") if hasattr(options, name)},
    }


def session_of(options: argparse.Namespace) -> Session:
    """Open the session and print its header. Raises ValueError naming the option that is wrong."""
    session = open_session(**session_options(options))
    print("\n".join(session.header()), flush=True)
    return session


def case_of(options: argparse.Namespace, session: Session) -> dict[str, Any] | None:
    """The one input of `--case`. Raises ValueError for text that is no input of the one component."""
    if options.case is None:
        return None
    if len(options.component or ()) != 1:
        raise ValueError("--case needs exactly one --component")
    try:
        case = json.loads(options.case)
    except json.JSONDecodeError as error:
        raise ValueError(f"--case is no valid JSON: {error}") from error
    expected = set(session.component(options.component[0]).examples[0])
    if not isinstance(case, dict) or not expected <= set(case):
        raise ValueError(f"--case of {options.component[0]} must be an object with {sorted(expected)}")
    return case
