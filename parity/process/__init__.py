"""Processes of their own: workers that judge, and hosts that hold code from elsewhere."""

__all__: list[str] = []
