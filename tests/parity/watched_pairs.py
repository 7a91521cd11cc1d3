"""Pairs of small training scripts: a reference, what a candidate changes, and what must be found."""

# ruff: noqa: E501 - each line of a script as it is

from dataclasses import dataclass, field

HEAD = """
import copy, math, random
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
"""

SCRIPTS = {
    "classifier": """
torch.manual_seed(1)
tokens, labels = torch.randint(1, 30, (48, 6)), torch.randint(0, 3, (48,))
class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(30, 8)
        self.lstm = nn.LSTM(8, 10, batch_first=True)
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(10, 3)
    def forward(self, t):
        out, _ = self.lstm(self.embedding(t))
        return self.head(self.dropout(out[:, -1]))
def evaluate(model):
    model.eval()
    with torch.no_grad():
        correct = (model(tokens[32:]).argmax(1) == labels[32:]).float().mean()
    model.train()
    return correct.item()
def main():
    model = Classifier()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2, weight_decay=0.01)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    loader = DataLoader(TensorDataset(tokens[:32], labels[:32]), batch_size=12, shuffle=True)
    for epoch in range(2):
        for t, y in loader:
            optimiser.zero_grad()
            loss = criterion(model(t), y)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.05)
            optimiser.step()
        print(f"epoch {epoch} accuracy {evaluate(model):.3f}")
main()
""",
    "vae": """
torch.manual_seed(2); np.random.seed(2)
data = torch.tensor(np.random.rand(40, 12), dtype=torch.float32)
mean, std = data.mean(0), data.std(0)
data = (data - mean) / std
class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(12, 8)
        self.decoder = nn.Linear(4, 12)
    def forward(self, x):
        mu, logvar = self.encoder(x).chunk(2, dim=1)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)
        return self.decoder(z), mu, logvar
vae = VAE()
optimiser = torch.optim.RMSprop(vae.parameters(), lr=1e-3)
scheduler = torch.optim.lr_scheduler.StepLR(optimiser, step_size=2, gamma=0.5)
for epoch in range(4):
    order = torch.randperm(40)
    for k in range(0, 40, 10):
        x = data[order[k : k + 10]]
        recon, mu, logvar = vae(x)
        kl = -0.5 * (1 + logvar - mu.pow(2) - logvar.exp()).sum(1).mean()
        loss = F.mse_loss(recon, x, reduction="sum") / 10 + 0.5 * kl
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    scheduler.step()
""",
    "gan": """
rng = np.random.default_rng(3)
torch.manual_seed(3)
real = torch.from_numpy(rng.normal(size=(32, 5))).float()
G, D = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 5)), nn.Sequential(nn.Linear(5, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
for m in (*G, *D):
    if isinstance(m, nn.Linear):
        nn.init.normal_(m.weight, 0.0, 0.1)
opt_g, opt_d = torch.optim.Adam(G.parameters(), 2e-3, betas=(0.5, 0.999)), torch.optim.Adam(D.parameters(), 1e-3)
bce = nn.BCEWithLogitsLoss()
for step in range(5):
    x = real[rng.integers(0, 32, 8)]
    z = torch.randn(8, 3)
    fake = G(z)
    opt_d.zero_grad()
    d_loss = bce(D(x), torch.ones(8, 1)) + bce(D(fake.detach()), torch.zeros(8, 1))
    d_loss.backward()
    opt_d.step()
    opt_g.zero_grad()
    g_loss = bce(D(fake), torch.ones(8, 1))
    g_loss.backward()
    opt_g.step()
""",
    "dqn": """
random.seed(4); torch.manual_seed(4)
q = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
target = copy.deepcopy(q)
optimiser = torch.optim.Adam(q.parameters(), lr=5e-3)
memory = []
state = torch.zeros(4)
for t in range(30):
    if random.random() < 0.3:
        action = random.randrange(2)
    else:
        with torch.no_grad():
            action = q(state).argmax().item()
    following = torch.tanh(state + 0.1 * torch.randn(4) + 0.05 * (2 * action - 1))
    memory.append((state, action, following.sum(), following))
    state = following
    if len(memory) >= 16:
        batch = random.sample(memory, 8)
        s, a, r, n = (torch.stack([torch.as_tensor(b[k]) for b in batch]) for k in range(4))
        with torch.no_grad():
            wanted = r + 0.9 * target(n).max(1).values
        loss = F.smooth_l1_loss(q(s).gather(1, a[:, None]).squeeze(1), wanted)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            for old, new in zip(target.parameters(), q.parameters()):
                old.mul_(0.95).add_(new, alpha=0.05)
""",
    "diffusion": """
torch.manual_seed(5)
x0 = torch.randn(32, 2) * 2
betas = torch.linspace(1e-4, 0.02, 50)
alphas = torch.cumprod(1 - betas, 0)
class Denoiser(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 16), nn.SiLU(), nn.Linear(16, 2))
    def forward(self, x, t):
        return self.net(torch.cat([x, t[:, None] / 50], 1))
class EMA:
    def __init__(self, model, decay):
        self.decay, self.shadow = decay, {n: p.data.clone() for n, p in model.named_parameters()}
    def update(self, model):
        for n, p in model.named_parameters():
            self.shadow[n] = self.decay * self.shadow[n] + (1 - self.decay) * p.data
    def apply(self, model):
        for n, p in model.named_parameters():
            p.data.copy_(self.shadow[n])
model = Denoiser()
ema = EMA(model, 0.9)
optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
for epoch in range(2):
    for (x,) in DataLoader(TensorDataset(x0), batch_size=10, shuffle=True, drop_last=True):
        t = torch.randint(0, 50, (len(x),))
        noise = torch.randn_like(x)
        a = alphas[t][:, None]
        noisy = a.sqrt() * x + (1 - a).sqrt() * noise
        loss = (model(noisy, t) - noise).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        ema.update(model)
ema.apply(model)
with torch.no_grad():
    x = torch.randn(4, 2)
    for t in reversed(range(48, 50)):
        eps = model(x, torch.full((4,), t))
        x = (x - betas[t] / (1 - alphas[t]).sqrt() * eps) / (1 - betas[t]).sqrt() + betas[t].sqrt() * torch.randn_like(x)
print(f"sample {x.mean().item():.6f}")
""",
    "contrastive": """
torch.manual_seed(6)
images = torch.rand(24, 1, 6, 6)
encoder = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 6))
optimiser = torch.optim.SGD(encoder.parameters(), lr=0.1, momentum=0.9)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=6)
def augment(x):
    return x + 0.1 * torch.randn_like(x)
def nt_xent(a, b, temperature=0.5):
    z = F.normalize(torch.cat([a, b]), dim=1)
    sim = z @ z.T / temperature
    sim.fill_diagonal_(-1e9)
    n = len(a)
    return F.cross_entropy(sim, torch.cat([torch.arange(n, 2 * n), torch.arange(n)]))
steps = 0
for epoch in range(2):
    for k, (x,) in enumerate(DataLoader(TensorDataset(images), batch_size=8, shuffle=True)):
        first = encoder(augment(x))
        second = encoder(augment(x))
        loss = nt_xent(first, second) / 3
        loss.backward()
        if (k + 1) % 3 == 0:
            optimiser.step()
            optimiser.zero_grad()
            scheduler.step()
""",
    "regression": """
torch.manual_seed(7)
x = torch.randn(40, 3)
y = x @ torch.tensor([1.0, -2.0, 0.5]) + 0.1 * torch.randn(40)
w = torch.zeros(3, requires_grad=True)
b = torch.zeros(1, requires_grad=True)
for step in range(6):
    chosen = torch.randint(0, 40, (8,))
    loss = ((x[chosen] @ w + b - y[chosen]) ** 2).mean()
    loss.backward()
    with torch.no_grad():
        w -= 0.05 * w.grad
        b -= 0.05 * b.grad
    w.grad.zero_(); b.grad.zero_()
""",
    "actor_critic": """
torch.manual_seed(8)
trunk, policy, value = nn.Linear(4, 8), nn.Linear(8, 2), nn.Linear(8, 1)
parameters = [*trunk.parameters(), *policy.parameters(), *value.parameters()]
optimiser = torch.optim.Adam(parameters, lr=1e-2)
for episode in range(3):
    states = torch.randn(6, 4)
    hidden = torch.tanh(trunk(states))
    distribution = torch.distributions.Categorical(logits=policy(hidden))
    actions = distribution.sample()
    returns = states.sum(1) + actions
    values = value(hidden).squeeze(1)
    advantage = returns - values.detach()
    loss = -(distribution.log_prob(actions) * advantage).mean() + 0.5 * F.mse_loss(values, returns)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
""",
}
"""Scripts of many kinds, each the reference of some pairs."""


