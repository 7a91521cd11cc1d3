"""Sequences of classes as logits, the way design-bench encodes them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["SOFT_INTERPOLATION", "integers_to_logits", "logits_to_integers", "refuse_non_classes"]

SOFT_INTERPOLATION = 0.6
"""Share of the one-hot vector in the soft one-hot; the rest is uniform. With 4 classes: 0.7 and 0.1, 0.1, 0.1."""


def refuse_non_classes(x: NDArray[np.generic], num_classes: int) -> None:
    """ValueError unless x is a matrix (N, L) of integers in [0, V)."""
    if not np.issubdtype(x.dtype, np.integer):
        raise ValueError(f"x: expected integers, the classes of sequences, got dtype {x.dtype}")
    if x.ndim != 2:
        raise ValueError(f"x: expected shape (N, L), got {x.shape}")
    if x.size and (x.min() < 0 or x.max() >= num_classes):
        raise ValueError(f"x: expected classes 0 .. {num_classes - 1}, got {x.min()} .. {x.max()}")


def integers_to_logits(x: NDArray[np.generic], num_classes: int) -> NDArray[np.float32]:
    """(N, L) integers in [0, V) to (N, L, V - 1) float32 logits, log p_k - log p_0 for k = 1 .. V - 1.

    p is the soft one-hot 0.6 onehot(x) + 0.4 / V. With V = 4, class 0 gives (-1.9459, -1.9459, -1.9459) and class 1
    gives (1.9459, 0, 0). The arithmetic is float32 from the first step, as in design-bench, so the bits agree too.

    Raises ValueError for anything but a matrix of integers in range (design-bench lets -1 through, as the last class).
    """
    refuse_non_classes(x, num_classes)
    one_hot = np.eye(num_classes, dtype=np.float32)
    uniform = np.full_like(one_hot, 1.0 / num_classes)
    log_p = np.log(SOFT_INTERPOLATION * one_hot + (1.0 - SOFT_INTERPOLATION) * uniform)
    logits: NDArray[np.float32] = (log_p[:, 1:] - log_p[:, :1])[x]
    return logits


def logits_to_integers(x: NDArray[np.generic]) -> NDArray[np.int32]:
    """(N, L, V - 1) logits to (N, L) int32: the argmax over (0, logits); the first of equals wins.

    Raises ValueError for anything but floats of that shape. NaN is not looked for here: `argmax` takes it for a class.
    """
    if not np.issubdtype(x.dtype, np.floating):
        raise ValueError(f"x: expected floating-point logits to convert to integers, got dtype {x.dtype}")
    if x.ndim != 3:
        raise ValueError(f"x: expected shape (N, L, V - 1), got {x.shape}")
    classes: NDArray[np.int32] = np.argmax(np.pad(x, [(0, 0), (0, 0), (1, 0)]), axis=-1).astype(np.int32)
    return classes
