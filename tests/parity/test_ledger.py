"""The ledger is strict: what is unknown, listed twice, missing or contradicting fails with a message that helps."""

import pytest

from parity.ledger import LedgerError, load, reaching
from parity.root_ggfm.components import REGISTRY
from parity.root_ggfm.study import STUDY

ENTRY = """
[[difference]]
name = "{name}"
section = "1"
component = "{component}"
verdict = "{verdict}"
reference = "a"
candidate = "b"
cause = "c"
{more}
"""


def write(tmp_path, *entries):
    path = tmp_path / "ledger.toml"
    text = ""
    for entry in entries:
        text += ENTRY.format(**({"name": "one", "component": "pool", "verdict": "divergent", "more": ""} | entry))
    path.write_text(text)
    return path


def test_the_projects_ledger_is_valid_and_names_every_switch():
    entries = load(STUDY.ledger, components=REGISTRY, switches=STUDY.implementations["ggfm"].switches(None))
    assert {name for name, entry in entries.items() if entry.active} == set(
        STUDY.implementations["ggfm"].switches("described")
    )
    assert [entry.name for entry in reaching(entries, "predict_x0")] == ["noise_eps"]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([{}, {}], "'one' is listed twice"),
        ([{"component": "poll"}], r"names component \['poll'\], which does not exist"),
        ([{"more": 'also = ["pool"]'}], r"names component \['pool'\] twice; keep it once"),
        ([{"verdict": "wrong"}], "verdict 'wrong' is not one of"),
        ([{"verdict": "identical"}], "verdict 'identical' is not one of"),
        ([{"more": "colour = 1"}], r"unknown field \['colour'\]"),
        (
            [
                {"more": "[difference.example]\nrows = 3"},
                {"name": "two", "verdict": "error", "more": "[difference.example]\nrows = 3"},
            ],
            "'one' and 'two' pin the same input of pool to divergent and error",
        ),
    ],
)
def test_a_wrong_entry_is_refused(tmp_path, entries, message):
    with pytest.raises(LedgerError, match=message):
        load(write(tmp_path, *entries), components=REGISTRY)


def test_a_missing_field_is_refused(tmp_path):
    path = tmp_path / "ledger.toml"
    path.write_text('[[difference]]\nname = "one"\n')
    with pytest.raises(LedgerError, match="is missing"):
        load(path)


def test_entries_and_switches_must_match(tmp_path):
    path = write(tmp_path, {})
    with pytest.raises(LedgerError, match=r"\['one'\] is no switch"):
        load(path, switches=["two", "one_"])
    with pytest.raises(LedgerError, match=r"switch \['two'\] has no entry"):
        load(path, switches=["one", "two"])


def test_a_file_that_is_no_toml_is_refused(tmp_path):
    path = tmp_path / "ledger.toml"
    path.write_text("[[difference")
    with pytest.raises(LedgerError, match=r"ledger\.toml is not valid TOML"):
        load(path)
