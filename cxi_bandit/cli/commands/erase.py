"""The declaration of `cxi-bandit erase`."""

from pathlib import Path

import rich_click as click

from cxi_bandit.cli.command import CommandGroup
from cxi_bandit.cli.options import ACTOR, AS_JSON, database_options

_PAGE = "howto/erase-a-shopper.md"


@click.group(
    cls=CommandGroup,
    work="cxi_bandit.cli.erase:erase",
    page=_PAGE,
    examples=(
        ("cxi-bandit erase --subject shopper-4711 --certificate erased.json", "now, and keep the certificate"),
        ("echo shopper-4711 | cxi-bandit erase --subject -", "without the key in the shell's history"),
    ),
)
@click.option("--subject", help="The shopper's key, as surfaces send it; - reads it from standard input.")
@click.option("--reason", default="asked by the shopper", show_default=True, help="For the certificate; name nobody.")
@click.option("--later", is_flag=True, help="Leave the rebuild to the running service's learner.")
@click.option("--certificate", type=click.Path(path_type=Path, dir_okay=False), help="Write the certificate here too.")
@ACTOR
@AS_JSON
@database_options
def erase() -> None:
    """Erase everything decided for a shopper, over all policies, and certify it.

    Removes decisions, rewards and outcomes, rebuilds the models that had learned them, and keeps a certificate that
    names nobody. Runs beside the service.
    """


@erase.command(
    work="cxi_bandit.cli.erase:certificates",
    page=_PAGE,
    examples=(("cxi-bandit erase certificates --json", "all of them, with their SHA-256"),),
)
@AS_JSON
@database_options
def certificates() -> None:
    """Show every certificate that was made."""
