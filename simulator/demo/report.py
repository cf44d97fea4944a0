"""What the demo found: one JSON document for machines, tables for people."""

from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from simulator.demo.evidence import AuditSummary, Challenge
from simulator.tally import Standing


class DemoReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the demo ends with.

    Attributes:
        decisions_per_second: As sent; the demo's own pace, not the service's limit.
        over_hold: Engine less hold-only over the last tenth, on the same contexts.
        over_uniform: Engine less uniform, likewise.
        rewards: How many reward events ended how.
        open_bandit: The replay's own JSON document; None where the data is not at hand.
        pictures: Paths.
        seconds: Of the whole demo.
    """

    seed: int
    decisions_per_second: float
    standing: Standing
    over_hold: float
    over_uniform: float
    rewards: dict[str, int]
    challenges: list[Challenge]
    open_bandit: dict[str, Any] | None
    audit: AuditSummary
    pictures: list[str]
    curve: str
    seconds: float


def print_report(report: DemoReport, console: Console) -> None:
    """The tables, in the order of the story: did it learn, could we have known, can it be proved."""
    _standing(report, console)
    _challenges(report, console)
    if report.open_bandit is not None:
        _open_bandit(report.open_bandit, console)
    verdicts = ", ".join(f"{number} {verdict}" for verdict, number in report.audit.verdicts.items())
    colour = "green" if report.audit.proved else "bold red"
    console.print(
        f"[bold]Audit[/] of {report.audit.models} models, each derived again from its parent and its segment of "
        f"{report.audit.outcomes} outcomes in all: [{colour}]{verdicts}[/]"
    )
    console.print(f"[bold]Learning curve[/] in {' and '.join(report.pictures)}")
    console.print(f"  hold only ▏[blue]{report.curve}[/]▕ oracle is the top")
    console.print(f"Done in {report.seconds:.0f} s.", style="dim")


def _standing(report: DemoReport, console: Console) -> None:
    standing = report.standing
    table = Table(
        title=f"Expected reward per decision, over {standing.decisions} decisions",
        title_justify="left",
        caption="Exact expectations of the simulated shop on the very contexts met; 1 is about one good order.",
        caption_justify="left",
    )
    table.add_column("policy")
    table.add_column("reward", justify="right")
    table.add_column("of what could be won", justify="right")
    room = standing.oracle - standing.hold_only
    for name, value, style in (
        ("hold only", standing.hold_only, ""),
        ("uniform", standing.uniform, ""),
        ("engine, first tenth", standing.engine_first_tenth, ""),
        ("engine, last tenth", standing.engine_last_tenth, "bold green"),
        ("oracle", standing.oracle, ""),
    ):
        table.add_row(name, f"{value:.4f}", f"{(value - standing.hold_only) / room:.0%}", style=style)
    console.print(table)
    told = ", ".join(f"{number} {status}" for status, number in sorted(report.rewards.items()))
    console.print(f"Reward events: {told}.\n", style="dim")


def _challenges(report: DemoReport, console: Console) -> None:
    policies = ", ".join(sorted({found.policy for found in report.challenges}))
    table = Table(
        title=f"Challengers of {policies}, estimated from its log alone, beside the truth",
        title_justify="left",
        caption="Logged: mean reward of the same rows. A verdict of refuse means: do not believe this estimate.",
        caption_justify="left",
    )
    for heading in ("challenger", "rows", "logged", "estimate (dr)", "interval", "truth", "verdict"):
        table.add_column(heading, overflow="fold")
    for found in report.challenges:
        estimate = "none" if found.estimate is None else f"{found.estimate:.4f}"
        interval = "none" if found.interval is None else f"{found.interval[0]:.4f} to {found.interval[1]:.4f}"
        table.add_row(
            found.candidate,
            str(found.rows),
            f"{found.incumbent:.4f}",
            estimate,
            interval,
            f"{found.truth:.4f}",
            found.verdict.value,
        )
    console.print(table)


def _open_bandit(document: dict[str, Any], console: Console) -> None:
    table = Table(
        title="Open Bandit Dataset (men): Thompson sampling's clicks, estimated from the uniformly random log",
        title_justify="left",
    )
    for heading in ("estimator", "click rate", "interval", "method"):
        table.add_column(heading)
    for name in ("dr", "snips", "ips", "dm"):
        estimate = document["estimates"].get(name)
        if estimate is not None and estimate["value"] is not None:
            interval = estimate["interval"]
            shown = "none" if interval is None else f"{interval[0]:.5f} to {interval[1]:.5f}"
            table.add_row(name, f"{estimate['value']:.5f}", shown, estimate["interval_method"])
    console.print(table)
    reasons = "; ".join(reason["message"] for reason in document["verdict"]["reasons"])
    console.print(f"Verdict: {document['verdict']['decision']} ({reasons})\n", style="dim", markup=False)
