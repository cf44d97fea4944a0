"""The coverage study's findings as the Markdown tables of the docs: a line a case, a column an interval."""

from collections.abc import Sequence
from typing import Final

from simulator.studies.coverage_measure import Finding
from simulator.studies.coverage_premises import Premise

_SHORT: Final = {
    "gaussian": "Gaussian",
    "bootstrap": "bootstrap",
    "empirical_bernstein": "emp. Bernstein",
    "cressie_read": "Cressie-Read",
    "confidence_sequence": "conf. sequence",
    "clopper_pearson": "Clopper-Pearson",
}
_TITLES: Final = {"ips": "IPS", "snips": "SNIPS", "dr": "DR"}


def markdown(findings: Sequence[Finding]) -> str:
    """A table an estimator, a table of what is broken where, and the misses by name."""
    tables = [_table(estimator, findings) for estimator in _TITLES]
    return "\n".join([*tables, _premises(findings), _misses(findings)])


def _table(estimator: str, findings: Sequence[Finding]) -> str:
    own = [finding for finding in findings if finding.estimator == estimator]
    columns = [name for name in _SHORT if any(finding.interval == name for finding in own)]
    cells = {(finding.scenario, finding.rows, finding.interval): _cell(finding) for finding in own}
    lines = [
        f"### Around {_TITLES[estimator]}\n",
        "| scenario | rows | " + " | ".join(_SHORT[name] for name in columns) + " |",
        "|---|---|" + "---|" * len(columns),
    ]
    for scenario, rows in dict.fromkeys((finding.scenario, finding.rows) for finding in own):
        values = " | ".join(cells.get((scenario, rows, name), "") for name in columns)
        lines.append(f"| {scenario} | {rows:,} | {values} |")
    return "\n".join(lines) + "\n"


def _cell(finding: Finding) -> str:
    text = f"{100 * finding.coverage:.1f} · {_width(finding.width)}"
    return {"ok": text, "miss": f"**{text}**", "-": f"({text})"}[finding.mark]


def _width(width: float) -> str:
    """Three digits after the point, four for a narrow one, and no nought before it."""
    return (f"{width:.3f}" if width >= 0.01 else f"{width:.4f}").removeprefix("0")  # noqa: PLR2004 - a matter of looks


def _premises(findings: Sequence[Finding]) -> str:
    lines = ["### What does not hold where\n", "| scenario | rows | what does not hold |", "|---|---|---|"]
    for scenario, rows in dict.fromkeys((finding.scenario, finding.rows) for finding in findings):
        own = (finding for finding in findings if (finding.scenario, finding.rows) == (scenario, rows))
        # That rows do not weigh alike concerns Clopper-Pearson alone, and is so nearly everywhere.
        broken = dict.fromkeys(why for finding in own for why in finding.broken if why != Premise.EQUAL_WEIGHTS)
        lines.append(f"| {scenario} | {rows:,} | {'; '.join(broken) or 'nothing'} |")
    return "\n".join(lines) + "\n"


def _misses(findings: Sequence[Finding]) -> str:
    lines = ["### Misses\n"]
    lines += [
        f"- {finding.scenario}, {finding.rows:,} rows, {_SHORT[finding.interval]} around {_TITLES[finding.estimator]}: "
        f"{100 * finding.coverage:.1f} ± {100 * finding.error:.1f} % "
        f"(wholly below the truth {100 * finding.below:.1f} %, wholly above {100 * finding.above:.1f} %)"
        for finding in findings
        if finding.mark == "miss"
    ]
    return "\n".join(lines if len(lines) > 1 else [*lines, "None."]) + "\n"
