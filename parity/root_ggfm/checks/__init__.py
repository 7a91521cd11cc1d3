"""The checks that `pytest parity/` runs."""

__all__: list[str] = []
