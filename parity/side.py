"""What a comparison knows of an implementation: a name, a version, and one callable per component."""

from __future__ import annotations

from typing import Any, Protocol

__all__ = ["MissingComponent", "Side", "SideLost", "Tree"]

Tree = dict[str, Any]
"""A named, flat tree of outputs; a slash in a name groups leaves (`grad/main.0.weight`). A leaf is a `torch.Tensor`, a
`numpy.ndarray` or a plain `int`, `float`, `bool`, `str` or list of those."""


class MissingComponent(NotImplementedError):
    """The implementation behind a side does not have this component. Never counts as agreement."""


class SideLost(RuntimeError):
    """The process that holds an implementation's code ended, or was ended. It refuses nothing by that."""


class Side(Protocol):
    """An implementation. Each of its components is an attribute that is called with the component's inputs by name."""

    name: str
    version: str

    def __getattr__(self, component: str, /) -> Any:
        """The callable of a component; AttributeError where the side lacks it."""
