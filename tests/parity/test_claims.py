"""The checked list: claims and texts as data, standings from facts, the standing that each claim is known to have."""

import json
import re
from pathlib import Path

import pytest

from parity.component import Context
from parity.root_ggfm.claims import evidence, whole_runs
from parity.root_ggfm.claims.claims import ClaimsError, check_claims, exit_code, load
from parity.root_ggfm.claims.evidence import EVIDENCE
from parity.root_ggfm.claims.facts import Fact, Role, Standing, standing
from parity.root_ggfm.claims.i18n import TEXTS, names, say
from parity.root_ggfm.claims.measurements import Measurements
from parity.root_ggfm.tasks.catalogue import load_task
from parity.verdict import Verdict

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def measure():
    task, _ = load_task("Synthetic8-v0")
    return Measurements(Context(task), options=" --task Synthetic8-v0")


def test_every_claim_and_every_difference_left_out_comes_out_as_known(measure):
    document = check_claims(measure)
    assert [claim["error"] for claim in document["claims"] if claim["error"]] == []
    assert {c["id"]: c["standing"] for c in document["claims"]} == {c["id"]: c["expected"] for c in document["claims"]}
    assert {u["name"]: u["verdict"] for u in document["unlisted"]} == {
        u["name"]: u["expected"] for u in document["unlisted"]
    }
    assert [u["name"] for u in document["unlisted"] if u["seen"] is None] == ["steps_buffer"]
    assert exit_code(document) == 0

    kept = json.loads((DOCS / "list.json").read_text())  # measured on TFBind8: the same findings, with other numbers
    assert [shape(claim) for claim in kept["claims"]] == [shape(claim) for claim in document["claims"]]
    assert [(u["name"], u["verdict"], u["en"], u["zh"]) for u in kept["unlisted"]] == [
        (u["name"], u["verdict"], u["en"], u["zh"]) for u in document["unlisted"]
    ]


def shape(claim):
    facts = [(fact["role"], fact["holds"]) for fact in claim["facts"]]
    return {**{key: claim[key] for key in ("id", "zh", "en", "kind", "standing", "expected")}, "facts": facts}


def test_every_evidence_is_asked_for_and_every_section_has_claims():
    whole = load()
    assert {claim.evidence for claim in whole.claims} == set(EVIDENCE)
    assert {claim.section for claim in whole.claims} == set(whole.sections) == {str(k) for k in range(1, 11)}


CHINESE = re.compile(r"[\u4e00-\u9fff]")
QUOTED_CODE = {"3.2", "3.7", "3.8", "4.2", "4.6", "8.2"}
"""Claims that the list makes in code alone."""


def test_chinese_claims_are_chinese_but_for_those_that_are_code():
    whole = load()
    assert {claim.id for claim in whole.claims if not CHINESE.search(claim.zh)} == QUOTED_CODE
    others = [text for entry in whole.unlisted for text in (entry.root, entry.ggfm, entry.cause)]
    others += [titles["zh"] for titles in whole.sections.values()]
    assert [text for text in others if not CHINESE.search(text)] == ["EMA"]


def test_english_claims_are_english():
    whole = load()
    texts = [*(claim.en for claim in whole.claims), *(titles["en"] for titles in whole.sections.values())]
    assert [text for text in texts if CHINESE.search(text)] == []
    assert all(texts)


VALUE = re.compile(r"\{(\w+)[^}]*\}")
VALUES_AND_SIGNS = {
    *("page.colon", "page.between", "where.task", "where.choice"),
    *("whole_runs.these", "whole_runs.p", "whole_runs.decided"),
}
LINK = {"page.other"}
"""The link to the other language is in that language."""


def test_every_text_is_in_its_language():
    assert {name for name, text in TEXTS.items() if not CHINESE.search(text.zh)} == LINK | VALUES_AND_SIGNS
    assert {name for name, text in TEXTS.items() if CHINESE.search(text.en)} == LINK


def test_both_languages_say_the_same_values():
    more = {n: set(VALUE.findall(t.en)) ^ set(VALUE.findall(t.zh)) for n, t in TEXTS.items()}
    assert {name: values for name, values in more.items() if values} == {"ggfm_pool.others": {"top"}}


def test_every_text_of_the_evidence_is_said():
    source = "".join(Path(module.__file__).read_text() for module in (evidence, whole_runs))
    groups = {*(function for function in EVIDENCE), "judged", "small_run", "encoding", "whole_runs", "where"}
    texts = [name for name in TEXTS if name.split(".")[0] in groups]
    assert [name for name in texts if f'"{name}"' not in source] == []


