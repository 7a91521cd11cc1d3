"""List the functions of its own code that a side executes for a component, with the lines that ran."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import CodeType, FrameType
from typing import Any

from parity.component import Component, start_seed
from parity.diagnosis.location import line_coverage, location_at, outermost
from parity.execution import run
from parity.session import Session
from parity.side import Side

__all__ = ["PARTS", "executed"]

PARTS = ("called", "inner", "making")
"""What a function is to a component, the most telling first."""


def executed(session: Session, component: Component, side: Side, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the functions in the order of the first call.

    Each has `file`, `function`, `line` (the first), `text` (its lines), `ran`, the lines that ran, and `part`: `called`
    by the component itself, `inner` to a function that is called, or part of the `making` of objects. Adapters are left
    out, and code that is no function (a comprehension, a lambda) is part of the function that holds it.
    """
    parts: dict[CodeType, set[str]] = {}

    def entered(frame: FrameType) -> None:
        parts.setdefault(frame.f_code, set()).add(_part(frame))

    with line_coverage(entered=entered) as lines:
        run(
            component.bind(side),
            component.build(params, session.context),
            seed=start_seed(params),
            device=session.context.device,
        )
    functions = [(_function(code, lines), parts[code]) for code in lines if not code.co_name.startswith("<")]
    return [function | {"part": min(part, key=PARTS.index)} for function, part in functions if function]


def _part(frame: FrameType) -> str:
    """Return the part by the outermost of a side's own functions: it itself, inside it, or inside a constructor."""
    first = outermost(frame)
    if first.co_name in ("__init__", "__new__", "__post_init__"):
        return "making"
    return "called" if first is frame.f_code else "inner"


def _function(code: CodeType, lines: Mapping[CodeType, set[int]]) -> dict[str, Any] | None:
    try:
        text, first = inspect.getsourcelines(code)
    except (OSError, TypeError):  # its source is missing: made at run time, or in a file that is gone
        return None
    site = location_at(code.co_filename, first, code.co_qualname)
    if site.of_adapter:
        return None
    last = first + len(text)
    ran = {n for other, hit in lines.items() if other.co_filename == code.co_filename for n in hit if first <= n < last}
    return {
        "file": site.file,
        "function": code.co_qualname,
        "line": first,
        "text": [line.rstrip("\n") for line in text],
        "ran": sorted(ran),
    }
