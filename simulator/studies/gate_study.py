"""The gate's study: `python -m simulator.studies.gate_study [--runs N] [--json]`. Takes minutes; seeds are fixed."""

import sys
from functools import lru_cache

import click
import msgspec
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from cxi_bandit.evidence.contrast import Integers
from simulator.studies.gate_case import Case, Measure
from simulator.studies.gate_log_cases import log_traps, nulls, power
from simulator.studies.gate_order_cases import order_traps, shopper_traps
from simulator.studies.gate_paths import in_chunks
from simulator.studies.gate_watch_cases import detector, sample_ratio

_SEED = 20_260
_POINTS = 0.03
_TENTH = 0.1


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One case as measured.

    Attributes:
        measured: Per E_raw, E_cv and their average, or a single number; the last one is what the gate goes by.
        mark: `ok`, `miss`, or `-` for a trap, which has nothing to pass.
    """

    case: str
    runs: int
    measured: tuple[float, ...]
    claim: float | None
    kind: str
    mark: str


def cases() -> list[Case]:
    """All cases, in the order of the table."""
    groups = (power, nulls, log_traps, order_traps, shopper_traps, sample_ratio, detector)
    return [case for group in groups for case in group()]


def measured(case: Case, runs: int, seed: int = _SEED) -> Finding:
    """Run one case. Reproducible: the same runs and seed give the same finding."""
    crossed = _crossed(case.measure, runs, seed)
    found = crossed > case.after
    if case.kind == "median":
        # A run that never got there took longer than any that did.
        counted = np.where(found, crossed - case.after, np.inf)
        values = tuple(float(value) for value in np.median(counted, axis=0))
    else:
        values = tuple(float(value) for value in found.mean(axis=0))
    return Finding(
        case=case.name, runs=runs, measured=values, claim=case.claim, kind=case.kind, mark=_mark(case, values)
    )


@lru_cache(maxsize=1)
def _crossed(measure: Measure, runs: int, seed: int) -> Integers:
    """Kept for the next line of the table, which often asks how soon where this one asked whether."""
    return in_chunks(runs, measure, seed)


def _mark(case: Case, values: tuple[float, ...]) -> str:
    if case.claim is None or case.kind == "trap":
        return "-"
    if case.kind == "at_most":  # the bound is proved for each kind of evidence, not for the average alone
        return "ok" if max(values) <= case.claim else "miss"
    if case.kind == "near":
        return "ok" if abs(values[-1] - case.claim) <= _POINTS else "miss"
    return "ok" if values[-1] <= (1.0 + _TENTH) * case.claim else "miss"


def _shown(finding: Finding) -> tuple[str, ...]:
    sign = {"at_most": "≤ ", "near": "= ", "median": "≤ ", "trap": "≈ "}[finding.kind]
    form = "{:.0f}" if finding.kind == "median" else "{:.3f}"
    values = " / ".join(form.format(value) for value in finding.measured)
    claim = "" if finding.claim is None else sign + form.format(finding.claim)
    return finding.case, str(finding.runs), values, claim, finding.mark


@click.command()
@click.option("--runs", default=2000, show_default=True, help="Runs a case.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option("--only", default="", help="Cases whose name contains this.")
def main(runs: int, as_json: bool, only: str) -> None:
    """Measure the gate: false go-lives, power, traps, detector."""
    errors = Console(stderr=True)
    chosen = [case for case in cases() if only in case.name]
    findings = [measured(case, runs) for case in track(chosen, "gate study", console=errors)]
    if as_json:
        sys.stdout.write(msgspec.json.encode({"findings": findings}).decode() + "\n")
        return
    table = Table(title="raw / cv / average, or one number")
    for heading in ("case", "runs", "measured", "claimed", ""):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        table.add_row(*_shown(finding))
    Console().print(table)


if __name__ == "__main__":
    main()
