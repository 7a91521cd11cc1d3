"""A whole run, stage by stage: which stage causes a difference, and which only inherit it."""

__all__: list[str] = []
