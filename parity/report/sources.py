"""Which functions of its own code a side executes for a component, and which of their lines."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

from parity.component import Component, start_seed
from parity.diagnosis.site import is_own, outermost, site_at
from parity.execution import run
from parity.session import Session
from parity.side import Side

__all__ = ["PARTS", "executed"]

PARTS = ("called", "inner", "making")
"""What a function is to a component, the most telling first."""


def executed(session: Session, component: Component, side: Side, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """In the order of the first call: `file`, `function`, `line` (the first), `text` (its lines), `ran`, the lines
    that ran, and `part`: `called` by the component itself, `inner` to what it calls, or part of the `making` of the
    objects it calls. Adapters are left out, and what is not a function (a comprehension, a lambda) is part of what
    holds it.
    """
    lines: dict[CodeType, set[int]] = {}
    parts: dict[CodeType, set[str]] = {}
    with _followed(lines, parts):
        run(component.bind(side), component.build(params, session.context), seed=start_seed(params),
            device=session.context.device)  # fmt: skip
    functions = [(_function(code, lines), parts[code]) for code in lines if not code.co_name.startswith("<")]
    return [function | {"part": min(part, key=PARTS.index)} for function, part in functions if function]


@contextmanager
def _followed(lines: dict[CodeType, set[int]], parts: dict[CodeType, set[str]]) -> Iterator[None]:
    """Fills `lines` with what runs of code that is a side's own, in the order of the first call, and `parts`."""

    def inside(frame: FrameType, event: str, _: Any) -> Callable[..., Any]:
        if event == "line":
            lines[frame.f_code].add(frame.f_lineno)
        return inside

    def entered(frame: FrameType, event: str, _: Any) -> Callable[..., Any] | None:
        if event != "call" or not is_own(frame.f_code):
            return None
        lines.setdefault(frame.f_code, set())
        parts.setdefault(frame.f_code, set()).add(_part(frame))
        return inside

    before = sys.gettrace()
    sys.settrace(entered)
    try:
        yield
    finally:
        sys.settrace(before)


def _part(frame: FrameType) -> str:
    """By the outermost of a side's own functions on the stack: it itself, inside it, or inside a constructor."""
    first = outermost(frame)
    if first.co_name in ("__init__", "__new__", "__post_init__"):
        return "making"
    return "called" if first is frame.f_code else "inner"


def _function(code: CodeType, lines: Mapping[CodeType, set[int]]) -> dict[str, Any] | None:
    try:
        text, first = inspect.getsourcelines(code)
    except (OSError, TypeError):  # its source is not there: made at run time, or a file that is gone
        return None
    site = site_at(code.co_filename, first, code.co_qualname)
    if site.of_adapter:
        return None
    last = first + len(text)
    ran = {n for other, hit in lines.items() if other.co_filename == code.co_filename for n in hit if first <= n < last}
    return {
        "file": site.file, "function": code.co_qualname, "line": first, "text": [line.rstrip("\n") for line in text],
        "ran": sorted(ran),
    }  # fmt: skip
