"""Training scripts in the two layouts of the study: their components, their settings, what takes a bridge's place."""

import shutil

import pytest

from parity.root_ggfm.components import REGISTRY
from parity.root_ggfm.scripts import CALLS, judge_scripts, script_of
from parity.watch.pair import compare_scripts
from parity.watch.script import Script, Watched
from tests.parity.checkouts import write

MODEL = """
import torch
from torch import nn


class BrownianBridgeModel(nn.Module):
    def __init__(self, dim, hidden, steps):
        super().__init__()
        m_t = torch.linspace(0.001, 0.999, steps)
        self.register_buffer("m_t", m_t)
        self.register_buffer("variance_t", 2.0 * (m_t - m_t**2))
        self.steps = list(range(steps - 1, -1, -1))
        self.denoise_fn = Denoiser(dim, hidden)

    def forward(self, x_high, y_high, x_low, y_low):
        return self.p_losses(x_high, y_high, x_low, y_low, torch.randint(0, len(self.steps), (len(x_high),)))

    def p_losses(self, x_high, y_high, x_low, y_low, t, noise=None):
        x_t, objective = self.q_sample(x_high, x_low, t, torch.randn_like(x_high) if noise is None else noise)
        recon = self.denoise_fn(x_t, t, y_high, y_low)
        return (objective - recon).abs().mean(), {"x0_recon": self.predict_x0_from_objective(x_t, x_low, t, recon)}

    def q_sample(self, x_high, x_low, t, noise=None):
        m, sigma = self.m_t[t][:, None], self.variance_t[t].sqrt()[:, None]
        return (1 - m) * x_high + m * x_low + sigma * noise, m * (x_low - x_high) + sigma * noise{q}

    def predict_x0_from_objective(self, x_t, x_low, t, recon):
        return x_t - recon

    @torch.no_grad()
    def p_sample(self, x_t, x_low, y_low, y_high, i, clip_denoised=False, classifier_free_guidance_weight=0.0):
        t = torch.full((len(x_t),), self.steps[i])
        x0 = self.predict_x0_from_objective(x_t, x_low, t, self.denoise_fn(x_t, t, y_low, y_high))
        return x0 + 0.1 * torch.randn_like(x0), x0

    @torch.no_grad()
    def sample(self, x_low, y_low, y_high, clip_denoised=True, classifier_free_guidance_weight=0.0):
        x = x_low
        for i in range(len(self.steps)):
            x, _ = self.p_sample(x, x_low, y_low, y_high, i)
        return x


class Denoiser(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.main = nn.Sequential(nn.Linear(dim + 3, hidden), nn.SiLU(), nn.Linear(hidden, dim))

    def forward(self, x, t, y_a, y_b):
        return self.main(torch.cat([x, t.view(-1, 1).float(), y_a.view(-1, 1), y_b.view(-1, 1)], 1))
"""

PROCESS = """
import torch


class GP:
    def __init__(self, device, x_train, y_train, lengthscale, variance, noise, mean_prior):
        self.x, self.y, self.l = x_train, y_train, lengthscale

    def mean_posterior(self, x):
        return torch.exp(-((x[:, None] - self.x) ** 2).sum(-1) / (2 * self.l**2)) @ self.y


"""

PAIRS = """
import torch
from torch.utils.data import DataLoader


def sampling_data_from_GP(x_train, device, GP_Model, num_gradient_steps=50, num_points=10, learning_rate=0.001, seed=0):
    torch.manual_seed(seed)
    x = x_train[torch.randperm(len(x_train))[:num_points]]
    both = torch.cat([x, x]).requires_grad_(True)
    sign = torch.cat([-torch.ones(num_points, 1), torch.ones(num_points, 1)])
    for _ in range(num_gradient_steps):
        grad = torch.autograd.grad(GP_Model.mean_posterior(both).sum(), both)[0]
        both = (both + sign * learning_rate * grad).detach().requires_grad_(True)
    y, both = GP_Model.mean_posterior(both).detach(), both.detach()
    n = num_points
    return {"f0": [((both[n + k], y[n + k]), (both[k], y[k])) for k in range(n)]}


def create_train_dataloader(data_from_GP, val_frac=0.2, batch_size=32, shuffle=True):
    pairs = data_from_GP["f0"]
    held = int(len(pairs) * val_frac)
    return DataLoader(pairs[held:], batch_size=batch_size, shuffle=shuffle), pairs[:held]


def create_val_dataloader(val_dataset, batch_size=32, shuffle=False):
    return DataLoader(val_dataset, batch_size=batch_size, shuffle=shuffle)


def sampling_from_offline_data(x, y, n_candidates):
    order = torch.argsort(y)[-n_candidates:]
    return x[order], y[order]
"""

