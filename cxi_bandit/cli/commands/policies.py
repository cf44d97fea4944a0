"""The declaration of `cxi-bandit policies`."""

from pathlib import Path

import rich_click as click

from cxi_bandit.cli.command import CommandGroup
from cxi_bandit.cli.completing import POLICIES, VERSIONS
from cxi_bandit.cli.options import ACTOR, AS_JSON, database_options


@click.group(
    cls=CommandGroup,
    work="cxi_bandit.cli.policies:policies",
    page="howto/promote.md",
    examples=(
        ("cxi-bandit policies", "what is installed, and who answers which share of the shoppers"),
        ("cxi-bandit policies --json", "the same, for a program"),
    ),
)
@AS_JSON
@database_options
def policies() -> None:
    """Show every policy version with its stage and newest model, and who answers for it; or check a manifest."""


@policies.command(
    work="cxi_bandit.cli.policies:check",
    page="reference/manifest.md",
    examples=(("cxi-bandit policies check policies/search.toml", "before it is served"),),
)
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@AS_JSON
def check() -> None:
    """Check a manifest without installing it."""


@policies.command(
    work="cxi_bandit.cli.policies:warm",
    page="decisions/0016-warm-starts.md",
    examples=(("cxi-bandit policies warm search 2", "so that version 2 does not begin cold"),),
)
@click.argument("policy", shell_complete=POLICIES)
@click.argument("version", type=click.IntRange(min=1), shell_complete=VERSIONS)
@ACTOR
@AS_JSON
@database_options
def warm() -> None:
    """Learn the starting model of POLICY's VERSION from the log, its rewards settled by that version's own rules.

    For a candidate with another [reward], [exploration] or [learning]. Called again, it goes on from where it was.
    """
