"""What an entry of a configuration may be: rules that check one value and say what is allowed."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["Choice", "Count", "Flag", "Number", "Rule", "Text", "require"]


class Rule(Protocol):
    """One kind of value."""

    @property
    def allowed(self) -> str:
        """In words."""

    def accepts(self, value: Any) -> bool:
        """Whether a value is of this kind."""


@dataclass(frozen=True)
class Count:
    """An integer of at least `least`; True and 3.0 are none."""

    least: int = 1

    @property
    def allowed(self) -> str:
        """In words."""
        return f"an integer of at least {self.least}"

    def accepts(self, value: Any) -> bool:
        """Whether a value is one."""
        return isinstance(value, int) and not isinstance(value, bool) and value >= self.least


@dataclass(frozen=True, kw_only=True)
class Number:
    """A finite number within bounds, `above` and `below` excluded, `least` and `most` included; True is none."""

    above: float | None = None
    least: float | None = None
    below: float | None = None
    most: float | None = None

    @property
    def allowed(self) -> str:
        """In words."""
        bounds = {"above": self.above, "of at least": self.least, "below": self.below, "of at most": self.most}
        within = " and ".join(f"{words} {bound:g}" for words, bound in bounds.items() if bound is not None)
        return f"a finite number {within}".rstrip()

    def accepts(self, value: Any) -> bool:
        """Whether a value is one."""
        if not isinstance(value, int | float) or isinstance(value, bool):
            return False
        return (
            -_LARGEST <= value <= _LARGEST
            and (self.above is None or value > self.above)
            and (self.least is None or value >= self.least)
            and (self.below is None or value < self.below)
            and (self.most is None or value <= self.most)
        )


_LARGEST = math.nextafter(math.inf, 0)


@dataclass(frozen=True)
class Flag:
    """True or False."""

    allowed: str = "true or false"

    def accepts(self, value: Any) -> bool:
        """Whether a value is one."""
        return isinstance(value, bool)


@dataclass(frozen=True)
class Text:
    """Any text."""

    allowed: str = "text"

    def accepts(self, value: Any) -> bool:
        """Whether a value is one."""
        return isinstance(value, str)


@dataclass(frozen=True)
class Choice:
    """One of some texts."""

    among: tuple[str, ...]

    @property
    def allowed(self) -> str:
        """In words."""
        return ", ".join(map(repr, self.among))

    def accepts(self, value: Any) -> bool:
        """Whether a value is one."""
        return isinstance(value, str) and value in self.among


def require(path: str, value: Any, rule: Rule) -> Any:
    """The value if the rule accepts it, a number as float. Raises ValueError naming path, value and what is allowed."""
    if not rule.accepts(value):
        raise ValueError(f"{path}: got {value!r}{_hint(value, rule)}, allowed is {rule.allowed}")
    return float(value) if isinstance(rule, Number) else value


def _hint(value: Any, rule: Rule) -> str:
    """What to write for a text that was meant as a number."""
    if not isinstance(value, str) or not isinstance(rule, Count | Number):
        return ""
    power = re.fullmatch(r"([-+]?\d+)(\.\d*)?[eE]([-+]?)(\d+)", value)
    if power:
        whole, fraction, sign, exponent = power.groups()
        fraction = fraction if fraction and len(fraction) > 1 else ".0"
        return f", which YAML 1.1 reads as text (write {whole}{fraction}e{sign or '+'}{exponent})"
    return ", which is text (write it without quotes)" if re.fullmatch(r"[-+]?\d+(\.\d*)?", value) else ""
