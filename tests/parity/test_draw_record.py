"""Every draw and reseeding is recorded with its line; neither values nor consumption change; everything is put back."""

import random
import threading
from random import shuffle as shuffle_imported_before

import numpy as np
import pytest
import torch
from torch import manual_seed as manual_seed_imported_before
from torch.utils.data import DataLoader

from parity.diagnosis.rng_trace import RngTrace, recorded

MADE_BEFORE = np.random.default_rng(0)


def record(call):
    """The events of `call`, with the generators seeded with 0."""
    log = RngTrace()
    fresh(recorded(call, log))
    return log.events


def fresh(call):
    """What `call` returns from seeded generators, and the states that it leaves; the caller's are put back."""
    python, numpy, state = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        random.seed(0)
        np.random.seed(0)
        torch.manual_seed(0)
        result = call()
        return result, random.getstate(), repr(np.random.get_state()), torch.get_rng_state().tolist()
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(state)


def told(events):
    return [(event.what, event.operation, event.generator) for event in events]


def line_of(event):
    return event.site.file.rsplit("/", 1)[-1], event.site.text


def everything():
    torch.manual_seed(3)
    values = [torch.randn(3), torch.empty(2).exponential_(), torch.multinomial(torch.ones(4), 2)]
    own = torch.Generator().manual_seed(5)
    values += [torch.randperm(4, generator=own), torch.nn.functional.dropout(torch.ones(9))]
    np.random.seed(3)
    numpy = [np.random.permutation(5), np.random.rand(2), np.random.default_rng(7).normal(size=3)]
    numpy += [np.random.RandomState(8).randint(9, size=3), np.random.Generator(np.random.PCG64(1)).random(2)]
    cards = [1, 2, 3, 4]
    np.random.shuffle(cards)
    random.seed(4)
    random.shuffle(cards)
    python = [random.random(), random.choice(cards), random.Random(6).gauss(0, 1)]
    batches = [batch.tolist() for batch in DataLoader(range(6), batch_size=2, shuffle=True)]
    return {"all": [*(v.tolist() for v in (*values, *numpy)), *python, cards, batches]}


def test_recording_changes_neither_values_nor_consumption():
    plain, again = fresh(everything), fresh(recorded(everything, RngTrace()))
    assert plain == again


def test_torchs_draws_are_recorded_with_generator_and_line():
    def side():
        torch.manual_seed(7)
        torch.rand(2)
        own = torch.Generator()
        own.manual_seed(5)
        torch.empty(3).normal_(generator=own)
        return {}

    seeded, drawn, seeded_own, drawn_own = record(side)
    assert (seeded.what, seeded.seed, seeded.generator) == ("reseed", 7, "torch's global generator")
    assert (drawn.kind, drawn.shape, drawn.dtype, drawn.seed) == ("uniform", (2,), "float32", None)
    assert line_of(drawn) == ("test_draw_record.py", "torch.rand(2)")
    assert (seeded_own.seed, drawn_own.seed, drawn_own.generator) == (5, 5, "an own torch.Generator")
    assert line_of(drawn_own)[1] == "torch.empty(3).normal_(generator=own)"


def test_the_draws_of_numpy_and_python_are_recorded_with_their_seeds():
    def side():
        np.random.seed(3)
        np.random.permutation(5)
        np.random.default_rng(7).integers(9, size=2)
        np.random.RandomState(8).randn(2)
        random.seed(9)
        random.sample(range(10), 3)
        random.Random(6).random()
        return {}

    events = record(side)
    assert told(events) == [
        ("reseed", "numpy.random.seed", "NumPy's global generator"),
        ("draw", "numpy.random.permutation", "NumPy's global generator"),
        ("reseed", "numpy.random.default_rng", "an own numpy.random.Generator"),
        ("draw", "Generator.integers", "an own numpy.random.Generator"),
        ("reseed", "RandomState()", "an own numpy.random.RandomState"),
        ("draw", "RandomState.randn", "an own numpy.random.RandomState"),
        ("reseed", "random.seed", "Python's global generator"),
        ("draw", "random.sample", "Python's global generator"),
        ("draw", "Random.random", "an own random.Random"),
    ]
    assert [event.seed for event in events[:7]] == [3, None, 7, 7, 8, 8, 9]
    assert [event.kind for event in events if event.what == "draw"][:3] == ["permutation", "integer", "normal"]
    assert all(event.site is not None for event in events)


def test_a_loaders_own_generator_shows_with_its_seed():
    events = record(lambda: {"batches": list(DataLoader(range(6), batch_size=2, shuffle=True))})
    permutation = next(event for event in events if event.kind == "permutation")
    seed = next(event for event in events if event.what == "reseed")
    assert permutation.generator == "an own torch.Generator"
    assert permutation.seed == seed.seed is not None


