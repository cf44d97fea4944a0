"""A trial, a plan and a self-comparison for people."""

from math import exp

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cxi_bandit.domain.evaluation import EvidencePoint, TrialRecord
from simulator.trials.against_itself import SelfComparison
from simulator.trials.outlook import Outlook

_BLOCKS = "▁▂▃▄▅▆▇█"
_WIDTH = 60
_LARGEST_SHOWN = 700.0  # exp() of more overflows a float64


def print_trial(trial: TrialRecord, console: Console) -> None:
    """What was declared, what was heard, and how the evidence grew."""
    console.print(
        f"Trial {escape(trial.proposal)}: proposal {trial.ordinal} of its policy, {trial.candidates} candidates on the "
        f"same rows, alpha_j = {trial.alpha:.4g}, against {escape(trial.incumbent)}"
    )
    console.print(
        f"Heard {trial.days} days from {trial.opened_at:%Y-%m-%d %H:%M} UTC: {trial.units:,} bets, one a shopper "
        f"({trial.anonymous:,} without a shopper, {trial.latecomers:,} too late and left out)"
    )
    table = Table(title="Evidence", title_justify="left")
    for heading in ("claim", "E", "needed", ""):
        table.add_column(heading, justify="right" if heading in {"E", "needed"} else "left")
    needed = _shown(trial.log_threshold)
    table.add_row("reward is higher", _shown(trial.log_e), needed, _mark(passed=trial.log_e >= trial.log_threshold))
    for guardrail in trial.guardrails:
        claim = f"{guardrail.metric} grows by less than {guardrail.margin:g} of its range"
        table.add_row(escape(claim), _shown(guardrail.log_e), needed, _mark(passed=guardrail.passed))
    console.print(table)
    if trial.path:
        console.print(f"ln E by day, {_line(trial.path, trial.log_threshold)} needed {trial.log_threshold:.3g}")
    console.print()


def print_outlook(found: Outlook, console: Console) -> None:
    """How large an effect can be seen in how many days."""
    console.print(f"[bold]{escape(found.candidate)}[/] against [bold]{escape(found.incumbent)}[/]")
    console.print(
        f"{found.units_per_day:,.0f} bets a day, one a shopper; Var(X) = {found.weight_variance:.4g} x "
        f"{found.reward_variance:.4g}; proposal {found.ordinal}: E must reach {found.threshold:.4g}"
    )
    table = Table(title="Least improvement worth waiting for", title_justify="left")
    for heading in ("days", "of the range", "mean reward", "of the log's mean"):
        table.add_column(heading, justify="right")
    for row in found.visible:
        relative = "-" if row.relative is None else f"{row.relative:.1%}"
        table.add_row(str(row.days), f"{row.effect:.4f}", f"{row.reward:.4f}", relative)
    console.print(table)
    for wait in found.guardrails:
        low, high = wait.days
        span = f"{low}" if low == high else f"{low} to {high}"
        console.print(f"{escape(wait.metric)}, unchanged: shown to grow by less than {wait.margin:g} in {span} days")
    console.print(f"No go before {found.floor_days} days, whatever the effect. Planning spends no alpha.")


def print_self_comparison(found: SelfComparison, console: Console) -> None:
    """The incumbent against itself."""
    table = Table(title="A/A", title_justify="left")
    for heading in ("measure", "found", "must be"):
        table.add_column(heading, justify="left" if heading == "measure" else "right")
    below = f"below {found.log_threshold:.3g}"
    table.add_row("ln E, asked again against logged", f"{found.log_e:.3g}", below)
    table.add_row("ln E, one half of the shoppers against the other", f"{found.split_log_e:.3g}", below)
    table.add_row("largest difference of vectors", f"{found.rescoring_gap:.3g}", "0")
    if found.on_policy_mean is not None:
        mean = f"{found.on_policy_mean:.6g} ± {found.standard_error:.2g}"
        table.add_row("on-policy mean", mean, "what the estimates say")
    table.add_row("estimates apart from it", ", ".join(found.apart) or "none", "none")
    console.print(table)
    console.print(f"{found.units:,} bets; {found.own_rows:,} rows logged by this incumbent")


def _line(path: tuple[EvidencePoint, ...], log_threshold: float) -> str:
    """The path as one line of blocks, empty at its lowest point and full at the threshold or beyond."""
    step = -(-len(path) // _WIDTH)
    values = [point.log_e for point in path[step - 1 :: step]] or [path[-1].log_e]
    low, high = min(*values, 0.0), max(log_threshold, *values)
    marks = "".join(_BLOCKS[int((len(_BLOCKS) - 1) * (value - low) / (high - low))] for value in values)
    return f"{values[0]:.2f} {marks} {values[-1]:.2f};"


def _mark(*, passed: bool) -> str:
    return "[green]reached[/]" if passed else "[yellow]short[/]"


def _shown(log_e: float) -> str:
    return f"{exp(log_e):.4g}" if log_e < _LARGEST_SHOWN else f"exp({log_e:.0f})"