AVERAGE = """
class EMA:
    def __init__(self, decay):
        self.decay, self.shadow, self.kept = decay, {}, {}

    def register(self, model):
        self.shadow = {n: p.data.clone() for n, p in model.named_parameters()}

    def update(self, model, with_decay=True):
        d = self.decay if with_decay else 0.0
        self.shadow = {n: (1 - d) * p.data + d * self.shadow[n] for n, p in model.named_parameters()}

    def apply_shadow(self, model):
        self.kept = {n: p.data for n, p in model.named_parameters()}
        for n, p in model.named_parameters():
            p.data = self.shadow[n]

    def restore(self, model):
        for n, p in model.named_parameters():
            p.data = self.kept[n]
"""

RUN = """
    task = design_bench.make(NAME)
    np.random.seed(SEED)
    torch.manual_seed(SEED)
    x, y = task.x, task.y.reshape(-1)
    net = MAKE
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1)
    ema = EMA(0.9)
    ema.register(net)
    order = np.random.permutation(len(x))
    mean_x, std_x, mean_y, std_y = x.mean(0), x.std(0), y.mean(), y.std()
    std_x = np.where(std_x == 0, 1.0, std_x).astype(x.dtype)
    x = torch.from_numpy(((x - mean_x) / std_x)[order])
    y = torch.from_numpy(((y - mean_y) / std_y)[order])
    step, held_out = 0, []
    for epoch in range(EPOCHS):
        gp = GP(device="cpu", x_train=x, y_train=y, lengthscale=torch.tensor(1.0), variance=torch.tensor(1.0),
                noise=torch.tensor(0.01), mean_prior=torch.tensor(0.0))
        pairs = sampling_data_from_GP(x_train=x[torch.argsort(y)[-64:]], device="cpu", GP_Model=gp,
                                      num_gradient_steps=2, num_points=24, learning_rate=0.01, seed=epoch)
        loader, held = create_train_dataloader(pairs, 0.25, 8, True)
        held_out += held
        ZEROED
        for (x_high, y_high), (x_low, y_low) in loader:
            step += 1
            MASKED
            loss, _ = net(x_high, y_high, x_low, y_low)
            loss.backward()
            if step % 2 == 0:
                optimizer.step()
                optimizer.zero_grad()
                scheduler.step(loss)
            ema.update(net, with_decay=step >= 2)
        ema.apply_shadow(net)
        net.eval()
        with torch.no_grad():
            for (x_high, y_high), (x_low, y_low) in create_val_dataloader(held_out, 8):
                net(x_high, y_high, x_low, y_low)
        net.train()
        ema.restore(net)
    ema.apply_shadow(net)
    low, low_scores = CANDIDATES
    high = net.sample(low, low_scores, torch.full_like(low_scores, float((340.90985 - mean_y) / std_y) * 0.8))
    found = torch.from_numpy(task.predict(high.numpy() * std_x + mean_x)).reshape(-1)
    print("best", torch.quantile(found, 1.0).item())
"""

IMPORTS = "import argparse\n\nimport design_bench\nimport numpy as np\nimport torch\nimport yaml\n"
MAIN = '\n\nif __name__ == "__main__":\n    main()\n'

