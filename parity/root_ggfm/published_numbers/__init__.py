"""Numbers recorded with the published code, and a side judged against them."""

__all__: list[str] = []
