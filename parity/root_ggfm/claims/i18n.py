"""The texts of the checked list in English and Chinese, and how values are said in each of both."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parity.verdict import Verdict

__all__ = ["LANGUAGES", "TEXTS", "Text", "code", "names", "say"]

LANGUAGES = ("en", "zh")


@dataclass(frozen=True)
class Text:
    """The same in both languages."""

    en: str
    zh: str

    def __getitem__(self, language: str) -> str:
        """Return the text in one of `LANGUAGES`."""
        text: str = getattr(self, language)
        return text


def _read(path: Path) -> dict[str, Text]:
    raw = tomllib.loads(path.read_text(encoding="utf-8"))
    return {f"{group}.{name}": Text(**both) for group, texts in raw.items() for name, both in texts.items()}


TEXTS: Mapping[str, Text] = _read(Path(__file__).with_name("texts.toml"))
"""The texts by `GROUP.NAME`, as the file has them: each in both languages, with the names of values in braces."""


def say(name: str, /, **values: Any) -> Text:
    """Return the text `name` with `values` in it.

    A text, a truth, a verdict and a list, or a list of lists, are said in the language of the text; all else is
    formatted as Python does. Raises KeyError for an unknown text or a value that is not given.
    """
    pattern = TEXTS[name]
    return Text(*(pattern[lang].format(**{k: _said(v, lang) for k, v in values.items()}) for lang in LANGUAGES))


def names(group: str) -> tuple[str, ...]:
    """Return the names of the texts of a group."""
    return tuple(name.removeprefix(f"{group}.") for name in TEXTS if name.startswith(f"{group}."))


def code(words: Iterable[str]) -> list[str]:
    """Return names as code."""
    return [f"`{word}`" for word in words]


def _said(value: Any, language: str) -> Any:
    match value:
        case Text():
            return value[language]
        case bool():
            return TEXTS["word.yes" if value else "word.no"][language]
        case Verdict():
            said = TEXTS[f"verdict.{value}"][language]
            return f"“{said}”（{value}）" if language == "zh" else said
        case [[*_], *_]:
            return ("；" if language == "zh" else "; ").join(_said(item, language) for item in value)
        case [*_]:
            return ("、" if language == "zh" else ", ").join(str(_said(item, language)) for item in value)
    return value