ROOT = (
    IMPORTS
    + """
from gaussian_process.GP import GP
from model.BrownianBridge.BrownianBridgeModel import BrownianBridgeModel
from runners.base.EMA import EMA
from runners.utils import *


def namespace(config):
    held = {k: namespace(v) if isinstance(v, dict) else v for k, v in config.items()}
    return argparse.Namespace(**held)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--config")
    parser.add_argument("--save_top", action="store_true")
    args = parser.parse_args()
    config = namespace(yaml.safe_load(open(args.config)))
"""
)

GGFM = (
    IMPORTS
    + """
from src.brownian_bridge import BrownianBridgeModel
from src.config import Config, load_config
from src.generator import *
"""
    + AVERAGE
    + """

def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-c", "--config")
    load_config(parser.parse_args().config)
"""
)

CONFIG = """
import yaml


class Config:
    TASK_NAME = "other"
    SEED = 42
    FM_LR = 0.1
    FM_EPOCHS = 7
    UNUSED_RATE = 3


def load_config(file):
    read = yaml.safe_load(open(file))
    Config.TASK_NAME = read["task"]["name"]
    Config.FM_LR = read["model"]["BB"]["optimizer"]["lr"]
    Config.FM_EPOCHS = read["training"]["n_epochs"]
"""

YAML = """
task: {name: DKittyMorphology-Exact-v0}
training: {n_epochs: 2}
model: {BB: {optimizer: {lr: 0.01}}}
"""

ROOT_WORDS = {
    "NAME": "config.task.name", "SEED": "0", "RATE": "config.model.BB.optimizer.lr",
    "EPOCHS": "config.training.n_epochs", "MAKE": "BrownianBridgeModel(x.shape[1], 8, 6)", "ZEROED": "pass",
    "MASKED": "torch.manual_seed(step)\n            y_high = y_high * (torch.rand(len(y_high)) > 0.15)",
    "CANDIDATES": "sampling_from_offline_data(x, y, 8)",
}  # fmt: skip
GGFM_WORDS = ROOT_WORDS | {
    "NAME": "Config.TASK_NAME", "SEED": "Config.SEED", "RATE": "Config.FM_LR", "EPOCHS": "Config.FM_EPOCHS",
    "ZEROED": "optimizer.zero_grad()", "MASKED": "pass",
    "CANDIDATES": "(lambda k: (x[k], y[k]))(np.argsort(y.numpy())[-8:])",
}  # fmt: skip
FLOW = """
class VectorField(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.wide = torch.nn.Linear(22, 12)
        self.last = torch.nn.Linear(12, 1)

    def forward(self, *given):
        inputs = torch.cat([value.reshape(len(value), -1) for value in given], 1)
        return self.last(torch.tanh(self.wide(inputs))).square().mean(), {}

"""


def run_of(words):
    text = RUN
    for word, instead in words.items():
        text = text.replace(word, instead)
    return text


def root_script(folder):
    write(
        folder,
        {
            "main.py": ROOT + run_of(ROOT_WORDS) + MAIN,
            "model/BrownianBridge/BrownianBridgeModel.py": MODEL.replace("{q}", ""),
            "gaussian_process/GP.py": PROCESS,
            "runners/utils.py": PAIRS,
            "runners/base/EMA.py": AVERAGE,
            "configs/Dkitty.yaml": YAML,
        },
    )
    return folder


def ggfm_script(folder, *, words=GGFM_WORDS, before="", q=""):
    write(
        folder,
        {
            "main.py": GGFM.replace("\ndef main", f"\n{before}\ndef main") + run_of(words) + MAIN,
            "src/brownian_bridge.py": MODEL.replace("{q}", q),
            "src/generator.py": PROCESS + PAIRS,
            "src/config.py": CONFIG,
            "configs/Dkitty_BB.yaml": YAML,
        },
    )
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("study")


@pytest.fixture(scope="module")
def compare_with(folder):
    """Compare a candidate's checkout with the reference's, which is recorded once."""
    reference = script_of(f"root:{root_script(folder / 'ROOT')}")
    setting = {"task": "SyntheticContinuous-v0", "set": {}}
    how = Watched(prepare="parity.root_ggfm.scripts:prepare", calls=CALLS, setting=setting, seconds=120.0)

    def compare(checkout):
        out = folder / f"{checkout.name} compared"
        if (folder / "kept").is_dir():
            shutil.copytree(folder / "kept", out / "reference")
        pair = compare_scripts(Script.parse(reference), Script.parse(script_of(f"ggfm:{checkout}")), out, how)
        if not (folder / "kept").is_dir():
            shutil.copytree(out / "reference", folder / "kept")
        return pair

    return compare


