"""Two moving averages of weights: PyTorch's, and one written by hand."""

import torch
from hypothesis.strategies import fixed_dictionaries, floats, integers

from parity import Component, gaussian

AVERAGE = Component(
    name="average", title="Moving average of weights", formula="a = d a + (1 - d) w, from the first weights on",
    examples=[{"decay": 0.9, "n": 3, "seed": 0}],
    strategy=lambda: fixed_dictionaries({"decay": floats(0, 1), "n": integers(1, 9), "seed": integers(0, 99)}),
    build=lambda p, _: {"decay": p["decay"], "weights": gaussian(torch.Generator().manual_seed(p["seed"]), p["n"], 4)},
)  # fmt: skip


class Torch:
    def average(self, decay, weights):
        average = [weights[0].clone()]
        for w in weights[1:]:
            torch.optim.swa_utils.get_ema_multi_avg_fn(decay)(average, [w], None)
        return {"average": average[0]}


class Mine:
    def average(self, decay, weights):
        average = weights[0].clone()
        for w in weights[1:]:
            average = decay * average + (1 - decay) * w
        return {"average": average}
