"""Code in processes of its own: workers that judge, and hosts that hold code from elsewhere."""

__all__: list[str] = []
