"""Section 8: where the test starts, what it asks for, how it scores."""

from __future__ import annotations

import torch

from parity.root_ggfm.claims.bench import Bench
from parity.root_ggfm.claims.facts import Fact, Role, claims, limits, notes
from parity.root_ggfm.claims.words import judged
from parity.root_ggfm.components import component
from parity.verdict import Verdict

__all__ = ["candidates_ggfm", "candidates_root", "evaluation_aligned", "percentile", "scores_equal"]

_AGREES = [Verdict.IDENTICAL, Verdict.ROUNDING]


def candidates_root(bench: Bench) -> list[Fact]:
    """The last 128 of the designs sorted by score."""
    kinds = set(bench.config("testing.type_sampling").values())
    count = sorted(set(bench.config("testing.num_candidates").values()))
    x, y, *_ = bench.offline()
    inputs = {
        "x": x, "y": y, "n_candidates": count[0], "type": "highest", "percentile_sampling": 0.2, "seed": 0,
    }  # fmt: skip
    chosen = bench.root("candidates", inputs=inputs)["y"]
    last = torch.equal(chosen, y[torch.argsort(y)[-count[0] :]])
    return [
        claims(
            kinds == {"highest"} and count == [128],
            f"ROOT's configurations say `type_sampling` {', '.join(kinds)} and `num_candidates` {', '.join(map(str, count))}.",
            f"ROOT 各配置中 `type_sampling` 为 {'、'.join(kinds)}，`num_candidates` 为 {'、'.join(map(str, count))}。",
        ),
        claims(
            last,
            f"That these are the last {count[0]} in ascending order of score: {'yes' if last else 'no'}.",
            f"它们正是按分数升序排列的最后 {count[0]} 个：{'是' if last else '否'}。",
        ),
    ]  # fmt: skip


def percentile(bench: Bench) -> list[Fact]:
    """Configured, and without effect on `highest`."""
    config = sorted(set(bench.config("testing.percentile_sampling").values()))
    same = torch.equal(*(bench.root("candidates", percentile_sampling=share)["x"] for share in (0.2, 1.0)))
    other = torch.equal(*(bench.root("candidates", type="low", percentile_sampling=share)["x"] for share in (0.2, 1.0)))
    return [
        claims(
            config == [0.2],
            f"`percentile_sampling` in all of ROOT's configurations: {', '.join(map(str, config))}.",
            f"ROOT 所有配置中的 `percentile_sampling`：{'、'.join(map(str, config))}。",
        ),
        limits(
            same and not other,
            f"0.2 and 1.0 give {'equal' if same else 'different'} candidates for `highest` and {'equal' if other else 'different'} "
            "ones for `low`: as published the setting has no effect.",
            f"取 0.2 与 1.0 时，`highest` 的候选{'相同' if same else '不同'}，`low` 的候选{'相同' if other else '不同'}：按已发布配置，该项不起作用。",
        ),
    ]  # fmt: skip


def candidates_ggfm(bench: Bench) -> list[Fact]:
    """Judged on all ways to choose."""
    kinds = [example["type"] for example in component("candidates").examples[:5]]
    facts = []
    for number, kind in enumerate(kinds):
        judgement = bench.judged("candidates", example=number)
        role = Role.CLAIM if kind in ("highest", "low") else Role.NOTE
        facts.append(judged(bench, role, judgement, [Verdict.IDENTICAL], en=f"with `{kind}`", zh=f"`{kind}`"))
    return facts


def scores_equal(bench: Bench) -> list[Fact]:
    """On the task, discrete or continuous."""
    return [
        judged(bench, Role.CLAIM, bench.judged("evaluation"), [Verdict.IDENTICAL],
               en=f"on {bench.context.task.name}", zh=bench.context.task.name),
        judged(bench, Role.CLAIM, bench.judged("evaluation", example=1), [Verdict.IDENTICAL],
               en="on a continuous task", zh="连续任务"),
    ]  # fmt: skip


def evaluation_aligned(bench: Bench) -> list[Fact]:
    """Its own components are; the sampling between start and score is not."""
    return [
        judged(bench, Role.CLAIM, bench.judged("candidates"), [Verdict.IDENTICAL]),
        judged(bench, Role.CLAIM, bench.judged("target"), _AGREES),
        judged(bench, Role.CLAIM, bench.judged("evaluation"), [Verdict.IDENTICAL]),
        judged(bench, Role.LIMIT, bench.judged("sample", on=["guidance"]), [Verdict.DIVERGENT], on=["guidance"]),
        notes(
            "Between candidates and scores lies sampling: with equal weights, without guidance it ends in other designs. That "
            "part of the gap is neither training nor EMA.",
            "候选与评分之间还有采样：即使权重相同，没有引导也会得到不同的设计。这部分差距既不来自训练，也不来自 EMA。",
        ),
        notes(
            "An earlier GGFM asked for the 99th percentile of the offline scores (switch `target`); the GGFM of the list does not.",
            "更早的 GGFM 以离线分数的第 99 百分位为条件（开关 `target`）；清单所述的 GGFM 则没有。",
        ),
    ]  # fmt: skip
