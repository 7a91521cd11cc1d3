"""Describe an implementation to a comparison: a name, a version, and one callable per component."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

__all__ = [
    "Capabilities", "MissingComponent", "Side", "SideDied", "SideLost", "SideTimedOut", "Tree", "capabilities",
]  # fmt: skip

Tree = dict[str, Any]
"""A named, flat tree of outputs; a slash in a name groups leaves (`grad/main.0.weight`). A leaf is a `torch.Tensor`, a
`numpy.ndarray` or a plain `int`, `float`, `bool`, `str` or list of those."""


class MissingComponent(NotImplementedError):
    """The implementation behind a side does not have this component. Never counts as agreement."""


class SideLost(RuntimeError):
    """The process that holds an implementation's code ended, or was ended. It refuses nothing by that."""


class SideDied(SideLost):
    """The process that held the code ended: it exited, crashed, or was killed."""


class SideTimedOut(SideLost):
    """The code did not answer in time; its process was killed."""


class Side(Protocol):
    """An implementation. Each of its components is an attribute that is called with the component's inputs by name."""

    name: str
    version: str

    def __getattr__(self, component: str, /) -> Callable[..., Tree]:
        """The callable of a component; AttributeError where the side lacks it."""


@dataclass(frozen=True)
class Capabilities:
    """Tell the judge and the diagnosis how a side can be used.

    `code`: its code runs `here`, in this process; `elsewhere`, in a process of its own, through the methods `execute`
    and `explain`; or there is `none`, and the side holds recorded numbers, through `execute`.
    `checks_inputs`: False for code that validates no input, so that any way to fail on one counts as refusing it.
    """

    code: Literal["here", "elsewhere", "none"] = "here"
    checks_inputs: bool = True


def capabilities(side: Any) -> Capabilities:
    """Return the side's attribute `capabilities`; the usual ones for a side that has none."""
    found = getattr(side, "capabilities", None)
    return found if isinstance(found, Capabilities) else Capabilities()
