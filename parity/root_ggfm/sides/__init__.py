"""Translation between the inputs of a component and the calls of ROOT and GGFM."""

__all__: list[str] = []
