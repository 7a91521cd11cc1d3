"""Which small change of the candidate's code makes both sides agree: the strongest evidence for where they differ.

Mutation-based fault localisation: each executed line is changed in small ways, in memory only, and the component runs
again. A change that removes the whole difference on every input tried names the line, and what to write there.
"""

from parity.diagnosis.repair.search import Repair, Search, search_repair

__all__ = ["Repair", "Search", "search_repair"]