def test_values_are_said_in_the_language_of_the_text():
    assert say("root_pool.setting", values=[1, 2]).zh.endswith("：1、2。")
    assert say("root_pool.setting", values=[1, 2]).en.endswith(": 1, 2.")
    assert say("whole_runs.rank", sets=[["a", "b"], ["c"]]).zh.endswith("：a、b；c。")
    assert say("schedule_equal.steps", same=True).zh.endswith("：是。")
    assert say("own_pipeline.again", verdict=Verdict.ROUNDING).zh.startswith(
        "ROOT 的管线与自身比较（相同种子）：“仅舍入误差”（rounding）。"
    )
    with pytest.raises(KeyError, match="values"):
        say("root_pool.setting")


def fact(role, holds=True):
    return Fact(role, holds, "", "")


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ([fact(Role.CLAIM)], Standing.CONFIRMED),
        ([fact(Role.CLAIM), fact(Role.LIMIT, False), fact(Role.NOTE)], Standing.CONFIRMED),
        ([fact(Role.CLAIM), fact(Role.LIMIT)], Standing.REFINED),
        ([fact(Role.CLAIM), fact(Role.CLAIM, False), fact(Role.LIMIT)], Standing.REFUTED),
        ([fact(Role.UNMEASURED, False)], Standing.UNMEASURED),
        ([fact(Role.UNMEASURED, False), fact(Role.CLAIM)], Standing.UNMEASURED),
    ],
)
def test_a_standing_follows_from_the_facts(facts, expected):
    assert standing(facts) is expected


@pytest.mark.parametrize("facts", [[], [fact(Role.NOTE)], [fact(Role.LIMIT)]])
def test_facts_that_decide_nothing_are_an_error(facts):
    with pytest.raises(ValueError, match="none that decides"):
        standing(facts)


def test_a_claim_that_stops_being_true_is_refuted_and_changes_the_exit_code(measure, monkeypatch):
    fresh = Measurements(measure.context)
    monkeypatch.setattr(fresh, "config", lambda path: {"TFBind8-Exact-v0": 32})
    document = check_claims(fresh, only=["3.6"])
    assert document["claims"][0]["standing"] == "refuted"
    assert exit_code(document) == 1


def test_evidence_that_raises_leaves_the_other_claims_and_exits_2(measure, monkeypatch):
    def broken(measure):
        raise RuntimeError("no such thing")

    monkeypatch.setitem(EVIDENCE, "val_frac", broken)
    document = check_claims(measure, only=["3.2", "3.6"])
    assert [(c["standing"], c["error"]) for c in document["claims"]] == [
        (None, "RuntimeError: no such thing"),
        ("confirmed", None),
    ]
    assert exit_code(document) == 2


def test_progress_is_told_claim_by_claim(measure):
    told = []
    check_claims(measure, only=["3.2", "1.3"], tell=told.append)
    assert told == ["1.3", "3.2"]


def test_an_unknown_claim_is_named(measure):
    with pytest.raises(ValueError, match=r"claim '11\.1' does not exist; allowed are 1\.1, "):
        check_claims(measure, only=["11.1"])


SECTIONS = '[sections]\n1 = { zh = "一", en = "one" }\n'
CLAIM = (
    '[[claim]]\nid = "1.1"\nzh = "论断"\nen = "claim"\nkind = "count"\nevidence = "root_pool"\nexpected = "confirmed"\n'
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "is not valid TOML"),
        (SECTIONS + CLAIM.replace('"root_pool"', '"hearsay"'), "claim 1.1: evidence is 'hearsay', allowed are "),
        (SECTIONS + CLAIM.replace('"count"', '"guess"'), "claim 1.1: kind is 'guess', allowed are "),
        (SECTIONS + CLAIM.replace('"confirmed"', '"true"'), "claim 1.1: expected is 'true', allowed are confirmed, "),
        (SECTIONS + CLAIM.replace("1.1", "2.1"), "claim 2.1: id is '2', allowed are 1"),
        (SECTIONS + CLAIM.replace("zh =", "fr ="), "claim 1.1: got an unexpected keyword argument 'fr'"),
        (SECTIONS + CLAIM + CLAIM, "claim 1.1 is listed twice"),
        (SECTIONS + CLAIM, "unlisted are .*, the ledger's without a section "),
    ],
)
def test_claims_that_contradict_themselves_are_refused(tmp_path, text, message):
    path = tmp_path / "claims.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ClaimsError, match=message):
        load(path)


def test_every_verdict_and_standing_has_words_in_both_languages():
    assert set(names("verdict")) == set(Verdict)
    assert set(names("standing")) == set(Standing)
