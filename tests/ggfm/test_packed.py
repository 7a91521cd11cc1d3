"""Packed layers agree with plain ones to rounding, and rounding is no worse."""

from __future__ import annotations

import copy

import torch

from ggfm.network import Denoiser, draw_initial_weights
from ggfm.packed import pack
from ggfm.switches import Switches


def _network(hidden: int) -> torch.nn.Sequential:
    denoiser = Denoiser(5, hidden)
    draw_initial_weights(denoiser, Switches.aligned().toggled("init"))
    return denoiser.main


@torch.no_grad()
def test_packed_layers_round_no_worse() -> None:
    network, x = _network(600), torch.randn(40, 8)
    exact = copy.deepcopy(network).double()(x.double())
    plain, packed = (float((f(x) - exact).abs().max()) for f in (network, pack(network)))
    assert packed <= 2 * plain
    assert packed < 1e-5


@torch.no_grad()
def test_narrow_and_double_precision_networks_stay_as_they_are() -> None:
    x = torch.randn(7, 8)
    narrow = _network(16)
    assert torch.equal(pack(narrow)(x), narrow(x))
    double = _network(300).double()
    assert torch.equal(pack(double)(x.double()), double(x.double()))


@torch.no_grad()
def test_later_weights_need_packing_anew() -> None:
    network, x = _network(300), torch.randn(3, 8)
    packed = pack(network)
    before = packed(x)
    network[2].weight.mul_(2.0)  # type: ignore[operator]
    assert torch.equal(packed(x), before)
    assert not torch.equal(pack(network)(x), before)
