"""What a report shows: the picture first, then the evidence of each component; on the page and in Markdown."""

import re
from html.parser import HTMLParser

import pytest

from parity.report.page import COLOURS, render
from parity.report.write import write_report
from parity.root_ggfm.report import SECTIONS, runs_section
from parity.verdict import Verdict
from tests.parity.fake_report import DISTRIBUTIONS, STAGES, document, explanation, plot, result, sources
from tests.parity.test_runs_comparison import ROOT


def disagreeing(**more):
    return result(profile="described", verdict="divergent", ok=False, explanation=explanation(), **more)


@pytest.fixture(scope="module")
def full():
    known = result("ema", "described", "divergent", known=["noise_eps"])
    lost = result(
        "training", "described", "error", ok=False, errors=[], used=[], finished=False, output="Segmentation fault",
        judgement=result()["judgement"] | {"reason": "the process died (signal 11)"},
    )  # fmt: skip
    entry = {"difference": "noise_eps", "reason": "the sides agree", "edit": "remove it", "reproduce": "parity check"}
    stale = result("pool", "described", stale=[entry])
    return render(
        document(
            result(), disagreeing(), known, stale, lost, stages=STAGES, distributions=DISTRIBUTIONS, sources=sources(),
            plots=[plot(), plot("described"), plot("described", kind="growth", panels=[], missing="it raised")],
            unfinished=["aligned training"],
        ),
        SECTIONS,
    )  # fmt: skip


class Tree(HTMLParser):
    """Checks that what is opened is closed, in order."""

    VOID = frozenset({"meta", "br", "path", "use", "rect", "line", "image"})

    def __init__(self):
        super().__init__()
        self.open, self.ids = [], []

    def handle_starttag(self, tag, attrs):
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_first_things_are_what_to_look_at_and_the_matrix(full):
    page = full.page
    parts = ("<h1", "2 unexpected differences, 1 stale entry", 'class="matrix"', "<h2 id=")
    places = [page.index(part) for part in parts]
    assert places == sorted(places)
    assert 'Look first at <a href="#described-predict_x0">' in page
    assert "Look first at predict_x0 (described)" in full.markdown


def test_the_page_is_whole_and_loads_nothing(full):
    tree = Tree()
    tree.feed(full.page)
    assert tree.open == []
    ids = [name for name in tree.ids if not re.fullmatch("[mpC].*", name)]  # matplotlib names by content
    assert len(ids) == len(set(ids))
    targets = set(re.findall('<a [^>]*href="#([^"]+)"', full.page))
    assert targets <= set(tree.ids)
    for source in ("src=", "@import", "<link", "url(http"):
        assert source not in full.page


def test_each_cell_says_its_verdict_in_words(full):
    matrix = full.page[full.page.index('class="matrix"') : full.page.index("<aside>")]
    for text in ("identical", "divergent<small>unexpected", "divergent<small>noise_eps", "stale: noise_eps", "error"):
        assert text in matrix
    assert "| predict_x0 | identical | **divergent, unexpected** |" in full.markdown
    assert "| ema |  | divergent (noise_eps) |" in full.markdown


def test_a_disagreement_shows_all_of_its_evidence(full):
    start = full.page.index('id="described-predict_x0"')
    section = full.page[start : full.page.index('id="c-ema"')]
    for text in (
        "parts at <code>return x / (1 - m + 1e-8)</code>",  # the sentence
        "1.0e-03", "5.0e-04", "4.2e+03", "1.0e-07", "2.0e-03", "4.5e+12",  # absolute, relative, ulp, both precisions
        "objective = grad", "parity check --component predict_x0",  # the input and its line
        "the draws part at number 1".capitalize(), "reseed <code>7</code>", "≠ reference only", "3 further events",
        "What is seen.", "A picture cannot be drawn: it raised",
    ):  # fmt: skip
        assert text in section, text
    assert section.startswith('id="described-predict_x0" style="--v: #b93d28" open')


