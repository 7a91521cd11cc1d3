"""Which functions of its own code a side executes for a component, and which of their lines."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

from parity.components import Component
from parity.components.base import start_seed
from parity.diagnosis.site import is_own, site_at
from parity.outcome import run
from parity.session import Session
from parity.sides import Side

__all__ = ["executed"]


def executed(session: Session, component: Component, side: Side, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """In the order of the first call: `file`, `function`, `line` (the first), `text` (its lines) and `ran`, the lines
    that ran. Adapters are left out, and what is not a function (a comprehension, a lambda) is part of what holds it.
    """
    lines: dict[CodeType, set[int]] = {}
    with _followed(lines):
        run(component.bind(side), component.build(params, session.context), seed=start_seed(params),
            device=session.context.device)  # fmt: skip
    functions = [_function(code, lines) for code in lines if not code.co_name.startswith("<")]
    return [function for function in functions if function]


@contextmanager
def _followed(lines: dict[CodeType, set[int]]) -> Iterator[None]:
    """Fills `lines` with what runs of code that is a side's own, in the order of the first call."""

    def inside(frame: FrameType, event: str, _: Any) -> Callable[..., Any]:
        if event == "line":
            lines[frame.f_code].add(frame.f_lineno)
        return inside

    def entered(frame: FrameType, event: str, _: Any) -> Callable[..., Any] | None:
        if event != "call" or not is_own(frame.f_code):
            return None
        lines.setdefault(frame.f_code, set())
        return inside

    before = sys.gettrace()
    sys.settrace(entered)
    try:
        yield
    finally:
        sys.settrace(before)


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
