"""The checked list as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from parity.root_ggfm.claims.view import view

__all__ = ["markdown"]


def markdown(document: Mapping[str, Any], language: str) -> str:
    """One page. Raises ValueError for a language that the list is not rendered in."""
    return "\n".join(_lines(view(document, language)))


def _lines(shown: Mapping[str, Any]) -> Iterator[str]:
    words = shown["words"]
    yield from (f"# {words['title']}", "", words["intro"], "", f"**{shown['summary']}**", "")
    yield from (words["legend"], "", words["marks"], "", shown["conditions"], "")
    for section in shown["sections"]:
        yield from (f"## {section['title']}", "")
        for claim in section["claims"]:
            yield from (f"### {claim['id']} {claim['badge']}", "", f"> {claim['text']}")
            if claim["quote"]:
                yield from (">", f"> {claim['quote']}")
            yield ""
            yield from _facts([f"{fact['symbol']} {fact['text']}" for fact in claim["facts"]], claim["notices"])
            yield from _commands(claim["commands"], words)
    if shown["unlisted"]:
        yield from (f"## {words['unlisted']}", "", words["unlisted_intro"], "")
    for item in shown["unlisted"]:
        yield from (f"### `{item['name']}` {item['badge']}", "")
        stated = (("ROOT", "root"), ("GGFM", "ggfm"), (words["cause"], "cause"))
        yield from _facts(
            [f"{label}{words['colon']}{item[key]}" for label, key in stated] + item["facts"], item["notices"]
        )
        yield from _commands(item["commands"], words)


def _facts(texts: Sequence[str], notices: Sequence[str]) -> Iterator[str]:
    yield from (f"- {text}" for text in texts)
    yield from (f"- **{notice}**" for notice in notices)
    yield ""


def _commands(commands: Sequence[str], words: Mapping[str, str]) -> Iterator[str]:
    if commands:
        yield from (f"<details><summary>{words['reproduce']}</summary>", "", "```sh")
        yield from commands
        yield from ("```", "", "</details>", "")
