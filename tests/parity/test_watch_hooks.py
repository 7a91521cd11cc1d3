"""A watched script computes the same bits and prints the same as it does unwatched."""

import pytest

from parity.watch.hooks import Watch
from parity.watch.recording import Recorder
from tests.parity.watching import run, written

START = """
import copy, io, math, os, random, pickle
import numpy as np
import torch
from torch import nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, random_split
torch.manual_seed(3)
x, y = torch.randn(24, 6), torch.randn(24, 1)
"""

SCRIPTS = {
    "mlp_adam": """
model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 1))
optimiser = torch.optim.Adam(model.parameters(), lr=0.01, betas=(0.8, 0.9))
for epoch in range(2):
    for a, b in DataLoader(TensorDataset(x, y), batch_size=8, shuffle=True):
        optimiser.zero_grad()
        loss = F.mse_loss(model(a), b)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimiser.step()
    print(f"epoch {epoch}: loss {loss.item():.6f}")
model.eval()
with torch.no_grad():
    out = model(x)
""",
    "cnn": """
images, labels = torch.rand(16, 3, 8, 8), torch.randint(0, 4, (16,))
model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Dropout2d(0.2), nn.Flatten(),
                      nn.LazyLinear(4))
model(images)
optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-3)
criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
for k in range(0, 16, 4):
    optimiser.zero_grad(set_to_none=False)
    loss = criterion(model(images[k : k + 4]), labels[k : k + 4])
    loss.backward()
    optimiser.step()
""",
    "lstm": """
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 6, padding_idx=0)
        self.lstm = nn.LSTM(6, 5, num_layers=2, batch_first=True, dropout=0.2)
        self.head = nn.Linear(5, 2)
    def forward(self, tokens, *, lengths=None, state=None):
        packed = nn.utils.rnn.pack_padded_sequence(self.embedding(tokens), lengths, batch_first=True)
        _, (h, _) = self.lstm(packed, state)
        return {"logits": self.head(h[-1]), "hidden": h}
tokens = torch.randint(1, 20, (8, 7))
lengths = torch.tensor([7, 7, 6, 5, 4, 3, 2, 2])
model = Model()
optimiser = torch.optim.RMSprop(model.parameters())
for _ in range(3):
    optimiser.zero_grad()
    out = model(tokens, lengths=lengths)
    loss = F.cross_entropy(out["logits"], tokens[:, 0] % 2)
    loss.backward()
    nn.utils.clip_grad_value_(model.parameters(), clip_value=0.1)
    optimiser.step()
print(loss.item())
""",
    "lbfgs": """
model = nn.Linear(6, 1)
optimiser = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=4, line_search_fn="strong_wolfe")
def closure():
    optimiser.zero_grad()
    loss = F.mse_loss(model(x), y)
    loss.backward()
    return loss
for _ in range(3):
    print(float(optimiser.step(closure)))
""",
    "gan": """
g, d = nn.Linear(3, 6), nn.Sequential(nn.Linear(6, 4), nn.LeakyReLU(0.2), nn.Linear(4, 1))
of_g = torch.optim.Adam(g.parameters(), 1e-3)
of_d = torch.optim.AdamW([{"params": d[0].parameters()}, {"params": d[2].parameters(), "lr": 1e-2}], 1e-3)
for k in range(3):
    z = torch.randn(8, 3)
    of_d.zero_grad()
    loss_d = F.softplus(-d(x[:8])).mean() + F.softplus(d(g(z).detach())).mean()
    loss_d.backward()
    of_d.step()
    of_g.zero_grad()
    loss_g = F.softplus(-d(g(z))).mean()
    loss_g.backward()
    of_g.step()
    interpolated = torch.lerp(x[:8], g(z).detach(), torch.rand(8, 1)).requires_grad_()
    penalty, = torch.autograd.grad(d(interpolated).sum(), interpolated, create_graph=True)
    of_d.zero_grad(); (penalty.norm(dim=1) - 1).pow(2).mean().backward(); of_d.step()
of_d.add_param_group({"params": [nn.Parameter(torch.zeros(2))]})
of_d.step()
""",
    "accumulation_amp": """
model = nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 1))
optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2, foreach=True)
scaler = torch.amp.GradScaler("cpu")
for k in range(6):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = F.mse_loss(model(x[4 * k : 4 * k + 4]).float(), y[4 * k : 4 * k + 4]) / 2
    scaler.scale(loss).backward()
    if k % 2:
        scaler.unscale_(optimiser)
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0, norm_type=float("inf"))
        scaler.step(optimiser); scaler.update(); optimiser.zero_grad()
print(float(norm))
""",
    "schedulers": """
S = torch.optim.lr_scheduler
def made(kind, *args, **kwargs):
    w = nn.Linear(6, 1)
    o = torch.optim.SGD(w.parameters(), lr=0.1, momentum=0.9)
    return w, o, kind(o, *args, **kwargs)
class Mine(S.LRScheduler):
    def get_lr(self):
        return [b / (1 + self.last_epoch) for b in self.base_lrs]
def sequence(o):
    return S.SequentialLR(o, [S.LinearLR(o, 0.1, total_iters=2), S.ExponentialLR(o, 0.9)], milestones=[2])
def chain(o):
    return S.ChainedScheduler([S.ConstantLR(o), S.ExponentialLR(o, 0.9)], optimizer=o)
rates = []
for kind, args, kwargs in [
    (S.StepLR, (2,), {}), (S.MultiStepLR, ([1, 3],), {"gamma": 0.5}), (S.CosineAnnealingLR, (5,), {}),
    (S.OneCycleLR, (0.2,), {"total_steps": 8}), (S.CyclicLR, (0.01, 0.1), {"step_size_up": 2}), (Mine, (), {}),
    (S.LambdaLR, (lambda k: 0.9**k,), {}), (S.CosineAnnealingWarmRestarts, (3,), {}), (S.PolynomialLR, (), {}),
    (S.ReduceLROnPlateau, ("min",), {"patience": 0, "threshold": 0.5}), (sequence, (), {}), (chain, (), {}),
    (S.MultiplicativeLR, (lambda k: 0.9,), {}),
]:
    w, o, s = made(kind, *args, **kwargs)
    for k in range(6):
        o.zero_grad(); F.mse_loss(w(x), y).backward(); o.step()
        s.step(1.0) if isinstance(s, S.ReduceLROnPlateau) else s.step()
        rates.append(o.param_groups[0]["lr"])
    kept = copy.deepcopy(s.state_dict()) if kind not in (S.LambdaLR, S.MultiplicativeLR) else None
    if kept and kind not in (sequence, chain):
        s.load_state_dict(kept)
print(rates)
left = torch.tensor(rates)
""",
    "loaders": """
class Counting(Dataset):
    def __len__(self): return 11
    def __getitem__(self, k): return {"a": x[k] + random.random() + np.random.rand(), "b": (y[k], torch.rand(1))}
class Stream(IterableDataset):
    def __iter__(self): return iter(torch.randn(7, 2))
seen = []
own = torch.Generator().manual_seed(5)
loader = DataLoader(Counting(), batch_size=4, shuffle=True, generator=own)
print(len(loader), len(iter(loader)), type(next(iter(loader))))
for batch in loader:
    seen.append(batch["a"]); seen.append(batch["b"][0])
for batch in DataLoader(Stream(), batch_size=3):
    seen.append(batch)
iterator = iter(DataLoader(TensorDataset(x, y), batch_size=8, drop_last=True))
for k in range(3):
    seen.append(next(iterator)[0])
try:
    next(iterator)
except StopIteration:
    print("ended")
first, second = random_split(TensorDataset(x, y), [0.5, 0.5], generator=torch.Generator().manual_seed(1))
seen += [torch.tensor(first.indices), torch.tensor(second.indices)]
class Both(DataLoader):
    def __iter__(self):
        for a, b in super().__iter__():
            yield a * 2, b
for a, b in Both(TensorDataset(x, y), batch_size=16):
    seen.append(a)
weights = torch.utils.data.WeightedRandomSampler(torch.rand(24), 8)
seen += [a for a, _ in DataLoader(TensorDataset(x, y), batch_size=4, sampler=weights)]
""",
    "loader_workers": """
class Noisy(Dataset):
    def __len__(self): return 8
    def __getitem__(self, k): return x[k] + torch.rand(6)
loader = DataLoader(Noisy(), batch_size=2, num_workers=2, persistent_workers=True, shuffle=True)
seen = [batch for _ in range(2) for batch in loader]
""",
    "generators": """
g, r, p = np.random.default_rng(4), np.random.RandomState(4), random.Random(4)
children = np.random.default_rng(np.random.SeedSequence(3)).spawn(2)
drawn = [g.normal(size=3), g.integers(0, 9, 4), g.permutation(5), g.choice([1.5, 2.5], 3), r.randn(2), r.randint(9),
         r.permutation(4), children[0].random(2), np.random.randn(2), np.random.choice(5, 2, replace=False)]
items = list(range(9)); random.shuffle(items); p.shuffle(items); g.shuffle(array := np.arange(5.0))
drawn.append(array)
drawn.append(np.array([*items, p.randint(0, 99), p.gauss(0, 1), p.sample(range(30), 3)[0], random.choice(items)]))
drawn.append(np.array([random.uniform(0, 1), *random.choices(items, k=2), p.getrandbits(31)])); random.getrandbits(90)
assert isinstance(g, np.random.Generator) and isinstance(np.random.mtrand._rand, np.random.RandomState)
assert isinstance(torch.default_generator, torch.Generator)
again = pickle.loads(pickle.dumps((g, r, p)))
drawn += [again[0].random(2), again[1].rand(2), np.array([again[2].random()]), copy.deepcopy(g).random(2)]
own = torch.Generator(device="cpu"); own.manual_seed(9)
t = torch.empty(3).normal_(1, 2, generator=own); u = torch.randint(5, (3,)); v = torch.rand(2, generator=own)
kept = own.get_state(); w = torch.randn(2, generator=own); own.set_state(kept); w2 = torch.randn(2, generator=own)
n = torch.distributions.Normal(0.0, 1.0).sample((3,))
c = torch.distributions.Categorical(torch.ones(4)).sample((3,))
gamma = torch.distributions.Gamma(2.0, 1.0).sample((2,))
dirichlet = torch.distributions.Dirichlet(torch.ones(3)).sample()
q = torch.randn(2, out=torch.empty(2)); m = torch.multinomial(torch.ones(5), 2); e = torch.empty(2).exponential_()
with torch.random.fork_rng():
    torch.manual_seed(1); torch.rand(3)
state = torch.get_rng_state(); torch.rand(1); torch.set_rng_state(state); last = torch.rand(1)
random.seed("text"); random.seed(2**100); np.random.seed([1, 2]); late = np.array([random.random(), np.random.rand()])
print(random.Random(2).random(), r.uniform(), g.random())
""",
    "moving_averages": """
model = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 1))
a, b, c = copy.deepcopy(model), copy.deepcopy(model).requires_grad_(False), copy.deepcopy(model)
averaged = torch.optim.swa_utils.AveragedModel(model)
optimiser = torch.optim.SGD(model.parameters(), 0.1)
shadow = {n: p.data.clone() for n, p in model.named_parameters()}
for k in range(4):
    optimiser.zero_grad(); F.mse_loss(model(x), y).backward(); optimiser.step()
    for p, q in zip(a.parameters(), model.parameters()):
        p.data.mul_(0.9).add_(q.data, alpha=0.1)
    with torch.no_grad():
        for p, q in zip(b.parameters(), model.parameters()):
            p.lerp_(q, 0.1)
        torch._foreach_lerp_(list(c.parameters()), list(model.parameters()), 0.1)
    for n, p in model.named_parameters():
        shadow[n] = 0.9 * shadow[n] + 0.1 * p.data
    averaged.update_parameters(model)
    with torch.no_grad():
        out = [m(x) for m in (a, b, c, averaged)]
kept = copy.deepcopy(model.state_dict())
for n, p in model.named_parameters():
    p.data = shadow[n]
last = model(x)
model.load_state_dict(kept)
nn.init.kaiming_normal_(model[0].weight); nn.init.zeros_(model[2].bias); nn.init.orthogonal_(model[2].weight)
again = model(x)
""",
    "saved": """
model = nn.Linear(6, 1)
optimiser = torch.optim.Adam(model.parameters(), 0.01)
torch.save({"model": model.state_dict(), "optimiser": optimiser.state_dict()}, "kept.pt")
torch.save(obj=model, f=(buffer := io.BytesIO()))
model(x).sum().backward(); optimiser.step()
kept = torch.load("kept.pt")
print(model.load_state_dict(kept["model"]), model.load_state_dict(state_dict=kept["model"], strict=True))
optimiser.load_state_dict(kept["optimiser"])
try:
    model.load_state_dict([1])
except TypeError as error:
    print(error)
buffer.seek(0)
whole = torch.load(buffer, weights_only=False)
names = pickle.loads(pickle.dumps([torch.randn, F.dropout, nn.utils.clip_grad_norm_]))
print(names[0] is torch.randn, os.path.exists("kept.pt"))
""",
    "by_hand": """
w, b = torch.randn(6, 1, requires_grad=True), torch.zeros(1, requires_grad=True)
order = torch.randperm(24)
for k in range(0, 24, 8):
    chosen = order[k : k + 8]
    loss = ((x[chosen] @ w + b - y[chosen]) ** 2).mean()
    loss.backward()
    with torch.no_grad():
        for p in (w, b):
            p -= 0.1 * p.grad
            p.grad.zero_()
print(loss.item())
grads = torch.autograd.grad(((x @ w + b) ** 2).sum(), [w, b])
torch.autograd.backward([(x @ w).sum(), (x @ w + b).sum()])
left = [w.grad, b.grad]
""",
    "batches_of_objects": """
from collections import namedtuple
from dataclasses import dataclass
Pair = namedtuple("Pair", "a b")
@dataclass
class Data:
    a: torch.Tensor
    b: torch.Tensor
    name: str = "data"
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(6, 1)
    def forward(self, data, scale=1.0):
        if scale < 0:
            raise ValueError("negative")
        return Data(self.inner(data.a) * scale, data.b)
model = Model()
optimiser = torch.optim.Adagrad(model.parameters(), 0.1)
pairs = DataLoader([Pair(p, q) for p, q in zip(x, y)], batch_size=8)
objects = DataLoader([Data(p, q) for p, q in zip(x, y)], batch_size=8,
                     collate_fn=lambda l: Data(torch.stack([d.a for d in l]), torch.stack([d.b for d in l])))
for loader in (pairs, objects):
    for data in loader:
        optimiser.zero_grad()
        out = model(data, scale=2.0)
        F.l1_loss(out.a, out.b).backward()
        optimiser.step()
try:
    model(data, scale=-1.0)
except ValueError:
    after = model(data).a
print(type(data).__name__, len(pairs))
""",
    "transforms": """
model = nn.Linear(6, 1)
params = {n: p.detach() for n, p in model.named_parameters()}
def of(params, a, b):
    return F.mse_loss(torch.func.functional_call(model, params, (a,)), b)
grads = torch.func.grad(of)(params, x, y)
each = torch.func.vmap(torch.func.grad(of), in_dims=(None, 0, 0))(params, x, y)
traced = torch.jit.trace(model, x)(x)
@torch.jit.script
def scripted(a: torch.Tensor):
    return F.dropout(a, 0.5, True) + torch.rand(1)
s = scripted(x)
from torch.utils.checkpoint import checkpoint
block = nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.5))
checkpoint(block, x.clone().requires_grad_(), use_reentrant=False).sum().backward()
left = [p.grad for p in block.parameters()]
""",
    "attention": """
layer = nn.TransformerEncoderLayer(6, 2, 8, dropout=0.1, batch_first=True)
optimiser = torch.optim.NAdam(layer.parameters(), 1e-3)
for _ in range(2):
    optimiser.zero_grad()
    loss = layer(x.reshape(4, 6, 6), src_key_padding_mask=None).square().mean()
    loss.backward(retain_graph=True)
    optimiser.step()
print(f"{loss:.8f}", end="")
F.alpha_dropout(x, 0.2, True); F.dropout(x.clone(), 0.2, True, True); z = F.gumbel_softmax(x, hard=True)
""",
    "settings": """
torch.set_default_dtype(torch.float64)
torch.use_deterministic_algorithms(True)
import threading, warnings, signal, sys
warnings.simplefilter("error")
os.chdir("/")
model = nn.Linear(6, 1)
found = []
def work():
    optimiser = torch.optim.Adam(model.parameters())
    model(x.double()).sum().backward(); optimiser.step(); found.append(torch.rand(2))
thread = threading.Thread(target=work); thread.start(); thread.join()
torch.use_deterministic_algorithms(False)
sys.stdout.write("half "); sys.stdout.writelines(["a\\n", "b 1.5\\n"]); sys.stdout.flush(); print(sys.stdout.isatty())
warnings.resetwarnings()
""",
}


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.filterwarnings("ignore")
def test_a_watched_script_computes_and_prints_what_it_does_unwatched(name, tmp_path):
    file = written(tmp_path, "script", START + SCRIPTS[name])
    alone = run(file)
    watched = run(file, Watch(Recorder(tmp_path / "out", {}, store=0.1), file.parent))
    assert watched[0] == alone[0]
    assert watched[1] == alone[1]
