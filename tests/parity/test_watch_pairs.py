"""Each planted difference of two scripts is found, with its class and both lines, none besides."""

import pytest

from parity.watch.pair import compare_scripts
from parity.watch.script import Script, Watched
from tests.parity.watched_pairs import HARMLESS, HEAD, PLANTED, SCRIPTS, SEVERAL
from tests.parity.watching import differences, written

pytestmark = pytest.mark.filterwarnings("ignore")


def text(place):
    return place.text if place is not None else ""


def listed(found):
    return [(d.kind, d.what, text(d.reference), text(d.candidate)) for d in found if d.counts]


def holds(planted, found):
    kind, what, reference, candidate = found
    lines = planted.reference in reference and planted.candidate in candidate
    return kind == planted.kind and planted.says in what and lines


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_difference_is_found_and_nothing_besides(name, tmp_path):
    planted = PLANTED[name]
    found = listed(differences(tmp_path, *planted.texts))
    assert len(found) == 1, found
    assert holds(planted, found[0]), found


@pytest.mark.parametrize("name", HARMLESS)
def test_a_harmless_rewriting_gives_none(name, tmp_path):
    assert listed(differences(tmp_path, *HARMLESS[name].texts)) == []


@pytest.mark.parametrize("names", SEVERAL, ids=" and ".join)
def test_several_differences_are_each_found(names, tmp_path):
    planted = [PLANTED[name] for name in names]
    before = after = HEAD + SCRIPTS[planted[0].script]
    for each in planted:
        for old, new in each.changes.items():
            after = after.replace(old, new)
    found = listed(differences(tmp_path, before, after))
    assert len(found) == len(planted), found
    for each in planted:
        assert any(holds(each, one) for one in found), (each, found)


def test_processes_of_their_own_find_the_same(tmp_path):
    before, after = PLANTED["temperature"].texts
    scripts = [Script.of([str(written(tmp_path, name, of))]) for name, of in (("a", before), ("b", after))]
    pair = compare_scripts(*scripts, tmp_path / "out", Watched(store=0.1))
    (found,) = pair.differences
    assert holds(PLANTED["temperature"], listed([found])[0])
    assert found.operations == ["div(0.5)", "div(0.1)"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["candidate", "led", "reference"]
