"""The study of ROOT and GGFM: its components, both sides, known differences, data, runs and claims."""

__all__: list[str] = []
