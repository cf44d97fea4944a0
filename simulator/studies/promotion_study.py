"""The lifecycle's study: `python -m simulator.studies.promotion_study [--runs N] [--json]`. Seeds are fixed.

Takes a quarter of an hour on one core, most of it for the runs without a change.
"""

from collections.abc import Iterable, Sequence

import click
import msgspec
from rich.console import Console
from rich.progress import track
from rich.table import Table

from cxi_bandit.domain.gate import Ruling
from cxi_bandit.domain.promotion import Step
from simulator.lifecycle.cases import CASES, Ending, NotAsMeant

ALPHA = 0.05
UNCHANGED = "no_change"
_TENTH = 10


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One case over its seeds.

    Attributes:
        runs: Those that came to where the case begins.
        begun: All of them.
        let_go: By the gate, offline.
        live: In the end.
        whole_way: Live, and let go by the gate.
        rolled_back: In the end.
        decisions: From the change of the world, or the canary's beginning, to the end: median and most.
        lost: Expected reward given up meanwhile, in the reward's unit: median and most; below 0 it was gained.
        within: Share of the runs with a bound that were taken back within it.
        bound: The least and the greatest of these bounds, in decisions.
    """

    case: str
    runs: int
    begun: int
    let_go: int
    live: int
    whole_way: int
    rolled_back: int
    decisions: tuple[int, int] | None
    lost: tuple[float, float] | None
    within: float | None
    bound: tuple[int, int] | None


def runs_of(case: str, seeds: Iterable[int]) -> list[Ending]:
    """The endings of a case, but for the seeds that did not come to where it begins."""
    found = []
    for seed in seeds:
        try:
            found.append(CASES[case](seed))
        except NotAsMeant:
            continue
    return found


def found(case: str, begun: int, endings: Sequence[Ending]) -> Finding:
    """What the endings come to."""
    costs = sorted((ending.harm for ending in endings if ending.harm is not None), key=lambda cost: cost.decisions)
    lost = sorted(cost.lost for cost in costs)
    bounded = [ending for ending in endings if ending.bound is not None and ending.harm is not None]
    within = [
        ending.step is Step.ROLLED_BACK and ending.harm.decisions <= ending.bound
        for ending in bounded
        if ending.harm is not None and ending.bound is not None
    ]
    bounds = [ending.bound for ending in bounded if ending.bound is not None]
    half = len(costs) // 2
    return Finding(
        case=case,
        runs=len(endings),
        begun=begun,
        let_go=sum(ending.ruling is Ruling.GO for ending in endings),
        live=sum(ending.step is Step.LIVE for ending in endings),
        whole_way=sum(ending.step is Step.LIVE and ending.ruling is Ruling.GO for ending in endings),
        rolled_back=sum(ending.step is Step.ROLLED_BACK for ending in endings),
        decisions=(costs[half].decisions, costs[-1].decisions) if costs else None,
        lost=(lost[half], lost[-1]) if costs else None,
        within=sum(within) / len(within) if within else None,
        bound=(min(bounds), max(bounds)) if bounds else None,
    )


def passed(finding: Finding) -> bool:
    """Whether a case ended as it must."""
    match finding.case:
        case "better":
            return finding.whole_way == finding.let_go - finding.rolled_back > 0
        case "worse":
            return finding.let_go == finding.live == 0
        case "no_change":
            return max(finding.live, finding.let_go, finding.rolled_back) < ALPHA * finding.runs
        case _:
            return finding.rolled_back == finding.runs > 0


@click.command()
@click.option("--runs", default=200, show_default=True, help="Without a change; of the other cases a tenth.")
@click.option("--only", type=click.Choice(list(CASES)), help="One case alone.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def main(context: click.Context, runs: int, only: str | None, *, as_json: bool) -> None:
    """Walk candidates from proposal to their end, many times, in worlds whose truth is known."""
    findings = []
    console = Console(stderr=True)
    for case in CASES if only is None else (only,):
        begun = runs if case == UNCHANGED else max(runs // _TENTH, 1)
        seeds = track(range(1, begun + 1), description=case, console=console, transient=True)
        findings.append(found(case, begun, runs_of(case, seeds)))
    if as_json:
        click.echo(msgspec.json.encode(findings))
    else:
        _print(findings)
    context.exit(0 if all(passed(finding) for finding in findings) else 1)


def _print(findings: Sequence[Finding]) -> None:
    table = Table(title="From proposal to the end", title_justify="left")
    for heading in ("case", "runs", "let go", "live", "rolled back", "decisions", "lost", "bound", "within", ""):
        table.add_column(heading, justify="left" if heading in {"case", ""} else "right")
    for finding in findings:
        table.add_row(
            finding.case,
            f"{finding.runs} of {finding.begun}",
            str(finding.let_go),
            str(finding.live),
            str(finding.rolled_back),
            "-" if finding.decisions is None else f"{finding.decisions[0]:,}, most {finding.decisions[1]:,}",
            "-" if finding.lost is None else f"{finding.lost[0]:.1f}, most {finding.lost[1]:.1f}",
            "-" if finding.bound is None else f"{finding.bound[0]:,} to {finding.bound[1]:,}",
            "-" if finding.within is None else f"{finding.within:.0%}",
            "ok" if passed(finding) else "miss",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
