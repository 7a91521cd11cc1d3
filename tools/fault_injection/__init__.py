"""Fault injection: faults planted in copies of GGFM must be caught, harmless rewrites must pass.

Run `python -m tools.fault_injection --help`.
"""

__all__: list[str] = []
