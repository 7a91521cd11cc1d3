"""The evidence on each claim: functions that measure a claim, and yield the facts that the measurements show."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from parity.execution import cast
from parity.judge import judge
from parity.root_ggfm.claims.facts import Fact, Role, claims, limits, notes, unmeasured
from parity.root_ggfm.claims.i18n import TEXTS, Text, code, say
from parity.root_ggfm.claims.measurements import POOL_SIZE, Measurements, Switches
from parity.root_ggfm.claims.whole_runs import RUNS_EVIDENCE
from parity.root_ggfm.components import component
from parity.root_ggfm.inputs import designs
from parity.root_ggfm.profiles import switches
from parity.root_ggfm.sides.root_config import loader_defaults
from parity.root_ggfm.stated_differences import ReferenceWithDifferences
from parity.root_ggfm.training_trace import step_of
from parity.side import Tree
from parity.verdict import Verdict

__all__ = ["EVIDENCE", "Evidence"]

Facts = Iterator[Fact]
Evidence = Callable[[Measurements], Iterable[Fact]]

_SAME = (Verdict.IDENTICAL,)
_AGREES = (Verdict.IDENTICAL, Verdict.ROUNDING)
_DIFFERS = (Verdict.DIVERGENT,)

_EPOCHS = 20
_TOP = 2000
_FARTHER = 1.1
"""Pairs count as farther apart if their median distance grows by a tenth: seeds alone move it by about one percent."""

_ALL_KEPT: dict[str, Any] = {"counts": [POOL_SIZE] * 8, "dim": 1}
"""The most that an epoch yields: 8 functions with all their pairs kept."""

_LETTERS: dict[str, Any] = {"source": "discrete", "rows": 30, "dim": 5}
"""A small discrete task."""

_BROADCASTS: dict[str, Any] = {"objective": "ysubx", "batch": 6}
"""Objective and batch size (that of D) at which ROOT's logged value exists although it is made from y_high."""

_ONE_STEP: dict[str, Any] = {"optimizer": "SGD", "accumulate": 1, "batches": 1}

_NOWHERE = Text("", "")


def _judged(
    measure: Measurements,
    name: str,
    expected: Sequence[Verdict],
    *,
    role: Role = Role.CLAIM,
    on: Sequence[str] = (),
    said: Text = _NOWHERE,
    **changes: Any,
) -> Fact:
    """Return the verdict on a component as a fact, which holds if it is one of `expected`. `said`: on which input."""
    found = measure.judged(name, on=on, **changes)
    values = {"component": name, "where": said, "switches": code(on), "verdict": found.verdict}
    holds, command = found.verdict in expected, measure.command(found, on)
    return Fact.of(role, holds, "judged.on" if on else "judged.off", command=command, **values)


def _pinned(measure: Measurements, switch: str, expected: Sequence[Verdict] = _DIFFERS, **options: Any) -> Fact:
    """Return the verdict on a known difference alone, at the input where the ledger pins it; options of `_judged`."""
    entry = measure.ledger[switch]
    return _judged(measure, entry.component, expected, on=[switch], **entry.example, **options)


def _small_run(measure: Measurements, switch: str, *, parts: bool = False) -> Fact:
    """Compare a small run that has the switch on with one that has it off; the claim is that they part, or do not."""
    seen = measure.first_seen(switch)
    if seen is None:
        return claims(not parts, "small_run.same", switch=switch)
    return claims(parts, "small_run.parts", switch=switch, leaf=seen[1])


def _when(seen: tuple[int | str, str] | None) -> Text:
    return TEXTS["word.never"] if seen is None else say("word.at", leaf=seen[1])


def source_lines(_: Measurements) -> Facts:
    """No measurement can help."""
    yield unmeasured("source_lines.absent")


# Section 1: where training data comes from.


def root_pool(measure: Measurements) -> Facts:
    """Fixed, the 1024 best."""
    _, y, name = measure.offline()
    first, second = measure.pools(None, _EPOCHS)[:2]
    best = y.sort(descending=True).values[:POOL_SIZE]
    ranked = torch.equal(y[first].sort(descending=True).values, best)
    setting = measure.configured("GP.type_of_initial_points")
    held = len(first)
    yield claims(ranked and held == POOL_SIZE, "root_pool.best", designs=name, held=held, size=POOL_SIZE, ranked=ranked)
    yield claims(torch.equal(first, second), "root_pool.next", others=int((first != second).sum()))
    yield claims(setting == ["highest"], "root_pool.setting", values=setting)
    yield _judged(measure, "pool", _SAME, role=Role.NOTE)


