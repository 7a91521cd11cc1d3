"""A checkout's training loader, listened to: what else tells a training batch from one of a validation is custom."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["Heard"]


class Heard:
    """The loader; `out` while a batch of it is being trained on, which is told of when the next one is asked for.

    What is told is the batch as it was given: published code may write into it.
    """

    def __init__(self, loader: Any, trained: Callable[[Any], None] | None = None) -> None:
        self._loader, self._trained = loader, trained
        self.out = False

    def __iter__(self) -> Iterator[Any]:
        for batch in self._loader:
            given = [[values.clone() for values in end] for end in batch] if self._trained is not None else None
            self.out = True
            try:
                yield batch
            finally:
                self.out = False
            if self._trained is not None:
                self._trained(given)

    def __len__(self) -> int:
        return len(self._loader)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)
