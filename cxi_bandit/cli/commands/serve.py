"""The declaration of `cxi-bandit serve`."""

from pathlib import Path

import rich_click as click

from cxi_bandit.cli.command import Command
from cxi_bandit.cli.options import database_options


@click.command(
    cls=Command,
    work="cxi_bandit.cli.serve:serve",
    page="howto/run-the-service.md",
    examples=(
        ("cxi-bandit serve --dev", "on your own machine, without keys"),
        ("cxi-bandit serve --host 0.0.0.0 --workers 4", "for others, who need keys"),
    ),
)
@click.option("--host", help="Address to listen on.", show_default="127.0.0.1")
@click.option("--port", type=int, help="Port to listen on.", show_default="8000")
@click.option("--workers", type=int, help="API worker processes.", show_default="1")
@click.option(
    "--policies-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Manifests to install.",
    show_default="those shipped",
)
@click.option("--dev", is_flag=True, default=None, help="No keys; loopback only.")
@database_options
def serve() -> None:
    """Run the API workers, the learner and, without DATABASE_URL, the embedded database.

    Everything is in the data directory: stop it with Ctrl-C or SIGTERM, and start it again where it was.
    """