def ggfm_pool(measure: Measurements) -> Facts:
    """New in every epoch: half of the 2000 best, half of all."""
    _, y, name = measure.offline()
    first, second = measure.pools(["pool"], _EPOCHS)[:2]
    top = y >= y.sort(descending=True).values[_TOP - 1]
    half = POOL_SIZE // 2
    best, anywhere = (int(top[rows].sum()) for rows in (first[:half], first[half:]))
    expected = float(top.float().mean())
    shared, held = len(set(first.tolist()) & set(second.tolist())), len(first)
    yield claims(
        held == POOL_SIZE and best == half, "ggfm_pool.best", designs=name, held=held, half=half, best=best, top=_TOP
    )
    yield claims(
        abs(anywhere / half - expected) < 0.1,  # five standard deviations of a share of 512
        "ggfm_pool.others",
        half=half,
        anywhere=anywhere,
        top=_TOP,
        expected=expected * half,
    )
    yield claims(shared < POOL_SIZE, "ggfm_pool.next", shared=shared)
    yield notes("ggfm_pool.distinct", distinct=len(set(first.tolist())))
    yield _pinned(measure, "pool")


def root_starts(measure: Measurements) -> Facts:
    """All of ROOT's pairs start from the best."""
    points, functions = (measure.configured(f"GP.{name}") for name in ("num_points", "num_functions"))
    below = _share_below_median(measure, None)
    yield claims(points == [POOL_SIZE], "root_starts.points", points=points, functions=functions)
    yield claims(below == 0, "root_starts.below", below=below)


def ggfm_starts(measure: Measurements) -> Facts:
    """About half of GGFM's come from everywhere, so that about a quarter lies below the median."""
    below = _share_below_median(measure, ["pool"])
    yield claims(below > 0.1, "ggfm_starts.below", epochs=_EPOCHS, below=below)
    yield notes("ggfm_starts.half")


def high_region(measure: Measurements) -> Facts:
    """The process that made the pairs scores both ends; these are compared with the scores of all designs."""
    tree, y = _pairs(measure, []), _standardised(measure)[1]
    middle, worst = float(y.median()), float(y.min())
    low, high = _ends(tree, "y_low"), _ends(tree, "y_high")
    above_low, above_high = (float((ends > middle).float().mean()) for ends in (low, high))
    yield claims(above_high > 0.5, "high_region.high", task=measure.context.task.name, above=above_high)
    yield claims(above_low > 0.5, "high_region.low", above=above_low, worse=float((low < worst).float().mean()))
    medians = {"low": float(low.median()), "high": float(high.median())}
    yield notes("high_region.medians", **medians, worst=worst, best=float(y.max()))


def far_pairs(measure: Measurements) -> Facts:
    """The distance between the ends of a pair, from either pool, by the same Gaussian processes."""
    pairs = {"root": _pairs(measure, []), "ggfm": _pairs(measure, ["pool"])}
    apart = {side: float(_distance(tree).median()) for side, tree in pairs.items()}
    rise = {side: float((_ends(tree, "y_high") - _ends(tree, "y_low")).median()) for side, tree in pairs.items()}
    ratio, task = apart["ggfm"] / apart["root"], measure.context.task.name
    yield claims(ratio > _FARTHER, "far_pairs.distance", task=task, **apart, ratio=ratio, farther=_FARTHER)
    yield notes("far_pairs.rise", **rise)
    yield notes("far_pairs.start", steps=measure.published("GP.num_gradient_steps"))


def distribution_shift(measure: Measurements) -> Facts:
    """Count the designs that are starts of the test and of training."""
    count = int(measure.published("testing.num_candidates"))
    start = set(torch.argsort(measure.offline().y)[-count:].tolist())
    pools = measure.pools(["pool"], _EPOCHS)
    root, ggfm = (len(start & set(rows.tolist())) for rows in (measure.pools(None, _EPOCHS)[0], pools[0]))
    ever = len(start & {row for rows in pools for row in rows.tolist()})
    yield claims(root > ggfm, "distribution_shift.met", count=count, root=root, ggfm=ggfm)
    yield limits(ever > 0.9 * count, "distribution_shift.ever", epochs=_EPOCHS, ever=ever)
    yield notes("distribution_shift.cost")


def _share_below_median(measure: Measurements, on: Switches) -> float:
    y = measure.offline().y
    return float((y[torch.cat(measure.pools(on, _EPOCHS))] < y.median()).float().mean())


def _standardised(measure: Measurements) -> tuple[Tensor, Tensor]:
    """Return all designs of the task and their scores as the process sees them."""
    every = {"source": "task", "rows": len(measure.context.task.x)}
    return designs(every, measure.context, torch.Generator().manual_seed(0))


