"""The checked list rendered: in both languages, complete, self-contained; and the `parity list` command."""

import copy
import html
import json
import re
import sys
from pathlib import Path

import pytest

from parity.cli.main import main
from parity.report.write import ReportUnavailable
from parity.root_ggfm.claims.evidence import EVIDENCE
from parity.root_ggfm.claims.i18n import LANGUAGES
from parity.root_ggfm.claims.measurements import Measurements
from parity.root_ggfm.claims.render import markdown, page, view, write_claims

DOCS = Path(__file__).parents[2] / "docs"
DOCUMENT = json.loads((DOCS / "list.json").read_text())


@pytest.mark.parametrize(("language", "name"), [("en", "list.md"), ("zh", "list.zh.md")])
def test_the_pages_in_docs_are_current(language, name):
    assert (DOCS / name).read_text() == markdown(DOCUMENT, language)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("list")
    paths = write_claims(DOCUMENT, folder)
    return {path.name: path.read_text() for path in paths}


def test_all_files_are_written(pages):
    assert sorted(pages) == ["list.en.html", "list.en.md", "list.json", "list.zh.html", "list.zh.md"]
    assert json.loads(pages["list.json"]) == DOCUMENT


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_holds_every_sentence_and_command_and_needs_no_network(pages, language):
    shown_page = pages[f"list.{language}.html"]
    text = html.unescape(re.sub(r"</?code>", "`", shown_page))
    shown = view(DOCUMENT, language)
    for claim in (claim for section in shown["sections"] for claim in section["claims"]):
        for expected in [claim["text"], *(fact["text"] for fact in claim["facts"]), *claim["commands"]]:
            assert expected in text
            assert expected in pages[f"list.{language}.md"]
    for item in shown["unlisted"]:
        for expected in [item["root"], item["cause"], *item["facts"], *item["commands"]]:
            assert expected in text
    assert not re.search(r"(src|href)=\"(https?:)?//", shown_page)
    assert "<script" not in shown_page


def test_the_chinese_page_has_no_english_sentence_and_the_english_one_only_quotes_chinese(pages):
    shown = view(DOCUMENT, "zh")
    claims = [claim for section in shown["sections"] for claim in section["claims"]]
    for sentence in [fact["text"] for claim in claims for fact in claim["facts"]]:
        assert re.search(r"[\u4e00-\u9fff]", sentence)
        assert not re.search(r"[a-z]+ (is|are|the|of|with) [a-z]+", sentence)
    english = view(DOCUMENT, "en")
    for section in english["sections"]:
        for claim in section["claims"]:
            assert not any(re.search(r"[\u4e00-\u9fff]", fact["text"]) for fact in claim["facts"])


def test_a_changed_standing_and_a_failure_are_shown_on_the_page():
    document = copy.deepcopy(DOCUMENT)
    document["claims"][0] |= {"standing": "refuted"}
    document["claims"][1] |= {"standing": None, "facts": [], "error": "RuntimeError: <no>"}
    english = page(document, "en")
    assert "The standing is not the expected one (confirmed)." in english
    assert "Could not be measured: RuntimeError: &lt;no&gt;" in english
    assert "1 failed" in english
    assert "结论与预期（证实）不同。" in markdown(document, "zh")


def test_without_the_extra_all_but_the_pages_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(
        ReportUnavailable, match=r"the pages need jinja2: .*; list\.json, list\.en\.md, list\.zh\.md are"
    ):
        write_claims(DOCUMENT, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["list.en.md", "list.json", "list.zh.md"]


def test_an_unknown_language_is_refused():
    with pytest.raises(ValueError, match="lang 'fr' is unknown; allowed are en, zh"):
        view(DOCUMENT, "fr")


SYNTHETIC = ["--task", "Synthetic8-v0"]


def test_the_command_prints_a_claim_with_its_evidence(capsys):
    assert main(["list", "--claim", "3.2", *SYNTHETIC]) == 0
    out = capsys.readouterr().out
    assert "3.2   refined       ROOT's val_frac is 0.2" in out
    assert "↳ A run passes `training.val_frac`, which is 0.1" in out
    assert "1 claim: 1 refined." in out


def test_the_command_speaks_chinese_and_writes_the_files(capsys, tmp_path):
    assert main(["list", "--claim", "3.2", "--lang", "zh", "--out", str(tmp_path / "out"), *SYNTHETIC]) == 0
    out = capsys.readouterr().out
    assert "3.2   需修正        val_frac=0.2" in out
    assert "共 1 条论断：需修正 1 条。" in out
    assert (tmp_path / "out" / "list.zh.html").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--claim", "0.1"], "claim '0.1' does not exist; allowed are 1.1"),
        (["--runs", "absent-folder"], "absent-folder is not a folder"),
        (["--task", "TFBind9"], "TFBind9"),
        (["--threads", "0"], "threads must be from 1 to 256, got 0"),
    ],
)
def test_a_wrong_option_exits_2_and_says_which(capsys, arguments, message):
    assert main(["list", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_changed_standing_exits_1(capsys, monkeypatch):
    monkeypatch.setattr(Measurements, "config", lambda self, path: {"TFBind8-Exact-v0": 0.2})
    assert main(["list", "--claim", "3.2", *SYNTHETIC]) == 1
    assert "The standing is not the expected one (refined)." in capsys.readouterr().err


def test_an_interrupt_writes_nothing_and_exits_130(capsys, monkeypatch, tmp_path):
    def stopped(measure):
        raise KeyboardInterrupt

    monkeypatch.setitem(EVIDENCE, "val_frac", stopped)
    assert main(["list", "--claim", "3.2", "--out", str(tmp_path / "out"), *SYNTHETIC]) == 130
    assert "stopped before every claim was checked" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
