"""The declaration of `cxi-bandit override`."""

import rich_click as click

from cxi_bandit.cli.command import Command
from cxi_bandit.cli.completing import DEFECTS, INTERVENTIONS, PINS, POLICIES, SEGMENTS, SURFACES
from cxi_bandit.cli.options import ACTOR, AS_JSON, IDENTIFIER, database_options

_WHERE = "Where it holds"
_PIN = (
    "cxi-bandit override search --intervention hold --defect slow_results --segment device=mobile \\\n"
    """      --until "$(date -u -d '+6 hours' +%FT%TZ)" --reason "a slow index\""""
)


@click.command(
    cls=Command,
    work="cxi_bandit.cli.override:override",
    page="howto/promote.md",
    examples=(
        (_PIN, "leave mobile shoppers alone while the index is slow"),
        ("cxi-bandit override --lift 1", "lift a pin before its time, by the id that `overrides` shows"),
    ),
)
@click.argument("policy", required=False, shell_complete=POLICIES)
@click.option(
    "--intervention", shell_complete=INTERVENTIONS, help="What is done wherever it is eligible, `hold` included."
)
@click.option("--surface", shell_complete=SURFACES, help="Only on this surface.", panel=_WHERE)
@click.option("--defect", shell_complete=DEFECTS, help="Only for this defect type.", panel=_WHERE)
@click.option(
    "--segment",
    multiple=True,
    metavar="FEATURE=VALUE",
    shell_complete=SEGMENTS,
    help="Only where this holds; may be given again.",
    panel=_WHERE,
)
@click.option("--until", help="When it expires, ISO 8601 with a time zone, at most 90 days ahead.")
@click.option("--reason", help="Why, for the audit trail.")
@click.option("--lift", type=IDENTIFIER, shell_complete=PINS, help="Lift this override instead, by its id.")
@ACTOR
@AS_JSON
@database_options
def override() -> None:
    """Pin an intervention of POLICY until a stated time, for all of it or a part, or lift a pin.

    What it pins is drawn with propensity 1, logged, and never learned.
    """
