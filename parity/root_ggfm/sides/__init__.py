"""ROOT and GGFM as sides."""

__all__: list[str] = []
