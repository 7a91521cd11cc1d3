"""Memory that a batch frees stays at hand for the next one."""

from __future__ import annotations

import torch

__all__ = ["keep_freed_memory"]

_BLOCK = 31 << 20
"""glibc learns from blocks of up to 32 MiB."""


def keep_freed_memory() -> None:
    """Have the C library keep freed memory, some 60 MiB of it, where it would hand it back to the system.

    Every batch frees as much as the weights take, for gradients and the optimiser's intermediate values. glibc keeps
    at most twice the largest block that it has seen freed; getting the rest anew from the system, page by page, takes
    a tenth of the training time. The block freed here is never touched, so that it takes no memory itself. Other C
    libraries take no notice.
    """
    torch.empty(_BLOCK, dtype=torch.uint8)
