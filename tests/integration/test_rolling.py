"""SIGHUP and SIGTERM under load, from the callers' side and from the log's."""

import signal
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg

from cxi_bandit.bootstrap.database import reached
from cxi_bandit.settings import Settings
from cxi_bandit.store.spool import SpoolShelf
from tests.faults.rolling import Callers, rolling_restarts


def test_no_request_fails_while_workers_are_replaced_and_none_accepted_is_left_unanswered_at_the_end(
    start_service: Callable[..., Any],
) -> None:
    service = start_service("--dev", workers=2)
    service.await_ready()
    rolling = rolling_restarts(service, 1)
    assert rolling.accepted > 0
    assert rolling.failures == {}
    with Callers(service) as callers:
        time.sleep(0.5)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(60) == 0
    # Those that came too late were never accepted: what is kept was answered, and what was answered is kept.
    settings = Settings(data_dir=service.data_dir)
    with reached(settings) as (dsn, _), psycopg.connect(dsn) as connection:
        kept = {name for (name,) in connection.execute(KEPT)} | spooled(settings)
    assert len(kept) == rolling.accepted + callers.met().accepted


KEPT = "SELECT decision_id FROM decisions WHERE decision_id NOT IN (SELECT decision_id FROM set_asides)"


def spooled(settings: Settings) -> set[UUID]:
    """Decisions that a slow disk sent to the spool, and that nobody has drained yet."""
    shelf, found = SpoolShelf(settings.spool_dir, settings.spool_bytes), set[UUID]()
    while (spool := shelf.orphan()) is not None:
        found |= {entry.decision.decision_id for entry in spool.read(1_000_000)}
        spool.release()
        spool.close()
    return found
