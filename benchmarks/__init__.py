"""Speed and memory of ggfm against the reference, side by side in one run: `python -m benchmarks`."""

__all__: list[str] = []
