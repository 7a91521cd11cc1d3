"""The checked list rendered in one language: as Markdown, as a page, and as files of both and of JSON."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from parity.atomic_write import write_atomic
from parity.report.write import ReportUnavailable
from parity.root_ggfm.claims.facts import Role, Standing
from parity.root_ggfm.claims.i18n import LANGUAGES, TEXTS, Text, say

__all__ = ["markdown", "page", "view", "write_claims"]

_MARKS = {(Role.CLAIM, True): "✓", (Role.CLAIM, False): "✗", (Role.LIMIT, True): "↳"}
"""Marks of facts that bear their claim out, speak against it or narrow it down; any other fact adds to the picture."""

_ADDS = "·"


def view(document: Mapping[str, Any], language: str) -> dict[str, Any]:
    """Return what is shown of `claims.check_claims`, in order, as texts of one language.

    Raises ValueError for a language that the list is not rendered in.
    """
    if language not in LANGUAGES:
        raise ValueError(f"lang {language!r} is unknown; allowed are {', '.join(LANGUAGES)}")
    words = {name.removeprefix("page."): text[language] for name, text in TEXTS.items() if name.startswith("page.")}
    claims = [_claim(claim, language) for claim in document["claims"]]
    unlisted = [_unlisted(item, language) for item in document["unlisted"]]
    found = Counter(claim["standing"] for claim in claims)
    badges = {claim["standing"]: claim["badge"] for claim in claims}
    counts = [{"standing": s, "badge": badges[s], "count": found[s]} for s in (*Standing, "failed") if found[s]]
    listed = words["between"].join(say("page.counted", **count)[language] for count in counts)
    rest = say("page.rest", count=len(unlisted))[language] if unlisted else ""
    total = len(claims)
    summary = say("page.one_claim" if total == 1 else "page.claims", total=total, counts=listed, rest=rest)
    root, ggfm = document["sides"]
    task, versions = document["task"], document["versions"]
    return {
        "language": language,
        "words": words,
        "conditions": say("page.conditions", root=root, ggfm=ggfm, task=task, versions=versions)[language],
        "summary": summary[language],
        "counts": counts,
        "sections": [
            {
                "number": number,
                "title": say("page.section", number=number, title=titles[language])[language],
                "claims": [claim for claim in claims if claim["section"] == number],
            }
            for number, titles in document["sections"].items()
        ],
        "unlisted": unlisted,
    }


def _claim(claim: Mapping[str, Any], language: str) -> dict[str, Any]:
    reached = claim["standing"]
    return {
        "id": claim["id"],
        "section": claim["section"],
        "text": claim[language],
        "quote": claim["zh"] if language != "zh" else "",
        "standing": reached or "failed",
        "badge": TEXTS[f"standing.{reached}" if reached else "page.failure"][language],
        "measured": say("page.measured", kind=TEXTS[f"kind.{claim['kind']}"])[language],
        "facts": [
            {"mark": _MARKS.get((fact["role"], fact["holds"]), _ADDS), "text": fact[language]}
            for fact in claim["facts"]
        ],
        "commands": [claim["command"], *dict.fromkeys(fact["command"] for fact in claim["facts"] if fact["command"])],
        "notices": _notices(claim, "standing", language),
    }


def _unlisted(item: Mapping[str, Any], language: str) -> dict[str, Any]:
    facts, badge = [], TEXTS[f"verdict.{item['verdict']}" if item["verdict"] else "page.failure"]
    if not item["error"]:
        alone = say("page.alone", name=item["name"], component=item["component"], verdict=badge)
        facts = [alone[language], say("page.seen", where=_where(item["seen"]))[language]]
    return {
        "name": item["name"],
        "badge": badge[language],
        "verdict": item["verdict"] or "failed",
        **item[language],
        "facts": facts,
        "commands": [item["command"]] if item["command"] else [],
        "notices": _notices(item, "verdict", language),
    }


def _notices(item: Mapping[str, Any], key: str, language: str) -> list[str]:
    """Say that something failed, or that its standing or verdict is not the expected one."""
    if item["error"] is not None:
        return [say("page.failed", error=item["error"])[language]]
    if item[key] != item["expected"]:
        return [say("page.changed", expected=TEXTS[f"{key}.{item['expected']}"])[language]]
    return []


def _where(seen: Mapping[str, Any] | None) -> Text:
    if seen is None:
        return TEXTS["page.never"]
    name = {"test": "page.test", 0: "page.initial"}.get(seen["step"], "page.step")
    return say(name, **seen)


def markdown(document: Mapping[str, Any], language: str) -> str:
    """Return the list as Markdown. Raises ValueError for a language that it is not rendered in."""
    return "\n".join(_lines(view(document, language)))


def _lines(shown: Mapping[str, Any]) -> Iterator[str]:
    words = shown["words"]
    yield from (f"# {words['title']}", "", words["intro"], "", f"**{shown['summary']}**", "")
    yield from (words["legend"], "", words["marks"], "", shown["conditions"], "")
    for section in shown["sections"]:
        yield from (f"## {section['title']}", "")
        for claim in section["claims"]:
            yield from (f"### {claim['id']} {claim['badge']}", "", f"> {claim['text']}")
            yield from (">", f"> {claim['quote']}") if claim["quote"] else ()
            yield ""
            yield from _facts([f"{fact['mark']} {fact['text']}" for fact in claim["facts"]], claim, words)
    if shown["unlisted"]:
        yield from (f"## {words['unlisted']}", "", words["unlisted_intro"], "")
    for item in shown["unlisted"]:
        yield from (f"### `{item['name']}` {item['badge']}", "")
        stated = (("ROOT", "root"), ("GGFM", "ggfm"), (words["cause"], "cause"))
        yield from _facts([f"{label}{words['colon']}{item[k]}" for label, k in stated] + item["facts"], item, words)


def _facts(facts: Sequence[str], item: Mapping[str, Any], words: Mapping[str, str]) -> Iterator[str]:
    """Yield facts and notices, and the commands folded away."""
    yield from (f"- {text}" for text in facts)
    yield from (f"- **{notice}**" for notice in item["notices"])
    yield ""
    if item["commands"]:
        yield from (f"<details><summary>{words['reproduce']}</summary>", "", "```sh")
        yield from item["commands"]
        yield from ("```", "", "</details>", "")


def page(document: Mapping[str, Any], language: str) -> str:
    """Return the list as one self-contained HTML file. Raises ModuleNotFoundError without the extra `report`."""
    # An optional extra.
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup, escape  # comes with it

    # The page has the style of the report.
    loader = ChoiceLoader([PackageLoader("parity.root_ggfm.claims"), PackageLoader("parity.report")])
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["code"] = lambda text: Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))
    return environment.get_template("list.html.j2").render(view(document, language)) + "\n"


def write_claims(document: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write `list.json`, and in each language `list.LANG.md` and `list.LANG.html`, into `folder`; return the paths.

    Each is written atomically. Raises ReportUnavailable if the extra `report` (Jinja2) is not installed; all but the
    HTML is written all the same.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stored = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    contents = {"list.json": stored} | {f"list.{name}.md": markdown(document, name) for name in LANGUAGES}
    for name, text in contents.items():
        write_atomic(folder / name, text)
    try:
        pages = {f"list.{name}.html": page(document, name) for name in LANGUAGES}
    except ModuleNotFoundError as error:
        raise ReportUnavailable(
            f"the pages need {error.name}: pip install 'parity-suite[report]'; {', '.join(contents)} are written"
        ) from error
    for name, text in pages.items():
        write_atomic(folder / name, text)
    return [folder / name for name in (*contents, *pages)]
