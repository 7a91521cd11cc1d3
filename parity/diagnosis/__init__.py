"""Why two sides differ: their random draws, their operations, the stages of a run."""

__all__: list[str] = []
