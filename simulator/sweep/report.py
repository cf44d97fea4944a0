"""A sweep for machines and for people: every contestant, then the winner's own report."""

from typing import Any

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cxi_bandit.domain.gate import Ruling
from simulator.report import document, print_report
from simulator.sweep.run import Contestant, Sweep

NO_CANDIDATE = "no_candidate"
_NONE = "The diagnostics refuse every candidate of the sweep on the rows that one is chosen on."


def as_json(found: Sweep) -> bytes:
    """The winner's document as a replay of it alone would give it, with `sweep` at its end."""
    train, choose, judge = found.rows
    parts = {
        "k": len(found.contestants),
        "rows": {"train": train, "choose": choose, "judge": judge},
        "logged_mean": {"choose": found.logged[0], "judge": found.logged[1]},
        "statement": found.statement,
        "winner": None if found.winner is None else found.winner.variant.label,
        "winner_manifest": None if found.winner is None else found.winner.variant.text,
        "candidates": [_contestant(each) for each in found.contestants],
    }
    if found.judged is not None:
        return msgspec.json.encode(document(found.judged) | {"sweep": parts})
    refused = {
        "log": found.log,
        "candidate": None,
        "estimates": {},
        "diagnostics": {},
        "verdict": {"decision": Ruling.REFUSE.value, "reasons": [{"code": NO_CANDIDATE, "message": _NONE}]},
    }
    return msgspec.json.encode(refused | {"sweep": parts})


def print_sweep(found: Sweep, console: Console) -> None:
    """The table, k in words, then the winner as a replay reports it."""
    title = f"Estimated mean reward on the rows of choosing; logged {found.logged[0]:.6g}"
    table = Table(title=title, title_justify="left")
    for heading in ("candidate", "dr", "interval", "snips", "verdict"):
        table.add_column(heading, justify="right" if heading in {"dr", "snips"} else "left")
    ranked = sorted(found.contestants, key=lambda each: (each.value is None, -(each.value or 0.0)))
    for each in ranked:
        dr = each.estimates[each.headline]
        span = "none" if dr.interval is None else f"{dr.interval[0]:.6g} to {dr.interval[1]:.6g}"
        verdict = f"refused: {', '.join(each.reasons)}" if each.ruling is Ruling.REFUSE else "comparable"
        row = (escape(each.variant.label), _number(dr.value), span, _number(each.estimates["snips"].value), verdict)
        table.add_row(*row, style="bold" if each is found.winner else "")
    console.print(table)
    console.print(f"{found.statement}.\n")
    if found.judged is None:
        console.print(f"Verdict: [bold red]refuse[/]\n  {NO_CANDIDATE}: {_NONE}")
        return
    console.print(f"The winner, on the rows of judging (logged mean {found.logged[1]:.6g}):")
    print_report(found.judged, console)


def _contestant(each: Contestant) -> dict[str, Any]:
    return {
        "candidate": each.variant.label,
        "changes": each.variant.changes,
        "manifest_sha": each.variant.sha,
        "estimates": {name: msgspec.to_builtins(estimate) for name, estimate in each.estimates.items()},
        "verdict": {"decision": each.ruling.value, "reasons": each.reasons},
    }


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"
