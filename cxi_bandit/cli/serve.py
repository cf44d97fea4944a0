"""`cxi-bandit serve`: the whole service with one command."""

import sys
from typing import Any

from cxi_bandit.settings import read_settings
from cxi_bandit.supervisor import supervise
from cxi_bandit.telemetry.log import open_log


def serve(**options: Any) -> None:  # noqa: ANN401 - settings of any type
    """The work of `cxi-bandit serve`."""
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