def _pairs(measure: Measurements, on: Sequence[str]) -> Tree:
    """Return pairs of 2 functions from 256 starts of the pool, by a process fitted on 500 designs, as published."""

    def make() -> Tree:
        x, y = _standardised(measure)
        fit = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))[:500]
        inputs = {"x": x, "y": y, "type_of_initial_points": "highest", "num_points": POOL_SIZE, "epochs": 1}
        pool = measure.ggfm("pool", on=on, inputs=inputs)["epoch0"]
        same = ("noise", "num_gradient_steps", "delta_lengthscale", "delta_variance", "threshold_diff")
        settings = {name: name for name in same} | {
            "lengthscale": "initial_lengthscale",
            "variance": "initial_outputscale",
            "learning_rate": "sampling_from_GP_lr",
        }
        given = {name: measure.published(f"GP.{entry}") for name, entry in settings.items()}
        sampled = {"x_train": x[fit], "y_train": y[fit], "pool": pool, "num_functions": 2, "num_points": 256, "seed": 0}
        return measure.ggfm("gp_pairs", on=on, inputs=sampled | given)

    return measure.once(f"pairs {on}", make)


def _ends(tree: Tree, name: str) -> Tensor:
    return torch.cat([tree[f"f{f}/{name}"] for f in range(len(tree["counts"]))])


def _distance(tree: Tree) -> Tensor:
    apart: Tensor = torch.linalg.vector_norm(_ends(tree, "x_high") - _ends(tree, "x_low"), dim=1)
    return apart


# Section 2: what GP sampling returns, and how it is used.


def ends_only(measure: Measurements) -> Facts:
    """The reference returns ends and scores, no path."""
    names = sorted({name.split("/")[1] for name in measure.root("gp_pairs") if "/" in name})
    yield claims(names == ["x_high", "x_low", "y_high", "y_low"], "ends_only.names", names=code(names))
    yield _judged(measure, "gp_pairs", _AGREES, role=Role.NOTE)


def trajectories(measure: Measurements) -> Facts:
    """The path has another length; point by point it is ROOT's own way."""
    taken, owner, on = 8, component("gp_pairs"), ["trajectory"]
    points = measure.ggfm("gp_pairs", on=on, num_gradient_steps=taken)["f0/trajectory"].shape[1]
    stated = ReferenceWithDifferences(measure.reference, on)
    found = judge(owner, owner.examples[0], stated, measure.side(on), measure.context)
    yield _pinned(measure, "trajectory")
    yield claims(found.agrees, "trajectories.way", verdict=found.verdict)
    yield limits(points != taken + 1, "trajectories.length", taken=taken, way=2 * taken + 1, points=points)


def pairs_as_they_are(measure: Measurements) -> Facts:
    """Every row of a run's first batch is a pair that was given, both ends together."""
    owner, run = component("training_steps"), measure.timeline(None)
    given = cast(owner.build(dict(owner.examples[0]), measure.context))["pairs"][0]
    rows = torch.cat([run[f"step000001/batch/{end}"] for end in ("x_high", "x_low")], dim=1)
    pairs = torch.cat([torch.cat([function["x_high"], function["x_low"]], dim=1) for function in given])
    found = int((rows[:, None] == pairs).all(dim=2).any(dim=1).sum())
    yield claims(found == len(rows), "pairs_as_they_are.found", rows=len(rows), found=found)


def first_and_last(measure: Measurements) -> Facts:
    """The ends of the path are the pair."""
    tree = measure.ggfm("gp_pairs", on=["trajectory"])
    path = tree["f0/trajectory"]
    same = all(torch.equal(path[:, k], tree[f"f0/{end}"]) for k, end in ((0, "x_low"), (-1, "x_high")))
    yield claims(same, "first_and_last.bits", differing=TEXTS["word.none" if same else "word.some"])
    yield _small_run(measure, "trajectory")


def end_points(measure: Measurements) -> Facts:
    """With and without paths the ends are equal to the bit, and so is the run."""
    plain, path = measure.ggfm("gp_pairs"), measure.ggfm("gp_pairs", on=["trajectory"])
    ends = [name for name in plain if "/" in name]
    same = sum(torch.equal(plain[name], path[name]) for name in ends)
    yield claims(same == len(ends), "end_points.same", same=same, ends=len(ends))
    yield _judged(measure, "gp_pairs", _AGREES, said=TEXTS["where.root"])
    yield _small_run(measure, "trajectory")


# Section 3: data loader and batches.


def loader_root(measure: Measurements) -> Facts:
    """A DataLoader that shuffles, with a sampler of its own."""
    drawn, shuffle = measure.outcome("loader").draws, loader_defaults()["shuffle"]
    own = any(draw.own_generator for draw in drawn)
    yield claims(bool(shuffle) and own, "loader_root.shuffle", shuffle=str(shuffle), kind=drawn[0].kind)
    yield _judged(measure, "loader", _SAME, role=Role.NOTE)


