"""Sequences of draws side by side: what belongs together, where they part, what is left out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parity.diagnosis.rng_compare import align
from parity.diagnosis.rng_trace import DrawEvent


def sequence(text):
    """Events from words: `normal:a` a draw with its digest, `seed:a` a reseeding."""
    events = []
    for index, word in enumerate(text.split()):
        kind, digest = word.split(":")
        what = "reseed" if kind.endswith("seed") else "draw"
        shape = () if what == "reseed" else (3,)
        generator = "numpy" if kind.startswith("numpy") else "an own torch" if kind.startswith("own") else "torch"
        events.append(DrawEvent(index, what, kind, kind, shape, "float32", generator, digest, None, None))
    return events


def marks(reference, candidate):
    return [row.mark for row in align(sequence(reference), sequence(candidate)).rows]


@pytest.mark.parametrize(
    ("reference", "candidate", "expected", "parted_at"),
    [
        ("", "", [], None),
        ("normal:a uniform:b", "normal:a uniform:b", ["same", "same"], None),
        ("normal:a uniform:b", "normal:a uniform:c", ["same", "value"], 1),
        ("seed:s normal:a", "normal:b", ["reference only", "value"], 0),
        ("seed:s normal:a", "seed:t normal:b", ["value", "value"], 0),
        ("seed:s normal:a", "seed:t seed:s normal:a", ["candidate only", "same", "same"], None),
        ("normal:a seed:s", "normal:a", ["same", "reference only"], None),
        ("normal:a", "normal:a uniform:b", ["same", "candidate only"], 1),
        ("normal:a uniform:b", "uniform:b normal:a", ["reference only", "same", "candidate only"], 0),
        ("normal:a seed:s", "uniform:b seed:s", ["other", "same"], 0),
        ("normal:a", "seed:s", ["reference only", "candidate only"], 0),
        ("numpyseed:n seed:s normal:a", "seed:s numpyseed:n normal:b", ["same", "value"], 2),
        ("seed:s numpy:n normal:a", "numpy:n seed:s normal:b", ["same", "value"], 2),
        ("numpyseed:s normal:a", "normal:a", ["reference only", "same"], None),
        ("normal:a", "", ["reference only"], 0),
    ],
)
def test_marks_and_the_parting(reference, candidate, expected, parted_at):
    alignment = align(sequence(reference), sequence(candidate))
    assert marks(reference, candidate) == expected
    assert alignment.parted_at == parted_at
    assert (alignment.diverges is None) == (parted_at is None)


def test_a_draw_more_at_the_front_leaves_the_others_paired():
    assert marks("normal:a uniform:b normal:c", "uniform:x normal:a uniform:b normal:c") == [
        "candidate only", "same", "same", "same",
    ]  # fmt: skip


def test_long_sequences_are_shown_around_the_parting():
    start = " ".join(f"normal:{k}" for k in range(1000))
    alignment = align(sequence(f"{start} uniform:a {start}"), sequence(f"{start} {start}"))
    assert alignment.parted_at == 1000
    assert alignment.diverges.mark == "reference only"
    shown = len(alignment.rows)
    assert shown < 60
    assert alignment.omitted + shown == 2001


def test_long_equal_sequences_are_cut_with_a_count():
    events = sequence(" ".join(f"normal:{k}" for k in range(2000)))
    alignment = align(events, events)
    assert alignment.parted_at is None
    assert len(alignment.rows) + alignment.omitted == 2000


def test_a_generator_that_is_left_in_another_state_parts():
    reference, candidate = sequence("normal:a seed:s"), sequence("normal:a")
    alignment = align(reference, candidate, left_apart=["torch"])
    assert alignment.diverges == alignment.rows[1]
    assert alignment.parted_at == 1


def test_two_generators_that_part_are_shown_together_from_the_first_on():
    reference, candidate = sequence("normal:a numpy:b normal:c"), sequence("normal:x numpy:y")
    alignment = align(reference, candidate)
    assert [row.mark for row in alignment.rows] == ["value", "value", "reference only"]
    assert alignment.parted_at == 0


WORDS = st.lists(st.sampled_from(["normal:a", "normal:b", "uniform:a", "seed:a", "seed:b"]), max_size=6)


@given(WORDS, WORDS)
def test_every_event_of_short_sequences_stands_in_exactly_one_row_in_order(left, right):
    reference, candidate = sequence(" ".join(left)), sequence(" ".join(right))
    alignment = align(reference, candidate)
    assert [row.reference for row in alignment.rows if row.reference] == reference
    assert [row.candidate for row in alignment.rows if row.candidate] == candidate
    assert alignment.omitted == 0
    drawn = [[event.digest + event.kind for event in side if event.what == "draw"] for side in (reference, candidate)]
    assert (alignment.diverges is None) == (drawn[0] == drawn[1])
    assert alignment.diverges is None or alignment.diverges.mark != "same"


@pytest.mark.parametrize(
    ("reference", "candidate", "aside", "parted_at"),
    [
        ("own:a own:b normal:c", "own:a normal:c", True, 1),
        ("own:a own:b normal:c", "own:a normal:d", False, 2),
        ("own:a normal:c", "own:b normal:c", False, 0),
        ("normal:a normal:b", "normal:a", False, 1),
    ],
)
def test_a_draw_more_from_a_generator_of_its_own_comes_last_among_the_partings(reference, candidate, aside, parted_at):
    found = align(sequence(reference), sequence(candidate))
    assert (found.aside, found.parted_at) == (aside, parted_at)
