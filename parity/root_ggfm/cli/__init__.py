"""Commands of this study."""

__all__: list[str] = []
