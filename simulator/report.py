"""An evaluation report: one JSON document for machines; for people the verdict first, then numbers in words."""

from typing import Any

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cxi_bandit.domain.evaluation import Check, Estimate, EvaluationReport, Level
from cxi_bandit.domain.gate import Ruling
from simulator.datasets.snapshot import Snapshot
from simulator.replay import Replay
from simulator.report_sections import asked_for, print_asked_for
from simulator.trial_report import print_trial

_STYLES = {
    Level.OK: "green",
    Level.AMBER: "yellow",
    Level.REFUSE: "bold red",
    Ruling.GO: "bold green",
    Ruling.WAIT: "bold yellow",
    Ruling.REFUSE: "bold red",
}
NO_GATE = "no_gate"
"""The reason of a verdict that no gate was asked for."""


def as_json(replay: Replay) -> bytes:
    """The documented JSON, keys in its order. Numbers that do not exist are null; nothing is left out on a refusal."""
    return msgspec.json.encode(document(replay))


def document(replay: Replay) -> dict[str, Any]:
    """The documented JSON as a value; with `defects` and `trial` at its end where a gate was asked."""
    report = replay.report
    trial = {} if report.trial is None else {"defects": report.defects, "trial": msgspec.to_builtins(report.trial)}
    return {
        "log": report.log,
        "candidate": report.candidate,
        "estimates": {name: _estimate(estimate) for name, estimate in report.estimates.items()},
        "diagnostics": {
            **msgspec.to_builtins(report.diagnostics),
            "headline": report.headline,
            "notes": replay.notes,
            "provenance": {**msgspec.to_builtins(report.provenance), "as_of": _as_of(replay.snapshot)},
        },
        "verdict": {
            "decision": report.verdict.decision.value,
            "reasons": [{"code": r.code, "message": r.message} for r in report.verdict.reasons],
        },
        **asked_for(replay),
        **trial,
    }


def _as_of(snapshot: Snapshot | None) -> dict[str, Any] | None:
    if snapshot is None:
        return None
    return {
        "outcome_position": snapshot.as_of.position,
        "ledger_cut": snapshot.as_of.ledger_cut,
        "erasure_cut": snapshot.erasure_cut,
        "unlearn_cut": snapshot.unlearn_cut,
        "taken_at": snapshot.taken_at,
    }


def _estimate(estimate: Estimate) -> dict[str, Any]:
    return {
        "value": estimate.value,
        "interval": estimate.interval,
        "interval_method": estimate.interval_method,
        "confidence": estimate.confidence,
        "target": estimate.target,
        "assumptions": estimate.assumptions,
    }


def print_report(replay: Replay, console: Console) -> None:
    """Verdict, then estimates with their intervals in words, then diagnostics; refused, no estimate is shown at all."""
    report = replay.report
    console.print(f"[bold]{escape(report.candidate)}[/] on log [bold]{escape(report.log)}[/]")
    if replay.snapshot is not None:
        console.print(f"As of {replay.snapshot.option}: --as-of {replay.snapshot.option} gives these numbers again.")
    _print_verdict(report, console)
    if report.trial is not None:
        print_trial(report.trial, console)
    if report.verdict.decision is Ruling.REFUSE:
        console.print("No estimate is shown: with this evidence any number would mislead. --json keeps them.\n")
    else:
        _print_estimates(report, console)
        print_asked_for(replay, console)
    _print_diagnostics(report.diagnostics.checks, console)
    for note in replay.notes:
        console.print(f"Note: {escape(note)}.", style="dim")


def _print_verdict(report: EvaluationReport, console: Console) -> None:
    verdict = report.verdict
    ungated = any(reason.code == NO_GATE for reason in verdict.reasons)
    word = "evaluated, no gate asked" if ungated else verdict.decision.value
    console.print(f"Verdict: [{_STYLES[verdict.decision]}]{word}[/]")
    for reason in verdict.reasons:
        console.print(f"  {escape(reason.code)}: {escape(reason.message)}")
    console.print()


def _print_estimates(report: EvaluationReport, console: Console) -> None:
    table = Table(title="Estimated mean reward", title_justify="left")
    for heading in ("estimator", "value", "interval", "method"):
        table.add_column(heading, justify="right" if heading == "value" else "left")
    assumptions: dict[tuple[str, str], list[str]] = {}
    targets: dict[str, list[str]] = {}
    first = report.headline
    for name in sorted(report.estimates, key=lambda name: name != first):
        estimate = report.estimates[name]
        shown = "none" if estimate.interval is None else f"{estimate.interval[0]:.6g} to {estimate.interval[1]:.6g}"
        value = "none" if estimate.value is None else f"{estimate.value:.6g}"
        table.add_row(name, value, shown, estimate.interval_method, style="bold" if name == first else "")
        assumptions.setdefault((estimate.interval_method, estimate.assumptions), []).append(name)
        targets.setdefault(estimate.target, []).append(name)
    console.print(table)
    share = f"{report.estimates[first].confidence:.0%}"
    for (method, words), names in assumptions.items():
        console.print(f"{method} ({', '.join(names)}): covers {share} if {escape(words)}.")
    for target, names in targets.items():
        console.print(f"What the interval is about ({', '.join(names)}): {escape(target)}.")
    console.print()


def _print_diagnostics(checks: tuple[Check, ...], console: Console) -> None:
    """The worst first; what could not be measured in one line, so that it does not look like a finding."""
    known = [check for check in checks if check.value is not None or check.level is not Level.OK]
    worst = (Level.REFUSE, Level.AMBER, Level.OK)
    table = Table(title="Diagnostics", title_justify="left")
    for heading in ("check", "level", "finding"):
        table.add_column(heading)
    for check in sorted(known, key=lambda check: worst.index(check.level)):
        finding = f"{check.message} {check.remedy}".strip()
        table.add_row(check.code, f"[{_STYLES[check.level]}]{check.level.value}[/]", escape(finding))
    console.print(table)
    if unknown := ", ".join(check.code for check in checks if check not in known):
        console.print(f"Not measured, since this log does not hold what it takes: {unknown}.", style="dim")
