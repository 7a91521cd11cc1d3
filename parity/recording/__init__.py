"""Recorded numbers in the place of a side: written by `parity record`, looked up in a comparison."""

__all__: list[str] = []
