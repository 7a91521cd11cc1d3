"""Steps, rates and averages, each switch against its absence."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from ggfm.ema import MovingAverage, averages_weights
from ggfm.optimisation import Updater, make_optimiser
from ggfm.switches import Switches

ALIGNED = Switches.aligned()
ADAM: dict[str, Any] = {"optimizer": "Adam", "lr": 0.1, "beta1": 0.5, "weight_decay": 0.1}
PLATEAU = {"factor": 0.5, "patience": 0, "threshold": 1e-4, "cooldown": 0, "min_lr": 1e-6}


def _run(*on: str, optimizer: dict[str, Any] = ADAM, accumulate: int = 2, steps: int = 4) -> tuple[list[float], float]:
    weight = nn.Parameter(torch.tensor([1.0, -2.0]))
    updater = Updater({"weight": weight}, optimizer, PLATEAU, accumulate, ALIGNED.toggled(*on))
    weights = []
    for step in range(1, steps + 1):
        (weight * torch.tensor([30.0, 4.0 * step])).sum().backward()
        updater.after_batch(step, 1.0)
        weights.append(float(weight[1].detach()))
    return weights, updater.lr


def test_accumulation() -> None:
    weights, _ = _run()
    assert weights[0] == -2.0
    assert weights[1] == weights[2] != weights[3]
    assert len(set(_run("accumulation")[0])) == 4


def test_scheduler() -> None:
    assert _run()[1] == 0.05
    assert _run("scheduler")[1] == 0.1


def test_optimiser_switch_keeps_the_rate_only() -> None:
    section = {"optimizer": "SGD", "lr": 0.1}
    assert _run("optimiser", optimizer=section) != _run(optimizer=section)
    assert _run("optimiser") != _run()
    assert _run("optimiser") == _run(optimizer=ADAM | {"beta1": 0.9, "weight_decay": 0.0})


def test_grad_clip() -> None:
    sgd = {"optimizer": "SGD", "lr": 0.1}
    free, clipped = (_run(*on, optimizer=sgd, accumulate=1, steps=1)[0][0] + 2.0 for on in [(), ("grad_clip",)])
    assert free == pytest.approx(-0.4, rel=1e-5)
    assert clipped == pytest.approx(-0.4 * 5 / (30**2 + 4**2) ** 0.5, rel=1e-4)


def test_unknown_optimiser_and_accumulation_are_refused() -> None:
    with pytest.raises(ValueError, match="optimizer: got 'LBFGS', allowed are 'Adam', 'RMSProp', 'SGD'"):
        _run(optimizer=ADAM | {"optimizer": "LBFGS"})
    with pytest.raises(ValueError, match="accumulate_grad_batches: got 0"):
        _run(accumulate=0)


def test_the_average_decays_and_is_put_back() -> None:
    model = nn.Linear(1, 1, bias=False)
    average = MovingAverage(0.75)
    with torch.no_grad():
        model.weight.fill_(1.0)
        average.register(model)
        model.weight.fill_(2.0)
        average.update(model)
        assert float(average.shadow["weight"]) == 1.25
        average.apply_shadow(model)
        assert float(model.weight) == 1.25
        average.restore(model)
        assert float(model.weight) == 2.0
        average.update(model, with_decay=False)
        assert float(average.shadow["weight"]) == 2.0


def test_restoring_nothing_and_bad_decays_are_refused() -> None:
    with pytest.raises(ValueError, match="apply_shadow comes first"):
        MovingAverage(0.5).restore(nn.Linear(1, 1))
    with pytest.raises(ValueError, match=r"ema_decay: expected 0 to 1, got 1\.5"):
        MovingAverage(1.5)


def test_the_ema_switch() -> None:
    assert averages_weights(True, ALIGNED)
    assert not averages_weights(False, ALIGNED)
    assert not averages_weights(True, ALIGNED.toggled("ema"))


def test_a_setting_that_the_configuration_lacks_is_named() -> None:
    weight = torch.nn.Parameter(torch.zeros(2))
    with pytest.raises(ValueError, match="beta1: the configuration lacks it, its section holds optimizer, lr"):
        make_optimiser({"optimizer": "Adam", "lr": 0.1}, [weight], Switches.aligned())
