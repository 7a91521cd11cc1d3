"""A component of this study, declared in one file; and all other names that such a file needs of the engine."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from ggfm.switches import Switches
from parity.component import Component, Context, Params, gaussian
from parity.policy import Policy
from parity.side import Side, Tree

__all__ = ["Context", "Params", "Policy", "Side", "StudyComponent", "Switches", "Tree", "gaussian"]


@dataclass(frozen=True, kw_only=True)
class StudyComponent(Component):
    """Declare a component, together with what ROOT and GGFM compute for it.

    `after`: the component that it follows along the pipeline; empty for the first. `inputs`: the frozen class of its
    inputs; `build` returns one, of which the engine gets the fields by name. `root(inputs)` and
    `ggfm(inputs, switches)` call the implementations. `stated(inputs, on, root)`: what GGFM computes with the known
    differences `on`, written out on top of the reference `root`; None where none acts on it.
    """

    after: str
    inputs: Callable[..., Any]
    build: Callable[[Params, Context], Any]
    root: Callable[[Any], Tree]
    ggfm: Callable[[Any, Switches], Tree]
    stated: Callable[[Any, frozenset[str], Side], Tree] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "build", _by_name(self.build))


def _by_name(build: Callable[[Params, Context], Any]) -> Callable[[Params, Context], dict[str, Any]]:
    @wraps(build)
    def built(params: Params, ctx: Context) -> dict[str, Any]:
        made = build(params, ctx)
        return made if isinstance(made, dict) else dict(vars(made))  # a replaced component's `build` has done it

    return built
