"""The reference with known differences written out, as each component's file states them.

A ledger that only says "differs here" would accept any difference there. GGFM with the same switches on must agree
with `ReferenceWithDifferences` everywhere. So a difference is known in its exact form: the size of the pool, the place
of the clamp, the order of the draws. Whole runs are not restated: they are made of the components that are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from parity.root_ggfm.components import REGISTRY
from parity.side import Side, Tree

__all__ = ["STATED", "ReferenceWithDifferences"]

STATED = tuple(name for name, component in REGISTRY.items() if component.stated is not None)
"""Components whose known differences are stated."""


class ReferenceWithDifferences:
    """Be the reference with the differences `on`. A component that states none is the reference's own."""

    def __init__(self, reference: Side, on: Iterable[str]) -> None:
        self._reference = reference
        self._on = frozenset(on)
        self.name = f"{reference.name} with {', '.join(sorted(self._on))}"
        self.version = reference.version

    def __getattr__(self, name: str) -> Any:
        component = REGISTRY.get(name)
        if component is None or component.stated is None:
            return getattr(self._reference, name)
        inputs, stated = component.inputs, component.stated

        def call(*given: Any, **named: Any) -> Tree:
            return stated(inputs(*given, **named), self._on, self._reference)

        return call