def val_frac(measure: Measurements) -> Facts:
    """The function has another default than a run passes."""
    default, passed = loader_defaults()["val_frac"], measure.configured("training.val_frac")
    yield claims(default == 0.2, "val_frac.default", default=default)
    yield limits(passed != [0.2], "val_frac.passed", values=passed)


def loader_ggfm(measure: Measurements) -> Facts:
    """One permutation from torch's generator; given ROOT's permutations the batches are ROOT's."""
    drawn = measure.outcome("loader", on=["loader"]).draws
    only = all(draw.kind == "permutation" and not draw.own_generator for draw in drawn)
    yield _pinned(measure, "loader", [Verdict.RANDOMNESS])
    yield claims(only and len(drawn) > 0, "loader_ggfm.draw", draw=str(drawn[0]))
    yield notes("loader_ggfm.sample")


def held_out(measure: Measurements) -> Facts:
    """The first pairs of a function are left out, and fewer than the claim says."""
    fraction = measure.config("training.val_frac")["DKittyMorphology-Exact-v0"]
    params = {"counts": [100], "dim": 1, "val_frac": fraction}
    tree = measure.root("split", **params)
    given = component("split").build({**params, "seed": 0}, measure.context)
    train, kept = len(tree["train/x_high"]), len(tree["val/x_high"])
    first = torch.equal(tree["val/x_high"], given["functions"][0]["x_high"][:kept])
    yield claims(first and kept > 0, "held_out.first" if first else "held_out.others", kept=kept)
    yield limits(train != 80, "held_out.trained", fraction=fraction, train=train)
    yield _judged(measure, "split", _SAME, role=Role.NOTE)


def all_pairs(measure: Measurements) -> Facts:
    """Nothing is held out."""
    tree = measure.ggfm("split", on=["split"], counts=[100], dim=1)
    train, kept = len(tree["train/x_high"]), len(tree["val/x_high"])
    yield claims(train == 100 and kept == 0, "all_pairs.trained", train=train, kept=kept)
    yield _pinned(measure, "split")


def batch_size_root(measure: Measurements) -> Facts:
    """The configuration's number; the function's default is another."""
    sizes = measure.configured("training.batch_size")
    first = len(measure.root("loader", **_ALL_KEPT, batch_size=sizes[0])["epoch0/batch0/y_high"])
    yield claims(sizes == [64] and first == 64, "batch_size_root.setting", sizes=sizes, first=first)
    yield notes("batch_size_root.default", default=loader_defaults()["batch_size"])


def batch_size_ggfm(measure: Measurements) -> Facts:
    """256, whatever the configuration says."""
    tree = measure.ggfm("loader", on=["batch_size"], **_ALL_KEPT, batch_size=64)
    first = len(tree["epoch0/batch0/y_high"])
    yield claims(first == 256, "batch_size_ggfm.first", first=first)
    yield _pinned(measure, "batch_size")


def accumulation_root(measure: Measurements) -> Facts:
    """The weights move after every second batch, by a sum of gradients."""
    setting = measure.configured("training.accumulate_grad_batches")
    moved = _moves(measure, measure.root("optimiser", accumulate=2))
    yield claims(setting == [2] and moved == [2, 4, 6], "accumulation_root.moved", setting=setting, moved=moved)
    yield notes("accumulation_root.summed")


def accumulation_ggfm(measure: Measurements) -> Facts:
    """The weights move after every batch."""
    moved = _moves(measure, measure.ggfm("optimiser", on=["accumulation"], accumulate=2))
    yield claims(moved == [1, 2, 3], "accumulation_ggfm.moved", moved=moved)
    yield _pinned(measure, "accumulation")


