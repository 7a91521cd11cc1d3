"""Run a training script unchanged, record what it does, and compare two such runs event by event."""

__all__: list[str] = []