def test_both_sources_stand_side_by_side_with_the_lines_marked(full):
    listing = full.page[full.page.index('<div class="sides">') :]
    marked = re.findall(r'<span class="mark"><b>▶ (\d+)</b>(.*?)</span><span class="why">↑ (.*?)</span>', listing)[:3]
    assert [(number, why) for number, _, why in marked] == [
        ("31", "aten.div.Tensor parts here"),
        ("11", "look at the &lt;guard&gt;"),
        ("12", "aten.div.Tensor parts here"),
    ]
    assert '<span class="idle"><b>10</b>def predict(x, m):</span>' in listing  # it did not run; the margin is cut
    assert ">   12      return x / (1 - m + 1e-8)    # <-- aten.div.Tensor parts here" in full.markdown


def test_lines_of_code_that_was_not_followed_come_from_the_explanation():
    page = render(document(disagreeing()), SECTIONS).page
    assert '<span class="mark"><b>▶ 31</b>return x / (1 - m)</span>' in page


def test_functions_that_few_components_run_come_first():
    common = {"key": "r", "ran": []}
    table = sources()
    table["functions"]["u"] = table["functions"]["r"] | {"function": "unique", "line": 90}
    table["executed"] = [
        {
            "component": "predict_x0",
            "profile": "aligned",
            "reference": [common, common | {"key": "u"}],
            "candidate": [],
        },
        {"component": "ema", "profile": "aligned", "reference": [common], "candidate": []},
    ]
    page = render(document(result(), result("ema"), sources=table), SECTIONS).page
    assert page.index("Reference: unique") < page.index("Reference: x0")


def test_what_died_shows_its_last_words_and_no_line_that_would_explain_it(full):
    section = full.page[full.page.index('id="described-training"') :]
    assert "The process died (signal 11)" in section
    assert "Segmentation fault" in section
    assert "parity explain --component training" not in full.page


def test_a_disagreement_without_explanation_names_the_command_that_makes_it():
    page = render(document(result(verdict="divergent", known=["noise_eps"])), SECTIONS).page
    assert "<code>parity explain --component predict_x0" in page


def test_stages_and_distributions_are_shown_where_they_were_made(full):
    for text in ("▶ causes", "forced pool", "own pairs", "uniform over permutations", "✓ agrees", "all 1 tests pass"):
        assert text in full.page
    assert "| described | pool | divergent | divergent | **causes** | forced pool |" in full.markdown
    assert "Stages of a whole run" not in render(document(result()), SECTIONS).page


def test_what_an_interrupted_run_did_not_judge_is_named(full):
    assert "not judged were aligned training" in full.page
    assert "not judged were aligned training" in full.markdown


def test_nothing_unexpected_is_said_only_where_something_was_compared():
    assert "Nothing unexpected." in render(document(result()), SECTIONS).page
    assert "Nothing was compared." in render(document(), SECTIONS).page


def test_text_of_results_cannot_break_the_page_or_a_table():
    odd = result(judgement=result()["judgement"] | {"reason": "<script>alert(1)</script>"})
    whole = document(odd, stages=[STAGES[0] | {"reason_forced": "a|b"}])
    rendered = render(whole, SECTIONS)
    assert "<script>alert" not in rendered.page
    assert "a\\|b |" in rendered.markdown


def test_every_verdict_has_a_colour_that_white_text_can_be_read_on():
    def luminance(colour):
        parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    assert set(Verdict) <= set(COLOURS)
    assert all(1.05 / (luminance(colour) + 0.05) >= 4.5 for colour in COLOURS.values())


def test_wide_content_scrolls_in_its_box(full):
    assert full.page.count("<table") == len(re.findall('<div class="wide"><table', full.page))
    assert "@media print" in full.page


def test_the_files_are_written_and_markdown_shows_pictures_that_exist(tmp_path):
    whole = document(disagreeing(), plots=[plot("described")], runs=runs_section(ROOT))
    page = write_report(whole, tmp_path, SECTIONS)
    markdown = (tmp_path / "report.md").read_text()
    shown = re.findall(r"!\[[^]]*\]\(([^)]+)\)", markdown)
    assert len(shown) > 2
    assert all((tmp_path / name).read_text().startswith("<svg") for name in shown)
    assert {path.name for path in tmp_path.iterdir()} == {"index.html", "report.json", "report.md", *shown}
    assert page == tmp_path / "index.html"


def test_the_same_document_gives_the_same_files():
    assert render(document(disagreeing(), plots=[plot()]), SECTIONS) == render(
        document(disagreeing(), plots=[plot()]), SECTIONS
    )
