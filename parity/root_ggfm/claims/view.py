"""The document in one language: every sentence that a rendering shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from parity.root_ggfm.claims.facts import Role, Standing
from parity.root_ggfm.claims.words import KINDS, LABELS, LANGUAGES, STANDINGS, SYMBOLS, VERDICTS_ZH

__all__ = ["view"]

_MARKS = {
    (Role.CLAIM, True): "bears out", (Role.CLAIM, False): "speaks against", (Role.LIMIT, True): "narrows down",
}  # fmt: skip
"""What a fact does to its claim; all else only adds to the picture."""


def view(document: Mapping[str, Any], language: str) -> dict[str, Any]:
    """What is shown, in order, as texts of one language.

    Raises ValueError for a language that the list is not rendered in.
    """
    if language not in LANGUAGES:
        raise ValueError(f"lang {language!r} is unknown; allowed are {', '.join(LANGUAGES)}")
    words = LABELS[language]
    claims = [_claim(claim, language) for claim in document["claims"]]
    return {
        "language": language,
        "words": words,
        "conditions": words["conditions"].format(
            root=document["sides"][0], ggfm=document["sides"][1], task=document["task"], versions=document["versions"]
        ),
        "summary": _summary(document, language),
        "counts": _counts(document, language),
        "sections": [
            {
                "number": number,
                "title": words["section"].format(number, titles[language]),
                "claims": [claim for claim in claims if claim["section"] == number],
            }
            for number, titles in document["sections"].items()
        ],
        "unlisted": [_unlisted(item, language) for item in document["unlisted"]],
    }


def _claim(claim: Mapping[str, Any], language: str) -> dict[str, Any]:
    words, reached = LABELS[language], claim["standing"]
    notices = []
    if claim["error"] is not None:
        notices.append(words["failed"].format(claim["error"]))
    elif reached != claim["expected"]:
        notices.append(words["changed"].format(STANDINGS[language][claim["expected"]]))
    return {
        "id": claim["id"],
        "section": claim["section"],
        "text": claim[language],
        "quote": claim["zh"] if language != "zh" else "",
        "standing": reached or "failed",
        "badge": STANDINGS[language][reached] if reached else words["failure"],
        "measured": f"{words['measured']}{KINDS[claim['kind']][language]}",
        "facts": [
            {"mark": mark, "symbol": SYMBOLS[mark], "text": fact[language]}
            for fact in claim["facts"]
            for mark in [_MARKS.get((fact["role"], fact["holds"]), "adds")]
        ],
        "commands": [claim["command"], *dict.fromkeys(fact["command"] for fact in claim["facts"] if fact["command"])],
        "notices": notices,
    }


def _unlisted(item: Mapping[str, Any], language: str) -> dict[str, Any]:
    words, verdict = LABELS[language], item["verdict"]
    notices = []
    if item["error"] is not None:
        notices.append(words["failed"].format(item["error"]))
    elif verdict != item["expected"]:
        notices.append(words["changed"].format(_verdict(item["expected"], language)))
    alone = words["alone"].format(name=item["name"], component=item["component"], verdict=_verdict(verdict, language))
    return {
        "name": item["name"],
        "badge": _verdict(verdict, language) if verdict else words["failure"],
        "verdict": verdict or "failed",
        **item[language],
        "facts": [] if item["error"] else [alone, words["seen"].format(_seen(item["seen"], words))],
        "commands": [item["command"]] if item["command"] else [],
        "notices": notices,
    }


def _verdict(verdict: str | None, language: str) -> str:
    return VERDICTS_ZH[verdict] if language == "zh" and verdict else str(verdict)


def _seen(seen: Mapping[str, Any] | None, words: Mapping[str, str]) -> str:
    if seen is None:
        return words["never"]
    step = seen["step"]
    where = words["test"] if step == "test" else words["initial"] if step == 0 else words["step"].format(step)
    return words["leaf"].format(where, seen["leaf"])


def _counts(document: Mapping[str, Any], language: str) -> list[dict[str, Any]]:
    found = Counter(claim["standing"] for claim in document["claims"])
    shown = [
        {"standing": s.value, "badge": STANDINGS[language][s], "count": found[s.value]}
        for s in Standing
        if found[s.value]
    ]
    if found[None]:
        shown.append({"standing": "failed", "badge": LABELS[language]["failure"], "count": found[None]})
    return shown


def _summary(document: Mapping[str, Any], language: str) -> str:
    counts = _counts(document, language)
    if language == "zh":
        listed = "，".join(f"{c['badge']} {c['count']} 条" for c in counts)
        rest = f"；另有 {len(document['unlisted'])} 项差异清单未提及" if document["unlisted"] else ""
        return f"共 {len(document['claims'])} 条论断：{listed}{rest}。"
    listed = ", ".join(f"{c['count']} {c['badge']}" for c in counts)
    rest = f"; {len(document['unlisted'])} differences that the list does not mention" if document["unlisted"] else ""
    total = len(document["claims"])
    return f"{total} claim{'s' if total != 1 else ''}: {listed}{rest}."
