"""Which components a change can touch: what git says has changed, against what each component's code refers to."""

from __future__ import annotations

from parity.change_impact.git import GitError
from parity.change_impact.selection import Selection, select, selection_of

__all__ = ["GitError", "Selection", "select", "selection_of"]
