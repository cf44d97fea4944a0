"""Does 95 % cover 95 %? `python -m simulator.studies.coverage_study [--replications N] [--only …] [--json]`.

Every interval around every estimate it is defined for, in every scenario with a known truth: how often it covers and
how wide it is. Takes about ten minutes; seeds are fixed.
"""

import sys
from collections.abc import Iterator, Sequence
from itertools import chain

import click
import msgspec
from rich.console import Console
from rich.table import Table

from cxi_bandit.cli.progress import bars
from simulator.studies.coverage_cases import synthetic_cases
from simulator.studies.coverage_measure import Case, Finding, measured
from simulator.studies.coverage_pages import markdown
from simulator.studies.coverage_shop import shopping_cases


def cases(only: str = "", rows: int | None = None) -> Iterator[Case]:
    """The cases whose name contains `only`, each made when it is its turn.

    Args:
        rows: Log size for all of them; each scenario then comes once.
    """
    seen: set[tuple[str, int]] = set()
    for case in chain(synthetic_cases(), shopping_cases(only)):
        sized = case if rows is None else msgspec.structs.replace(case, rows=rows)
        if only in case.name and (sized.name, sized.rows) not in seen:
            seen.add((sized.name, sized.rows))
            yield sized


def _shown(findings: Sequence[Finding]) -> Table:
    """One case's findings."""
    first = findings[0]
    broken = dict.fromkeys(why for finding in findings for why in finding.broken)
    table = Table(
        title=f"{first.scenario}, {first.rows:,} rows",
        caption="; ".join(broken) or "every premise holds",
        title_justify="left",
        caption_justify="left",
    )
    for heading in ("around", "interval", "covered", "±", "width", ""):
        table.add_column(heading)
    for finding in findings:
        table.add_row(
            finding.estimator,
            finding.interval,
            f"{finding.coverage:.1%}",
            f"{finding.error:.1%}",
            f"{finding.width:.4f}",
            finding.mark,
        )
    return table


@click.command(context_settings={"show_default": True})
@click.option("--replications", default=1000, type=click.IntRange(min=1), help="Logs a case.")
@click.option("--rows", default=None, type=click.IntRange(min=100), help="Rows a log, instead of each case's own.")
@click.option("--only", default="", help="Cases whose name contains this.")
@click.option("--json", "form", flag_value="json", help="One JSON document on stdout.")
@click.option("--markdown", "form", flag_value="markdown", help="The tables of docs/explanation/coverage.md on stdout.")
def main(replications: int, rows: int | None, only: str, form: str | None) -> None:
    """Measure coverage and width of every interval.

    The nominal coverage is 95 %, widths are shares of the declared reward range, and "-" marks an interval that does
    not claim its coverage, since a premise of its own is broken.
    """
    findings: list[Finding] = []
    output = Console()
    for case in cases(only, rows):
        with bars(as_json=False)(f"{case.name}, {case.rows:,} rows", replications) as heard:
            found = measured(case, replications, heard)
        findings += found
        if form is None:
            output.print(_shown(found))
    if form == "json":
        sys.stdout.write(msgspec.json.encode({"findings": findings}).decode() + "\n")
    elif form == "markdown":
        sys.stdout.write(markdown(findings))


if __name__ == "__main__":
    main()
