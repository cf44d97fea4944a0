"""`cxi-bandit serve`: the whole service with one command."""

import sys
from pathlib import Path
from typing import Any

import rich_click as click

from cxi_bandit.cli.options import database_options
from cxi_bandit.settings import read_settings
from cxi_bandit.supervisor import supervise
from cxi_bandit.telemetry.log import open_log


@click.command()
@click.option("--host", help="Address to listen on. [env: CXI_BANDIT_HOST; default: 127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on. [env: CXI_BANDIT_PORT; default: 8000]")
@click.option("--workers", type=int, help="API worker processes. [env: CXI_BANDIT_WORKERS; default: 1]")
@click.option(
    "--policies-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Manifests to install. [env: CXI_BANDIT_POLICIES_DIR; default: those shipped]",
)
@click.option("--dev", is_flag=True, default=None, help="No keys; loopback only. [env: CXI_BANDIT_DEV]")
@database_options
def serve(**options: Any) -> None:  # noqa: ANN401 - settings of any type
    """Run the API workers, the learner and, without DATABASE_URL, the embedded database.

    Everything is in the data directory: stop it with Ctrl-C or SIGTERM, and start it again where it was.
    """
    settings = read_settings(**options)
    log = open_log("supervisor", settings.log_level)

    def ready() -> None:
        address = f"http://{settings.host}:{settings.port}"
        log.info("ready", address=address, workers=settings.workers, dev=settings.dev)
        keys = "no keys are asked for" if settings.dev else "make a key with `cxi-bandit keys create`"
        sys.stderr.write(
            f"cxi-bandit answers on {address} ({keys}); the console is at {address}/console, "
            f"the contract at {address}/schema\n"
        )

    supervise(settings, log, ready)
