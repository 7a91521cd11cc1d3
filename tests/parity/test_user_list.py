"""The checked list: claims as data, standings from facts, what each claim is known to come out as."""

import json
import re
from pathlib import Path

import pytest

from parity.component import Context
from parity.root_ggfm.claims.bench import Bench
from parity.root_ggfm.claims.check import check_list, exit_code
from parity.root_ggfm.claims.claims import ClaimsError, load
from parity.root_ggfm.claims.evidence import EVIDENCE
from parity.root_ggfm.claims.facts import Standing, claims, limits, notes, standing, unmeasured
from parity.root_ggfm.claims.words import LABELS, STANDINGS, VERDICTS_ZH
from parity.root_ggfm.tasks.catalogue import load_task
from parity.verdict import Verdict

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def bench():
    task, _ = load_task("Synthetic8-v0")
    return Bench(Context(task), options=" --task Synthetic8-v0")


def test_every_claim_and_every_difference_left_out_comes_out_as_known(bench):
    document = check_list(bench)
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


def test_chinese_is_chinese_and_english_is_not():
    for claim in load().claims:
        assert not re.search(r"[\u4e00-\u9fff]", claim.en)
        assert claim.zh != claim.en


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ([claims(True, "", "")], Standing.CONFIRMED),
        ([claims(True, "", ""), limits(False, "", ""), notes("", "")], Standing.CONFIRMED),
        ([claims(True, "", ""), limits(True, "", "")], Standing.REFINED),
        ([claims(True, "", ""), claims(False, "", ""), limits(True, "", "")], Standing.REFUTED),
        ([unmeasured("", "")], Standing.UNMEASURED),
        ([unmeasured("", ""), claims(True, "", "")], Standing.UNMEASURED),
    ],
)
def test_a_standing_follows_from_the_facts(facts, expected):
    assert standing(facts) is expected


@pytest.mark.parametrize("facts", [[], [notes("", "")], [limits(True, "", "")]])
def test_facts_that_decide_nothing_are_an_error(facts):
    with pytest.raises(ValueError, match="none that decides"):
        standing(facts)


def test_a_claim_that_stops_being_true_is_refuted_and_changes_the_exit_code(bench, monkeypatch):
    fresh = Bench(bench.context)
    monkeypatch.setattr(fresh, "config", lambda path: {"TFBind8-Exact-v0": 32})
    document = check_list(fresh, only=["3.6"])
    assert document["claims"][0]["standing"] == "refuted"
    assert exit_code(document) == 1


def test_evidence_that_raises_leaves_the_other_claims_and_exits_2(bench, monkeypatch):
    def broken(bench):
        raise RuntimeError("no such thing")

    monkeypatch.setitem(EVIDENCE, "val_frac", broken)
    document = check_list(bench, only=["3.2", "3.6"])
    assert [(c["standing"], c["error"]) for c in document["claims"]] == [
        (None, "RuntimeError: no such thing"),
        ("confirmed", None),
    ]
    assert exit_code(document) == 2


def test_progress_is_told_claim_by_claim(bench):
    told = []
    check_list(bench, only=["3.2", "1.3"], tell=told.append)
    assert told == ["1.3", "3.2"]


def test_an_unknown_claim_is_named(bench):
    with pytest.raises(ValueError, match=r"claim '11\.1' does not exist; allowed are 1\.1, "):
        check_list(bench, only=["11.1"])


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
    assert set(VERDICTS_ZH) == set(Verdict)
    assert all(set(words) == set(Standing) for words in STANDINGS.values())
    assert LABELS["en"].keys() == LABELS["zh"].keys()
