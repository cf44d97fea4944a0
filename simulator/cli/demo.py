"""`cxi-bandit demo`: see it learn, and see it proved, in about a minute."""

import sys
from pathlib import Path

import rich_click as click

from cxi_bandit.cli.command import Command
from cxi_bandit.cli.options import AS_JSON

_REFUSED = 1


@click.command(
    cls=Command,
    page="explanation/shopping-world.md",
    examples=(
        ("cxi-bandit demo", "about a minute, with pictures in ./cxi-bandit-demo"),
        ("cxi-bandit demo --decisions 1000 --seed 7 --json", "shorter, with another shop, for a program"),
    ),
)
@click.option(
    "--decisions",
    type=click.IntRange(min=1000),
    default=12_000,
    show_default=True,
    help="How many defects shoppers meet.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of the simulated shop.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("cxi-bandit-demo"),
    show_default=True,
    help="Directory for the pictures.",
)
@AS_JSON
@click.pass_context
def demo(context: click.Context, *, decisions: int, seed: int, output: Path, as_json: bool) -> None:
    """Start a service, send it a shop's traffic, watch it learn, and check what it claims.

    Everything runs in a directory of its own that is removed at the end; your own service and data are not touched.
    Exit codes: 0 done, 1 the audit found a model that cannot be derived again, 69 the service did not run.
    """
    import msgspec  # noqa: PLC0415 - heavy, see the package
    from rich.console import Console  # noqa: PLC0415 - heavy, see the package

    from cxi_bandit.cli.progress import bars  # noqa: PLC0415 - heavy, see the package
    from simulator.demo.report import print_report  # noqa: PLC0415 - heavy, see the package
    from simulator.demo.run import run_demo  # noqa: PLC0415 - heavy, see the package

    report = run_demo(decisions, seed, output, Console(stderr=True), bars(as_json=as_json))
    if as_json:
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    else:
        print_report(report, Console())
    context.exit(0 if report.audit.proved else _REFUSED)