@dataclass
class Planted:
    """A change of a script, and what it must be found as: the class, words, and text of both sides' lines."""

    script: str
    changes: dict[str, str]
    kind: str = ""
    says: str = ""
    reference: str = ""
    candidate: str = ""
    others: list[tuple[str, str]] = field(default_factory=list)

    @property
    def texts(self):
        before = HEAD + SCRIPTS[self.script]
        after = before
        for old, new in self.changes.items():
            assert after.count(old) == 1, (self.script, old, after.count(old))
            after = after.replace(old, new)
        return before, after


PLANTED = {
    # configuration
    "seed": Planted("classifier", {"torch.manual_seed(1)": "torch.manual_seed(11)"},
                    "configuration", "seed of torch: 11 for 1", "torch.manual_seed(1)", "torch.manual_seed(11)"),
    "seed of own generator": Planted("gan", {"default_rng(3)": "default_rng(4)"},
                    "configuration", "seed of own NumPy: 4 for 3", "default_rng(3)", "default_rng(4)"),
    "seed of random": Planted("dqn", {"random.seed(4); ": "random.seed(5); "},
                    "configuration", "seed of random: 5 for 4", "random.seed(4)", "random.seed(5)"),
    "optimiser class": Planted("classifier", {"torch.optim.Adam(": "torch.optim.AdamW("},
                    "configuration", "AdamW", "torch.optim.Adam(", "torch.optim.AdamW("),
    "optimiser setting of a classifier": Planted("classifier", {"weight_decay=0.01": "weight_decay=0.02"},
                    "configuration", "weight_decay 0.02 for 0.01", "torch.optim.Adam", "torch.optim.Adam"),
    "optimiser setting": Planted("vae", {"lr=1e-3": "lr=1e-3, alpha=0.9"},
                    "configuration", "alpha 0.9 for 0.99", "RMSprop", "alpha=0.9"),
    "betas": Planted("gan", {"betas=(0.5, 0.999)": "betas=(0.9, 0.999)"},
                    "configuration", "betas.0 0.9 for 0.5", "betas=(0.5", "betas=(0.9"),
    "rate": Planted("diffusion", {"lr=2e-3": "lr=1e-3"},
                    "configuration", "lr 0.001 for 0.002", "lr=2e-3", "lr=1e-3"),
    "batch size": Planted("classifier", {"batch_size=12": "batch_size=16"},
                    "configuration", "batch", "for t, y in loader", "for t, y in loader"),
    "drop_last": Planted("diffusion", {", drop_last=True": ""},
                    "configuration", "more batches", "for (x,) in DataLoader", "for (x,) in DataLoader"),
    "clip norm": Planted("classifier", {"model.parameters(), 0.05": "model.parameters(), 0.01"},
                    "configuration", "max_norm 0.01 for 0.05", "clip_grad_norm_", "clip_grad_norm_"),
    "eval forgotten": Planted("classifier", {"    model.eval()\n": ""},
                    "configuration", "training on for off", "correct =", "correct ="),
    "train forgotten": Planted("classifier", {"    model.train()\n": ""},
                    "configuration", "training off for on", "criterion(model(t)", "criterion(model(t)"),
    "dropout left on": Planted("classifier", {"self.head(self.dropout(out[:, -1]))": "self.head(F.dropout(out[:, -1], 0.2))"},
                    "randomness", "dropout(0.2)", "", "F.dropout"),
    "dropout rate": Planted("classifier", {"nn.Dropout(0.2)": "nn.Dropout(0.3)"},
                    "configuration", "dropout(0.3)", "self.dropout", "self.dropout"),
    "scheduler setting": Planted("vae", {"gamma=0.5": "gamma=0.1"},
                    "configuration", "gamma 0.1 for 0.5", "gamma=0.5", "gamma=0.1"),
    "scheduler stepped per batch": Planted("vae", {"        optimiser.step()\n    scheduler.step()": "        optimiser.step()\n        scheduler.step()"},
                    "configuration", "learning rate", "scheduler = ", "scheduler.step()"),
    "shuffle": Planted("contrastive", {"batch_size=8, shuffle=True": "batch_size=8"},
                    "randomness", "permutation", "for k, (x,) in", ""),
    # randomness
    "extra draw": Planted("vae", {"    order = torch.randperm(40)": "    torch.rand(1)\n    order = torch.randperm(40)"},
                    "randomness", "only in the candidate: draw uniform[1]", "", "torch.rand(1)"),
    "reseeded": Planted("diffusion", {"for epoch in range(2):": "for epoch in range(2):\n    torch.manual_seed(epoch)"},
                    "randomness", "only in the candidate: seed of torch", "", "torch.manual_seed(epoch)"),
    "two draws in another order": Planted("diffusion", {
        "        t = torch.randint(0, 50, (len(x),))\n        noise = torch.randn_like(x)\n":
        "        noise = torch.randn_like(x)\n        t = torch.randint(0, 50, (len(x),))\n"},
                    "order", "", "torch.rand", "torch.rand"),
    "another init": Planted("gan", {"nn.init.normal_(m.weight, 0.0, 0.1)": "nn.init.xavier_uniform_(m.weight)"},
                    "randomness", "uniform", "nn.init.normal_", "nn.init.xavier_uniform_"),
    "another init's spread": Planted("gan", {"0.0, 0.1)": "0.0, 0.02)"},
                    "randomness", "normal(0, 0.02)", "nn.init.normal_", "nn.init.normal_"),
    "init without draws": Planted("gan", {"nn.init.normal_(m.weight, 0.0, 0.1)": "nn.init.normal_(m.weight, 0.0, 0.1); m.bias.data.zero_()"},
                    "mathematics", "initial weights", "", "m.bias.data.zero_()"),
    # mathematics
    "zero_grad missing": Planted("vae", {"        optimiser.zero_grad()\n": ""},
                    "missing", "zero_grad", "optimiser.zero_grad()", ""),
    "zero_grad after backward": Planted("vae", {
        "        optimiser.zero_grad()\n        loss.backward()\n": "        loss.backward()\n        optimiser.zero_grad()\n"},
                    "order", "zero_grad", "optimiser.zero_grad()", "optimiser.zero_grad()"),
    "zero_grad in an accumulation": Planted("contrastive", {"        loss.backward()\n": "        optimiser.zero_grad()\n        loss.backward()\n"},
                    "mathematics", "set to zero in between", "", "optimiser.zero_grad()"),
    "clip missing": Planted("classifier", {"            nn.utils.clip_grad_norm_(model.parameters(), 0.05)\n": ""},
                    "missing", "clip_grad_norm_", "clip_grad_norm_", ""),
    "clip added": Planted("vae", {"        optimiser.step()\n": "        nn.utils.clip_grad_norm_(vae.parameters(), 0.1)\n        optimiser.step()\n"},
                    "extra", "clip_grad_norm_", "", "clip_grad_norm_"),
    "average of weights": Planted("diffusion", {"EMA(model, 0.9)": "EMA(model, 0.99)"},
                    "mathematics", "weights changed outside of the optimiser", "self.decay * self.shadow", "self.decay * self.shadow"),
    "average before the step": Planted("diffusion", {
        "        optimiser.step()\n        ema.update(model)": "        ema.update(model)\n        optimiser.step()"},
                    "mathematics", "weights changed outside of the optimiser", "", ""),
    "average of the target": Planted("dqn", {"old.mul_(0.95).add_(new, alpha=0.05)": "old.mul_(0.9).add_(new, alpha=0.1)"},
                    "mathematics", "weights changed outside of the optimiser", "old.mul_(0.95)", "old.mul_(0.9)"),
    "mean for sum": Planted("vae", {'F.mse_loss(recon, x, reduction="sum") / 10': "F.mse_loss(recon, x)"},
                    "mathematics", "loss", "F.mse_loss", "F.mse_loss"),
    "label smoothing": Planted("classifier", {"label_smoothing=0.1": "label_smoothing=0.0"},
                    "mathematics", "loss", "criterion(model(t), y)", "criterion(model(t), y)"),
    "accumulated without division": Planted("contrastive", {"nt_xent(first, second) / 3": "nt_xent(first, second)"},
                    "mathematics", "loss", "nt_xent(first, second) / 3", "F.cross_entropy(sim"),
    "temperature": Planted("contrastive", {"temperature=0.5": "temperature=0.1"},
                    "mathematics", "loss", "sim = z @ z.T / temperature", "sim = z @ z.T / temperature"),
    "other statistics": Planted("vae", {"data.mean(0), data.std(0)": "data.mean(), data.std()"},
                    "mathematics", "inputs of the forward pass", "mean, std = data.mean(0)", "mean, std = data.mean()"),
    "schedule of noise": Planted("diffusion", {"torch.linspace(1e-4, 0.02, 50)": "torch.linspace(1e-4, 0.01, 50)"},
                    "mathematics", "inputs of the forward pass", "betas = torch.linspace", "betas = torch.linspace"),
    "detach missing": Planted("actor_critic", {"values.detach()": "values"},
                    "mathematics", "gradients", "advantage = returns - values.detach()", "advantage = returns - values"),
    "float64": Planted("regression", {"w = torch.zeros(3, requires_grad=True)":
                    "x, y = x.double(), y.double()\nw = torch.zeros(3, requires_grad=True, dtype=torch.float64)"},
                    "configuration", "float64", "", ""),
    "discount": Planted("dqn", {"0.9 * target(n)": "0.99 * target(n)"},
                    "mathematics", "loss", "wanted = r + 0.9", "wanted = r + 0.99"),
    "activation": Planted("contrastive", {"nn.ReLU()": "nn.GELU()"},
                    "mathematics", "output of the forward pass", "encoder(augment(x))", "encoder(augment(x))"),
    "rate by hand": Planted("regression", {"w -= 0.05": "w -= 0.06"},
                    "mathematics", "weights changed outside of the optimiser", "w -= 0.05", "w -= 0.06"),
    "order of batches": Planted("vae", {"range(0, 40, 10)": "reversed(range(0, 40, 10))"},
                    "order", "inputs of the forward pass", "x = data[order", "x = data[order"),
}  # fmt: skip

