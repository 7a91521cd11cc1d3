"""The state of the global random generators: a part of every stage's input."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["Generators", "fold"]


@dataclass(frozen=True)
class Generators:
    """State of torch's (on the CPU and on every GPU in use), NumPy's and Python's global generators."""

    torch_cpu: Tensor
    numpy: dict[str, Any]
    python: tuple[Any, ...]
    torch_cuda: tuple[Tensor, ...] = ()

    @classmethod
    def now(cls) -> Generators:
        """As they stand."""
        # Asking an uninitialised CUDA for its state would initialise it.
        in_use = torch.cuda.is_available() and torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
        cuda = tuple(torch.cuda.get_rng_state_all()) if in_use else ()
        return cls(torch.get_rng_state(), np.random.get_state(legacy=False), random.getstate(), cuda)

    @classmethod
    def seeded(cls, seed: int) -> Generators:
        """As a run starts: all of them seeded with `seed`. The generators themselves are left as they were."""
        before = cls.now()
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        random.seed(seed)
        after = cls.now()
        before.restore()
        return after

    def restore(self) -> None:
        """Put the global generators into this state."""
        torch.set_rng_state(self.torch_cpu)
        if self.torch_cuda:
            torch.cuda.set_rng_state_all(list(self.torch_cuda))
        np.random.set_state(self.numpy)
        random.setstate(self.python)

    @property
    def digest(self) -> str:
        """A text that tells states apart."""
        found = hashlib.sha256(self.torch_cpu.numpy().tobytes())
        for state in self.torch_cuda:
            found.update(state.cpu().numpy().tobytes())
        inner = self.numpy["state"]
        found.update(inner["key"].tobytes() + repr((inner["pos"], self.numpy["has_gauss"])).encode())
        found.update(repr(self.python).encode())
        return found.hexdigest()


def fold(states: list[Generators]) -> None:
    """Leave torch's generator in a state that tells whether any of `states` was another one.

    A stage of several calls is judged once; what each call consumed must show in what is there at the end.
    """
    together = hashlib.sha256("".join(state.digest for state in states).encode()).digest()
    torch.default_generator.manual_seed(int.from_bytes(together[:7], "big"))
