"""Sections 9 and 10: what each difference costs in the final score, and how far the advice leads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from parity.judge import judge
from parity.loading import load_side
from parity.root_ggfm.claims.bench import Bench
from parity.root_ggfm.claims.facts import Fact, Role, claims, limits, notes, unmeasured
from parity.root_ggfm.claims.words import VERDICTS_ZH, judged, listed
from parity.root_ggfm.components import component
from parity.root_ggfm.profiles import switches
from parity.root_ggfm.runs.comparison import Comparison, Standing, compare
from parity.root_ggfm.runs.run_spec import PERCENTILES
from parity.verdict import Verdict

__all__ = ["ADVISED", "SUSPECTS", "advice", "advice_suffices", "cost", "cost_of_average", "large_gap", "own_pipeline"]

SUSPECTS: tuple[tuple[str, ...], ...] = (
    ("pool",), ("ema",), ("split", "batch_size", "accumulation"), ("scheduler",),
)  # fmt: skip
"""The list's ranking of causes, as ggfm's switches."""

ADVISED = ("pool", "ema", "batch_size", "split", "loader", "scheduler", "accumulation")
"""What section 10 asks to be aligned."""

_AGREES = [Verdict.IDENTICAL, Verdict.ROUNDING]
_P100 = "p100"


def large_gap(bench: Bench) -> list[Fact]:
    """The described GGFM against ROOT, over whole runs."""
    found = _compared(bench, switches("described"))
    if found is None:
        return [_missing(bench, switches("described"), "--profile described")]
    return [
        _gap(bench, found, switches("described"), "as the list describes GGFM", "按清单所述的 GGFM"),
        *_other_percentiles(bench, switches("described")),
    ]


def cost(place: int) -> Callable[[Bench], list[Fact]]:
    """The evidence on the suspect at a place (from 0) of the ranking: that it costs something, and no lower one more."""

    def evidence(bench: Bench) -> list[Fact]:
        on = SUSPECTS[place]
        found = _compared(bench, on)
        if found is None:
            return [_missing(bench, on, " ".join(f"--on {name}" for name in on))]
        shift = _shift(bench, on)
        worse = [s for s in SUSPECTS[place + 1 :] if _compared(bench, s) and _shift(bench, s) < shift]
        better = [s for s in SUSPECTS[:place] if _compared(bench, s) and _shift(bench, s) > shift]
        outside = [(n,) for n in _unlisted(bench) if _compared(bench, (n,)) and _shift(bench, (n,)) < shift]
        ranked = [*worse, *better, *outside]
        return [
            _gap(bench, found, on, f"with only {listed(on, 'en')} on", f"仅打开 {listed(on, 'zh')} 时"),
            limits(
                bool(ranked),
                f"Differences measured here that stand elsewhere than the list ranks them: {_sets(ranked, 'en') or 'none'}.",
                f"已测差异中与清单排序不符的：{_sets(ranked, 'zh') or '无'}。",
            ),
        ]

    return evidence


def cost_of_average(bench: Bench) -> list[Fact]:
    """What testing with the current weights costs."""
    return cost(1)(bench)


def advice(*names: str) -> Callable[[Bench], list[Fact]]:
    """The evidence that a piece of advice can be followed: with these switches off, their components agree."""

    def evidence(bench: Bench) -> list[Fact]:
        owners = dict.fromkeys(bench.ledger[name].component for name in names)
        return [judged(bench, Role.CLAIM, bench.judged(owner), _AGREES) for owner in owners]

    return evidence


def advice_suffices(bench: Bench) -> list[Fact]:
    """What is left once all advice is followed: what the list does not mention still parts the runs."""
    left = [name for name in switches("described") if name not in ADVISED]
    missed = [name for name in left if not bench.ledger[name].section]
    known = [name for name in left if bench.ledger[name].section]
    seen = bench.first_seen(*left)
    where = f"`{seen[1]}`" if seen else None
    return [
        judged(bench, Role.CLAIM, bench.judged("training", on=known), _AGREES, on=known),
        judged(bench, Role.LIMIT, bench.judged("training", on=left), [v for v in Verdict if not v.agrees], on=left),
        notes(
            f"With all advice followed a small run parts at {where or 'no step'}. What is left and not in the list: {listed(missed, 'en')}.",
            f"按全部建议对齐后，小规模训练{f'从 {where} 起出现差异' if where else '不再出现差异'}。仍存在且清单未提及的差异：{listed(missed, 'zh')}。",
        ),
    ]  # fmt: skip


def own_pipeline(bench: Bench) -> list[Fact]:
    """With every switch off GGFM's own pipeline follows ROOT's through whole small runs."""
    owner = component("training")
    again = judge(owner, owner.examples[0], bench.reference, load_side("reference_root"), bench.context)
    continuous, discrete = bench.judged("training"), bench.judged("training", example=5)
    return [
        claims(
            again.verdict is Verdict.IDENTICAL,
            f"ROOT's pipeline against itself, from equal seeds: {again.verdict}. Taken over as it is, it leaves nothing to differ.",
            f"ROOT 的管线与自身比较（相同种子）：“{VERDICTS_ZH[again.verdict]}”（{again.verdict}）。原样复用则不会再有差异。",
        ),
        judged(bench, Role.LIMIT, continuous, _AGREES, en="on a continuous task", zh="连续任务"),
        judged(bench, Role.LIMIT, discrete, _AGREES, en="on a discrete task", zh="离散任务"),
        notes(
            "So it is not necessary: GGFM's own pipeline follows ROOT's once every difference is off.",
            "因此并非必需：关闭全部差异后，GGFM 自己的管线即与 ROOT 一致。",
        ),
    ]


def _gap(bench: Bench, found: Comparison, on: Sequence[str], en: str, zh: str) -> Fact:
    """A lower score decides only where rounding does not explain it; equal scores refute."""
    shift = _shift(bench, on)
    p = "" if found.p_values is None else f" (p = {found.p_values[_P100]:.4f})"
    p_zh = p.replace(" (", "（").replace(")", "）")
    en = f"{found.task}, size {found.size}, {len(found.seeds)} seeds, {en}: the 100th percentile is shifted by {shift:+.3f} against ROOT{p}"
    zh = f"{found.task}，规模 {found.size}，{len(found.seeds)} 个种子，{zh}：第 100 百分位得分相对 ROOT 偏移 {shift:+.3f}{p_zh}"
    if found.standing is Standing.WITHIN:
        return unmeasured(
            f"{en}; that cannot be told from rounding.", f"{zh}；无法与舍入误差的影响区分。", _command(bench)
        )
    if found.standing is Standing.UNKNOWN:
        return unmeasured(
            f"{en}; too few runs of ROOT with `--nudge` say what rounding does.",
            f"{zh}；ROOT 的 `--nudge` 运行太少，无法得知舍入误差的影响。",
            _command(bench),
        )
    return claims(shift < 0, f"{en}.", f"{zh}。", _command(bench))


def _unlisted(bench: Bench) -> list[str]:
    return [name for name, entry in bench.ledger.items() if not entry.section]


def _results(bench: Bench, on: Sequence[str]) -> list[Mapping[str, Any]]:
    return [r for r in bench.runs if r["side"] != "reference_root" and set(r["switches"]) == set(on)]


def _compared(bench: Bench, on: Sequence[str]) -> Comparison | None:
    """The comparison of these runs with root; that over most seeds, where tasks or sizes differ."""
    labels = {r["label"] for r in _results(bench, on)}
    made = bench.once("comparisons", lambda: compare(bench.runs))
    return max((c for c in made if c.label in labels and c.candidate), key=lambda c: len(c.seeds), default=None)


def _shift(bench: Bench, on: Sequence[str], key: str = _P100) -> float:
    """Mean over seeds of the candidate's score less root's."""
    found = _compared(bench, on)
    assert found is not None
    of = {
        label: {r["seed"]: r["scores"][key] for r in bench.runs
                if r["label"] == label and r["task"] == found.task and r["size"] == found.size and r["scores"]}
        for label in ("root", found.label)
    }  # fmt: skip
    return float(np.mean([of[found.label][seed] - of["root"][seed] for seed in found.seeds]))


def _other_percentiles(bench: Bench, on: Sequence[str]) -> list[Fact]:
    rest = {name: _shift(bench, on, key) for key, name in PERCENTILES.items() if key != _P100}
    en = ", ".join(f"{name} {shift:+.3f}" for name, shift in rest.items())
    return [notes(f"The other percentiles: {en}.", f"其余百分位：{en}。")]


def _missing(bench: Bench, on: Sequence[str], options: str) -> Fact:
    folder = bench.runs_folder or "runs"
    task = bench.context.task.name
    return unmeasured(
        f"What {listed(on, 'en') if len(on) < 5 else 'all of it together'} costs in the score takes whole runs of both sides, "
        "and none of these were given (`--runs`).",
        f"{listed(on, 'zh') + ' ' if len(on) < 5 else '全部差异合起来'}对得分的影响需要双方的完整训练与测试，此处未提供（`--runs`）。",
        "\n".join(
            f"parity run --side {side} --task {task} --seeds 0-7 --out {folder}"
            for side in ("root", "root --nudge 1", "root --nudge 2", f"ggfm {options}")
        )
        + f"\nparity list --runs {folder}",
    )


def _command(bench: Bench) -> str:
    return f"parity runs {bench.runs_folder}"


def _sets(sets: Sequence[Sequence[str]], language: str) -> str:
    return ("；" if language == "zh" else "; ").join(listed(names, language) for names in sets)