@pytest.fixture(scope="module")
def bridge(compare_with, folder):
    return compare_with(ggfm_script(folder / "bridge", q=" * 1.01"))


@pytest.fixture(scope="module")
def rows(bridge):
    return {row["component"]: row for row in judge_scripts(bridge)}


def test_every_component_has_a_row_in_the_order_of_the_pipeline(rows):
    assert list(rows) == list(REGISTRY)
    assert all(row["judgement"]["reason"] and row["reproduce"].startswith("parity check") for row in rows.values())


@pytest.mark.parametrize(
    ("component", "verdict", "says"),
    [
        ("q_sample", "divergent", "BrownianBridgeModel.py:19, candidate src/brownian_bridge.py:19"),
        ("training_loss", "randomness", "seed of torch, draw uniform[8] of torch"),
        ("optimiser", "divergent", "of 2 in the reference: set to zero in between"),
        ("gp_pairs", "identical", "calls of sampling_data_from_GP"),
        ("pool", "identical", "x_train of 2 calls"),
        ("offline_data", "identical", "x_train, y_train of 2 calls of GP"),
        ("split", "identical", "create_train_dataloader"),
        ("initial_weights", "identical", "weights initial"),
        ("schedule", "identical", "m_t"),
        ("sample_steps", "identical", "6 evaluations"),
        ("ema", "identical", "weights changed"),
        ("candidates", "identical", "x_low, y_low of 1 calls of sample"),
        ("target", "identical", "y_high"),
        ("p_sample", "identical", "6 calls"),
        ("denoiser", "identical", "output in sampling"),
        ("evaluation", "identical", "task.predict()"),
        ("training", "divergent", "seed of NumPy: 42 for 0"),
    ],
)
def test_a_component_is_judged_from_what_was_recorded(rows, component, verdict, says):
    assert rows[component]["verdict"] == verdict, rows[component]["judgement"]["reason"]
    assert says in rows[component]["judgement"]["reason"]


def test_gradients_that_are_set_to_zero_name_the_line_that_does_it(bridge):
    (found,) = [d for d in bridge.differences if d.role == "gradient"]
    assert found.candidate.text == "optimizer.zero_grad()"


def test_settings_are_reported_where_the_script_reads_them(bridge):
    read = [
        {e.key: (e.values["value"], r.site(e).text) for e in r.events if e.role == "setting"}
        for r in (bridge.reference, bridge.first)
    ]
    assert read[0]["model.BB.optimizer.lr"][0] == read[1]["Config.FM_LR"][0] == 0.01
    assert "torch.optim.Adam" in read[1]["Config.FM_LR"][1]
    assert "Config.UNUSED_RATE" not in read[1]


def test_another_model_is_named_in_the_place_of_the_bridge_and_a_crash_has_its_line(compare_with, folder):
    words = GGFM_WORDS | {"MAKE": "VectorField()", "found = ": "raise KeyError('lost')\n    found = "}
    pair = compare_with(ggfm_script(folder / "flow", words=words, before=FLOW))
    rows = {row["component"]: row for row in judge_scripts(pair)}
    assert rows["p_sample"]["verdict"] == rows["q_sample"]["verdict"] == "missing"
    assert "trains VectorField in the place of BrownianBridgeModel, main.py:" in rows["q_sample"]["judgement"]["reason"]
    assert rows["gp_pairs"]["verdict"] == "identical"
    assert pair.led.end.how == "raised"


def test_a_side_without_a_script_has_none(folder):
    assert script_of("golden:somewhere") == script_of(f"root:{folder / 'nowhere'}") == ""
    assert script_of("reference_root").endswith("DKittyMorphology-Exact-v0.yaml")
