"""Every component that is compared, one in each file of this folder, in the order of the pipeline.

To add one, add its file: a module NAME.py with a `COMPONENT`, a `StudyComponent` of that name.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping

from parity.component import Component, Context, Params, gaussian
from parity.root_ggfm.component import StudyComponent

__all__ = ["REGISTRY", "Component", "Context", "Params", "component", "gaussian"]


def _found() -> Iterator[StudyComponent]:
    for module in pkgutil.iter_modules(__path__):
        declared: StudyComponent = importlib.import_module(f"{__name__}.{module.name}").COMPONENT
        if declared.name != module.name:
            raise ValueError(f"{__name__}.{module.name} declares a component of another name, {declared.name!r}")
        yield declared


def _in_order(found: Mapping[str, StudyComponent]) -> Iterator[StudyComponent]:
    """Each component, followed by those that come after it: first the ones that the fewest come after in their turn."""
    for each in found.values():
        if each.after and each.after not in found:
            raise ValueError(f"component {each.name!r} comes after {each.after!r}, which does not exist")

    def follow(name: str) -> list[StudyComponent]:
        branches = [[each, *follow(each.name)] for each in found.values() if each.after == name]
        return [each for branch in sorted(branches, key=lambda b: (len(b), b[0].name)) for each in branch]

    ordered = follow("")
    if len(ordered) < len(found):
        lost = ", ".join(name for name in found if found[name] not in ordered)
        raise ValueError(f"components come after each other in a circle: {lost}")
    yield from ordered


REGISTRY: dict[str, StudyComponent] = {each.name: each for each in _in_order({c.name: c for c in _found()})}


def component(name: str) -> StudyComponent:
    """Return the component of that name. Raises ValueError naming those that exist."""
    if name not in REGISTRY:
        raise ValueError(f"component {name!r} is unknown; known are {', '.join(REGISTRY)}")
    return REGISTRY[name]
