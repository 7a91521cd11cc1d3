"""Working copies of the published codes as sides, by adapters to their layouts.

`loading` recognises and imports a checkout. `side` calls what both layouts have as functions; `root` and `ggfm` add
what differs. `runner` drives ROOT's runner for everything that exists only inside it.
"""

__all__: list[str] = []