HARMLESS = {
    "other names and functions": Planted("classifier", {
        "def main():\n    model = Classifier()": "def main():\n    return train(Classifier())\ndef train(model):",
        "loss = criterion(model(t), y)": "logits = model(t)\n            loss = F.cross_entropy(logits, y, label_smoothing=0.1)",
        "            optimiser.zero_grad()\n": "",
        "            optimiser.step()\n": "            optimiser.step()\n            model.zero_grad()\n",
    }),
    "modules apart": Planted("vae", {
        "self.encoder(x).chunk(2, dim=1)": "torch.split(self.encoder(x), 4, 1)",
        "vae = VAE()": "vae = VAE()\nencode, decode = vae.encoder, vae.decoder",
        "recon, mu, logvar = vae(x)": "mu, logvar = encode(x).chunk(2, 1)\n        recon = decode(mu + torch.randn_like(mu) * torch.exp(0.5 * logvar))",
    }),
    "functions for modules": Planted("contrastive", {
        "nn.ReLU(), nn.Flatten(), nn.Linear(64, 6))": "nn.ReLU(), nn.Flatten(), nn.Linear(64, 6))\nmods = list(encoder)\n"
        "def encode(x): return F.linear(F.relu(mods[1](F.conv2d(x, mods[0].weight, mods[0].bias))).flatten(1), mods[4].weight, mods[4].bias)",
        "first = encoder(augment(x))": "first = encode(augment(x))",
        "second = encoder(augment(x))": "second = encode(augment(x))",
    }),
    "independent statements in another order": Planted("gan", {
        "    x = real[rng.integers(0, 32, 8)]\n    z = torch.randn(8, 3)\n": "    z = torch.randn(8, 3)\n    x = real[rng.integers(0, 32, 8)]\n",
        "    opt_d.step()\n    opt_g.zero_grad()\n    g_loss": "    opt_g.zero_grad()\n    opt_d.step()\n    g_loss",
    }),
    "a loop of its own": Planted("diffusion", {
        "for (x,) in DataLoader(TensorDataset(x0), batch_size=10, shuffle=True, drop_last=True):":
        "for x in batches():",
        "model = Denoiser()\n": "model = Denoiser()\ndef batches():\n    for (x,) in DataLoader(TensorDataset(x0), 10, True, drop_last=True):\n        yield x\n",
        "self.shadow[n] = self.decay * self.shadow[n] + (1 - self.decay) * p.data": "d = self.decay\n            self.shadow[n] = d * self.shadow[n] + (1 - d) * p.detach()",
    }),
    "nothing": Planted("dqn", {}),
    "by hand in another form": Planted("regression", {
        "        w -= 0.05 * w.grad\n        b -= 0.05 * b.grad\n": "        for p in (w, b):\n            p.sub_(0.05 * p.grad)\n",
    }),
    "a list of losses": Planted("actor_critic", {
        "loss = -(distribution.log_prob(actions) * advantage).mean() + 0.5 * F.mse_loss(values, returns)":
        "losses = [-(distribution.log_prob(actions) * advantage).mean(), 0.5 * F.mse_loss(values, returns)]\n    loss = sum(losses)",
        "    optimiser.zero_grad()\n": "    for p in parameters: p.grad = None\n",
    }),
}  # fmt: skip

SEVERAL = [
    ("seed", "optimiser setting of a classifier", "label smoothing"),
    ("clip norm", "label smoothing", "eval forgotten"),
    ("scheduler setting", "other statistics", "extra draw"),
    ("rate", "schedule of noise", "average of weights"),
    ("temperature", "zero_grad in an accumulation"),
    ("seed of own generator", "betas", "init without draws"),
    ("discount", "average of the target", "seed of random"),
]
"""Differences that are planted together."""
