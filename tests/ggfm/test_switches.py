"""Profiles and switches: named, independent, each read at one place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import ggfm
from ggfm.switches import Switches, profile

SOURCES = [p for p in Path(ggfm.__file__).parent.glob("*.py") if p.name != "switches.py"]


def test_profiles() -> None:
    assert profile("aligned").on == ()
    assert set(Switches.names()) - set(profile("described").on) == {"target"}


@pytest.mark.parametrize("name", Switches.names())
def test_each_switch_turns_alone_and_back(name: str) -> None:
    turned = Switches.aligned().toggled(name)
    assert turned.on == (name,)
    assert turned.toggled(name) == Switches.aligned()
    assert Switches.aligned().having({name: True}) == turned


@pytest.mark.parametrize("name", Switches.names())
def test_each_switch_is_read_at_one_place(name: str) -> None:
    uses = sum(len(re.findall(rf"switches\.{name}\b(?! import)", source.read_text())) for source in SOURCES)
    assert uses == 1


def test_names_say_what_is_on() -> None:
    assert str(Switches.aligned()) == "aligned"
    assert str(Switches.aligned().toggled("ema", "pool")) == "aligned+pool+ema"
    assert str(Switches.described()) == "described"
    assert str(Switches.described().toggled("ema", "target")) == "described-ema+target"


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="profile: got 'root', allowed are aligned, described"):
        profile("root")
    with pytest.raises(ValueError, match="switch: got 'pools', allowed are pool, trajectory"):
        Switches.aligned().toggled("pools")
    with pytest.raises(ValueError, match="switch: got 'x', 'y'"):
        Switches.aligned().having({"x": True, "y": False})