def test_fork_rng_shows_as_a_state_that_is_put_back():
    def side():
        with torch.random.fork_rng():
            torch.rand(1)
        return {}

    assert [event.operation for event in record(side)] == ["torch rand", "torch.set_rng_state"]


def reseed_torch():
    manual_seed_imported_before(5)


def reseed_the_object():
    torch.default_generator.manual_seed(5)


def shuffle():
    shuffle_imported_before([1, 2, 3])


def draw_from_what_was_made_before():
    MADE_BEFORE.normal()


@pytest.mark.parametrize(
    ("escapes", "generator"),
    [
        (reseed_torch, "torch's global generator"),
        (reseed_the_object, "torch's global generator"),
        (shuffle, "Python's global generator"),
        (draw_from_what_was_made_before, "an own numpy.random.Generator"),
    ],
)
def test_what_cannot_be_caught_is_noticed_by_the_generators_state(escapes, generator):
    def side(then_draw):
        escapes()
        if then_draw:
            torch.rand(2)
        return {}

    before_a_draw, at_the_end = record(lambda: side(True)), record(lambda: side(False))
    assert told(before_a_draw)[0] == ("reseed", "state changed before this line", generator)
    assert line_of(before_a_draw[0])[1] == "torch.rand(2)"
    assert told(at_the_end) == [("reseed", "state changed before this line", generator)]


def test_operations_that_may_draw_and_do_not_are_no_draws():
    def side():
        torch.nn.functional.rrelu(-torch.ones(3), training=False)
        torch.nn.functional.scaled_dot_product_attention(*[torch.ones(1, 1, 4, 4)] * 3)
        torch.nn.functional.dropout(torch.ones(3), training=False)
        return {}

    assert record(side) == []


def test_everything_is_put_back_after_an_exception():
    places = (np.random, random, random.Random, torch.random)
    before = [dict(vars(place)) for place in places]
    generator = torch.Generator

    def fails():
        assert torch.Generator is not generator
        raise KeyError("the side fails")

    with pytest.raises(KeyError, match="the side fails"):
        recorded(fails, RngTrace())()
    assert [dict(vars(place)) for place in places] == before
    assert torch.Generator is generator


def test_what_the_code_replaces_itself_stays_replaced(monkeypatch):
    monkeypatch.setattr(random, "seed", random.seed)  # puts the real one back after the test

    def mine(seed):
        return seed

    def side():
        random.seed = mine
        return {}

    recorded(side, RngTrace())()
    assert random.seed is mine


def test_generators_keep_their_type_while_recorded():
    def side():
        made = np.random.default_rng(1)
        assert isinstance(MADE_BEFORE, np.random.Generator)
        assert isinstance(made, np.random.Generator)
        assert not isinstance(made, np.random.RandomState)
        assert type(made) is np.random.Generator
        assert np.random.default_rng(MADE_BEFORE) is MADE_BEFORE
        assert isinstance(torch.default_generator, torch.Generator)
        return {"repr": repr(made).split(" at ")[0]}

    assert recorded(side, RngTrace())() == {"repr": "Generator(PCG64)"}


def test_recordings_may_be_nested():
    inner, outer = RngTrace(), RngTrace()

    def side():
        np.random.rand(1)
        return recorded(lambda: {"x": (torch.rand(1), np.random.rand(2))}, inner)()

    fresh(recorded(side, outer))
    assert [event.shape for event in inner.events] == [(1,), (2,)]
    assert [event.shape for event in outer.events] == [(1,), (1,), (2,)]


def test_a_thread_hears_only_of_its_own_draws():
    log, started, drawn = RngTrace(), threading.Event(), threading.Event()

    def elsewhere():
        started.wait(30)
        random.Random(0).random()
        np.random.default_rng(0).random()
        drawn.set()

    def side():
        started.set()
        assert drawn.wait(30)
        np.random.default_rng(1).random(3)
        return {}

    thread = threading.Thread(target=elsewhere)
    thread.start()
    recorded(side, log)()
    thread.join()
    assert [event.shape for event in log.events if event.what == "draw"] == [(3,)]


def test_equal_values_have_equal_digests_and_others_do_not():
    def side():
        torch.manual_seed(1)
        torch.rand(4)
        torch.manual_seed(1)
        torch.empty(4).uniform_()
        torch.rand(4)
        return {}

    _, first, again, same, other = record(side)
    assert first.digest == same.digest != other.digest
    assert again.seed == 1
