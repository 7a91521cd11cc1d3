"""Say where two implementations of one paper differ, and whether it is rounding, randomness or mathematics.

Everything named here is public; whatever else the package holds is private and may change.
"""

from parity.compare import Comparison, Explanation, compare, explain
from parity.component import Component, Context, gaussian
from parity.loading import load_side
from parity.moved import install
from parity.policy import Policy
from parity.side import MissingComponent, Side, Tree
from parity.verdict import Judgement, LeafResult, Verdict
from parity.version import __version__

__all__ = [
    "Comparison",
    "Component",
    "Context",
    "Explanation",
    "Judgement",
    "LeafResult",
    "MissingComponent",
    "Policy",
    "Side",
    "Tree",
    "Verdict",
    "__version__",
    "compare",
    "explain",
    "gaussian",
    "load_side",
]

install()