def training_dynamics(measure: Measurements) -> Facts:
    """Batches and updates per epoch, by counting the loader's batches."""
    fraction, size = measure.published("training.val_frac"), measure.published("training.batch_size")
    every = measure.published("training.accumulate_grad_batches")
    given = {**_ALL_KEPT, "val_frac": fraction, "batch_size": size}
    root = _batches(measure.root("loader", **given))
    ggfm = _batches(measure.ggfm("loader", on=["split", "loader", "batch_size"], **given))
    counts = {"root": root, "updates": root // every, "pairs": every * size, "ggfm": ggfm}
    yield claims(ggfm < root / every, "training_dynamics.epoch", **counts)
    for switch in ("split", "batch_size", "accumulation"):
        yield _small_run(measure, switch, parts=True)


def _moves(measure: Measurements, tree: Tree) -> list[int]:
    """Return the first three batches, counted from 1, after which the weights are other than before."""
    owner = component("optimiser")
    weights = [owner.build(owner.examples[0], measure.context)["weights"]["weight"]]
    while f"w{len(weights) - 1}/weight" in tree:
        weights.append(tree[f"w{len(weights) - 1}/weight"])
    return [k for k in range(1, len(weights)) if not torch.equal(weights[k], weights[k - 1])][:3]


def _batches(tree: Tree) -> int:
    return sum(name.startswith("epoch0/") and name.endswith("/y_high") for name in tree)


# Section 4: optimiser and learning rate.


def optimiser_root(measure: Measurements) -> Facts:
    """The configurations agree, and ROOT reads them."""
    entries = measure.config("model.BB.optimizer").values()
    said = {(entry["optimizer"], entry["beta1"], entry["weight_decay"]) for entry in entries}
    name, beta1, decay = next(iter(said))
    plain, other = measure.root("optimiser"), measure.root("optimiser", beta1=0.5)
    read = not torch.equal(plain["w3/weight"], other["w3/weight"])
    yield claims(said == {("Adam", 0.9, 0)}, "optimiser_root.setting", name=name, beta1=beta1, decay=decay)
    yield claims(read, "optimiser_root.read", read=read)


def optimiser_ggfm(measure: Measurements) -> Facts:
    """Adam with its defaults: only the rate is read."""
    yield _pinned(measure, "optimiser", said=TEXTS["where.asked"])
    yield _equal_as_published(measure, Role.NOTE)


def plateau(measure: Measurements) -> Facts:
    """The rate falls where the loss stalls; patience counts optimiser steps."""
    patience = measure.configured("model.BB.lr_scheduler.patience")
    rates = _rates(measure.root("optimiser"))
    fell = [k + 1 for k in range(1, len(rates)) if rates[k] < rates[k - 1]]
    pairs = measure.published("GP.num_functions") * measure.published("GP.num_points")
    batches = pairs * (1 - measure.published("training.val_frac")) / measure.published("training.batch_size")
    updates = batches / measure.published("training.accumulate_grad_batches")
    yield claims(patience == [200] and len(fell) > 0, "plateau.fell", patience=patience, fell=fell)
    yield notes("plateau.steps", updates=updates, patience=patience[0], epochs=patience[0] / updates)


def constant_rate(measure: Measurements) -> Facts:
    """The rate never moves."""
    rates = len(set(_rates(measure.ggfm("optimiser", on=["scheduler"]))))
    yield claims(rates == 1, "constant_rate.rates", rates=rates)
    yield _pinned(measure, "scheduler")


def clipping_root(measure: Measurements) -> Facts:
    """SGD's first step is as long as the rate times the whole gradient."""
    step, full, _ = _sgd_step(measure, measure.root("optimiser", **_ONE_STEP))
    near = math.isclose(step, full, rel_tol=1e-4)  # float32: 24 bits, a difference of close numbers
    yield claims(near, "clipping_root.step", step=step, full=full)


def clipping_ggfm(measure: Measurements) -> Facts:
    """SGD's first step is as long as the rate times 5."""
    step, full, rate = _sgd_step(measure, measure.ggfm("optimiser", on=["grad_clip"], **_ONE_STEP))
    norms = [float(leaf.norm()) for name, leaf in measure.timeline(()).items() if name.endswith("/gradient")]
    near = math.isclose(step, 5 * rate, rel_tol=1e-3)  # the norm is divided by itself plus 1e-6
    yield claims(near, "clipping_ggfm.step", norm=full / rate, step=step / rate)
    yield _pinned(measure, "grad_clip")
    yield notes("clipping_ggfm.seldom", largest=max(norms))


def training_effect(measure: Measurements) -> Facts:
    """Scheduler and clipping differ; the optimiser's settings do not, as published."""
    yield _pinned(measure, "scheduler")
    yield _pinned(measure, "grad_clip")
    yield _equal_as_published(measure, Role.LIMIT)


def _equal_as_published(measure: Measurements, role: Role) -> Fact:
    settings: dict[str, Any] = {"on": ["optimiser"], "beta1": 0.9, "weight_decay": 0.0}
    return _judged(measure, "optimiser", _AGREES, role=role, said=TEXTS["where.published"], **settings)


def _rates(tree: Tree) -> list[float]:
    return [tree[f"lr{k}"] for k in range(sum(name.startswith("lr") for name in tree))]


def _sgd_step(measure: Measurements, tree: Tree) -> tuple[float, float, float]:
    """Return the length of the first step, the rate times the gradient's norm, and the rate."""
    owner = component("optimiser")
    params = {**owner.examples[0], **_ONE_STEP}
    given = owner.build(params, measure.context)
    moved = (tree[f"w0/{name}"] - weight for name, weight in given["weights"].items())
    step, norm = (
        math.sqrt(sum(float(part.double().square().sum()) for part in parts))
        for parts in (moved, given["grads"][0].values())
    )
    return step, params["lr"] * norm, params["lr"]


# Section 5: moving average of the weights.


def average_root(measure: Measurements) -> Facts:
    """Configured, and the weights of evaluation lag behind the current ones."""
    uses, start, every = (
        measure.configured(f"model.EMA.{name}") for name in ("use_ema", "start_ema_step", "update_ema_interval")
    )
    lag = _first_lag(measure.timeline(None))
    yield claims(uses == [True], "average_root.setting", uses=[str(use).lower() for use in uses])
    yield claims(lag is not None, "average_root.lag", lag=lag)
    yield notes("average_root.start", start=start, every=every)


def average_ggfm(measure: Measurements) -> Facts:
    """None is kept: evaluation uses the weights."""
    lag = _first_lag(measure.timeline(("ema",)))
    yield _pinned(measure, "ema")
    yield claims(lag is None, "average_ggfm.lag", lag=lag or TEXTS["word.none"])


def _first_lag(run: Tree) -> int | None:
    """Return the first step after which evaluation would use other weights than the current ones."""
    for name, used in run.items():
        if name.endswith("/evaluation") and not torch.equal(used, run[name.replace("/evaluation", "/weights")]):
            return int(step_of(name))
    return None


# Section 6: encoding of discrete tasks.


def encoding_root(measure: Measurements) -> Facts:
    """Logits, and a task that stays as it is."""
    mapped = bool(measure.root("encoding", **_LETTERS)["task_is_mapped"])
    yield claims(not mapped, "encoding.mapped", mapped=mapped)
    yield _judged(measure, "encoding", _SAME, role=Role.NOTE, example=1)


def encoding_ggfm(measure: Measurements) -> Facts:
    """The task itself is changed."""
    mapped = bool(measure.ggfm("encoding", on=["encoding"], **_LETTERS)["task_is_mapped"])
    yield claims(mapped, "encoding.mapped", mapped=mapped)
    yield _judged(measure, "encoding", _DIFFERS, on=["encoding"], example=1)


def continuous_unaffected(measure: Measurements) -> Facts:
    """A continuous task has nothing to encode."""
    said = TEXTS["where.continuous_designs"]
    yield _judged(measure, "encoding", _SAME, on=["encoding"], example=2, said=said)


def discrete_affected(measure: Measurements) -> Facts:
    """The designs are equal to the bit, and a whole run never notices."""
    root, ggfm = measure.root("encoding", **_LETTERS)["x"], measure.ggfm("encoding", on=["encoding"], **_LETTERS)["x"]
    seen = measure.first_seen("encoding", source="discrete", task_name="TFBind10-Exact-v0")
    counts = {"other": int((root != ggfm).sum()), "all": root.numel()}
    yield _judged(measure, "encoding", _DIFFERS, on=["encoding"], example=1)
    yield limits(torch.equal(root, ggfm), "discrete_affected.numbers", **counts)
    yield limits(seen is None, "discrete_affected.run", where=_when(seen))


# Section 7: Brownian bridge and sampling formulas.


def schedule_equal(measure: Measurements) -> Facts:
    """Schedule, variances and visited timesteps."""
    root, ggfm = measure.root("sample_steps"), measure.ggfm("sample_steps", on=["steps_buffer"])
    same = torch.equal(root["steps"], ggfm["steps"])
    yield _judged(measure, "schedule", _AGREES)
    yield _judged(measure, "sample_steps", _SAME)
    yield claims(same, "schedule_equal.steps", same=same)
    yield notes("schedule_equal.key")


def forward_equal(measure: Measurements) -> Facts:
    """Equal for objective `grad`."""
    yield _judged(measure, "q_sample", _AGREES, said=TEXTS["where.grad"])
    yield _judged(measure, "predict_x0", _AGREES, on=["noise_eps"], said=TEXTS["where.grad"])


def noise_denominator(measure: Measurements) -> Facts:
    """Seen, but it can hardly matter."""
    smallest = float((1 - measure.root("schedule")["m_t"].double()).min())
    yield _pinned(measure, "noise_eps", said=TEXTS["where.noise"])
    yield _judged(measure, "predict_x0", _AGREES, objective="noise", said=TEXTS["where.noise"])
    yield notes("noise_denominator.smallest", smallest=smallest, change=1e-8 / smallest)


def step_variance(measure: Measurements) -> Facts:
    """At published settings the guards change a step by next to nothing, yet by more than float64 rounding."""
    guarded = measure.judged("p_sample", on=["clamp"], where="middle")
    worst = max((leaf.error64 / leaf.scale for leaf in guarded.leaves if leaf.scale), default=0.0)
    yield _judged(measure, "p_sample", _AGREES, where="middle")
    yield _judged(measure, "p_sample", _DIFFERS, role=Role.LIMIT, on=["clamp"], where="middle")
    yield notes("step_variance.worst", worst=worst)


def only_tiny(measure: Measurements) -> Facts:
    """Where rounding makes a variance negative, ROOT returns NaN and GGFM does not: roots are clamped, too."""
    params: dict[str, Any] = dict(measure.ledger["clamp"].example)
    given = {**component("sample").examples[0], **params}
    ggfm = measure.ggfm("sample", on=["clamp"], **params)["x_high"]
    root, published = (
        int(measure.root("sample", **settings)["x_high"].isnan().sum())
        for settings in (params, {"num_timesteps": 1000, "sample_step": 200})
    )
    numbers = {"root": root, "ggfm": int(ggfm.isnan().sum()), "all": ggfm.numel()}
    clamped = root > 0 and bool(ggfm.isfinite().all())
    yield claims(not clamped, "only_tiny.nan", T=given["num_timesteps"], S=given["sample_step"], **numbers)
    yield _pinned(measure, "clamp", [Verdict.ERROR], role=Role.NOTE)
    yield notes("only_tiny.published", published=published, all=ggfm.numel())


def y_high_for_x_low(measure: Measurements) -> Facts:
    """ROOT's logged value is that made of y_high."""
    wrong, right = _off_by(measure, None)
    yield claims(wrong < _TINY <= right, "y_high_for_x_low.off", wrong=wrong, right=right)


def x_low_as_it_should(measure: Measurements) -> Facts:
    """GGFM's logged value is that made of x_low."""
    wrong, right = _off_by(measure, ["logged_x0"])
    yield claims(right < _TINY <= wrong, "x_low_as_it_should.off", wrong=wrong, right=right)
    yield _pinned(measure, "logged_x0")


def logged_only(measure: Measurements) -> Facts:
    """No effect on loss or gradient; but other objectives than `grad` fail in ROOT."""
    raised = measure.outcome("p_losses", objective="noise", batch=5).error
    kind = TEXTS["word.none"] if raised is None else type(raised).__name__
    yield _judged(measure, "p_losses", _AGREES, on=["logged_x0"], said=TEXTS["where.loss"])
    yield limits(raised is not None, "logged_only.raises", kind=kind)


def logged_without_effect(measure: Measurements) -> Facts:
    """A run never notices."""
    seen = measure.first_seen("logged_x0")
    yield claims(seen is None, "logged_without_effect.run", where=_when(seen))
    yield _judged(measure, "p_losses", _AGREES, on=["logged_x0"])


def formulas_equal(measure: Measurements) -> Facts:
    """Equal in the forward process; in sampling the guidance is missing."""
    weight = measure.configured("testing.classifier_free_guidance_weight")
    yield _judged(measure, "q_sample", _AGREES)
    yield _judged(measure, "sample", _AGREES)
    yield _judged(measure, "p_sample", _DIFFERS, role=Role.LIMIT, on=["guidance"])
    yield notes("formulas_equal.guidance", weight=weight)


_TINY = 1e-5
"""More than float32 values of order 1 differ by, if they are computed in another order."""


def _off_by(measure: Measurements, on: Switches) -> tuple[float, float]:
    """Return the largest differences of the logged x0 from start - r, with y_high and with x_low as the start."""
    owner, root = component("p_losses"), measure.reference
    given = owner.build({**owner.examples[0], **_BROADCASTS}, measure.context)
    losses = measure.root("p_losses", **_BROADCASTS) if on is None else measure.ggfm("p_losses", on=on, **_BROADCASTS)
    bridge, t, high, low = (given[name] for name in ("bridge", "t", "y_high", "x_low"))
    x_t = root.q_sample(bridge, x_high=given["x_high"], x_low=low, t=t, noise=given["noise"])["x_t"]
    r = root.denoiser(bridge, state=given["state"], x_t=x_t, t=t, y_first=high, y_second=given["y_low"])["output"]
    wrong, right = (float((losses["x0_recon"] - (start - r.detach())).abs().max()) for start in (high, low))
    return wrong, right


# Section 8: evaluation.


def candidates_root(measure: Measurements) -> Facts:
    """The last 128 of the designs sorted by score."""
    kinds, counts = measure.configured("testing.type_sampling"), measure.configured("testing.num_candidates")
    x, y, _ = measure.offline()
    count = counts[0]
    inputs = {"x": x, "y": y, "n_candidates": count, "type": "highest", "percentile_sampling": 0.2, "seed": 0}
    last = torch.equal(measure.root("candidates", inputs=inputs)["y"], y[torch.argsort(y)[-count:]])
    yield claims(kinds == ["highest"] and counts == [128], "candidates_root.setting", kinds=kinds, count=counts)
    yield claims(last, "candidates_root.last", count=count, last=last)


def percentile(measure: Measurements) -> Facts:
    """Configured, and without effect on `highest`."""
    values = measure.configured("testing.percentile_sampling")
    same, other = (
        torch.equal(*(measure.root("candidates", type=kind, percentile_sampling=share)["x"] for share in (0.2, 1.0)))
        for kind in ("highest", "low")
    )
    words = {True: TEXTS["word.equal"], False: TEXTS["word.different"]}
    yield claims(values == [0.2], "percentile.setting", values=values)
    yield limits(same and not other, "percentile.effect", highest=words[same], low=words[other])


def candidates_ggfm(measure: Measurements) -> Facts:
    """Equal by all ways to choose."""
    for number, example in enumerate(component("candidates").examples[:5]):
        choice = example["type"]
        role = Role.CLAIM if choice in ("highest", "low") else Role.NOTE
        said = say("where.choice", choice=choice)
        yield _judged(measure, "candidates", _SAME, role=role, example=number, said=said)


def scores_equal(measure: Measurements) -> Facts:
    """On the task, discrete or continuous."""
    yield _judged(measure, "evaluation", _SAME, said=say("where.task", task=measure.context.task.name))
    yield _judged(measure, "evaluation", _SAME, example=1, said=TEXTS["where.continuous"])


def evaluation_aligned(measure: Measurements) -> Facts:
    """Its own components are equal; the sampling between start and score is not."""
    yield _judged(measure, "candidates", _SAME)
    yield _judged(measure, "target", _AGREES)
    yield _judged(measure, "evaluation", _SAME)
    yield _judged(measure, "sample", _DIFFERS, role=Role.LIMIT, on=["guidance"])
    yield notes("evaluation_aligned.sampling")
    yield notes("evaluation_aligned.earlier")


# Section 10: advice. Section 9 and whatever else takes whole runs is in `whole_runs`.


def _advice(*names: str) -> Evidence:
    """Return the evidence that a piece of advice can be followed: with these switches off, their components agree."""

    def evidence(measure: Measurements) -> Facts:
        for owner in dict.fromkeys(measure.ledger[name].component for name in names):
            yield _judged(measure, owner, _AGREES)

    return evidence


_ADVICE = {
    "advice_pool": ("pool",),
    "advice_ema": ("ema",),
    "advice_batches": ("batch_size", "split", "loader"),
    "advice_rate": ("scheduler", "accumulation"),
}
"""The switches that each piece of advice turns off."""


def advice_suffices(measure: Measurements) -> Facts:
    """Once all advice is followed, differences that the list does not mention still part the runs."""
    advised = {name for names in _ADVICE.values() for name in names}
    left = [name for name in switches("described") if name not in advised]
    known, missed = ([n for n in left if bool(measure.ledger[n].section) is listed] for listed in (True, False))
    seen = measure.first_seen(*left)
    leaf = {"leaf": seen[1]} if seen else {}
    yield _judged(measure, "training", _AGREES, on=known)
    yield _judged(measure, "training", [v for v in Verdict if not v.agrees], role=Role.LIMIT, on=left)
    yield notes("advice_suffices.parts" if seen else "advice_suffices.same", **leaf, missed=code(missed))


def own_pipeline(measure: Measurements) -> Facts:
    """With every switch off GGFM's own pipeline follows ROOT's through whole small runs."""
    owner = component("training")
    again = judge(owner, owner.examples[0], measure.reference, measure.side(None), measure.context).verdict
    yield claims(again is Verdict.IDENTICAL, "own_pipeline.again", verdict=again)
    yield _judged(measure, "training", _AGREES, role=Role.LIMIT, said=TEXTS["where.continuous"])
    yield _judged(measure, "training", _AGREES, role=Role.LIMIT, example=5, said=TEXTS["where.discrete"])
    yield notes("own_pipeline.unnecessary")


_BY_NAME: tuple[Evidence, ...] = (
    source_lines, root_pool, ggfm_pool, root_starts, ggfm_starts, high_region, far_pairs, distribution_shift,
    ends_only, trajectories, pairs_as_they_are, first_and_last, end_points, loader_root, val_frac, loader_ggfm,
    held_out, all_pairs, batch_size_root, batch_size_ggfm, accumulation_root, accumulation_ggfm, training_dynamics,
    optimiser_root, optimiser_ggfm, plateau, constant_rate, clipping_root, clipping_ggfm, training_effect,
    average_root, average_ggfm, encoding_root, encoding_ggfm, continuous_unaffected, discrete_affected,
    schedule_equal, forward_equal, noise_denominator, step_variance, only_tiny, y_high_for_x_low, x_low_as_it_should,
    logged_only, logged_without_effect, formulas_equal, candidates_root, percentile, candidates_ggfm, scores_equal,
    evaluation_aligned, advice_suffices, own_pipeline,
)  # fmt: skip

EVIDENCE: dict[str, Evidence] = {
    **{evidence.__name__: evidence for evidence in _BY_NAME},
    **{name: _advice(*names) for name, names in _ADVICE.items()},
    **RUNS_EVIDENCE,
}
"""The evidence by the name under which the claims ask for it."""
