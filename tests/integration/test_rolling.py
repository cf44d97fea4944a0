"""SIGHUP and SIGTERM under load, from the callers' side and from the log's."""

import signal
import time
from collections.abc import Callable
from typing import Any

import psycopg

from cxi_bandit.bootstrap.database import reached
from cxi_bandit.settings import Settings
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
    # Those that came too late were never accepted: each decision that was logged was answered.
    with reached(Settings(data_dir=service.data_dir)) as (dsn, _), psycopg.connect(dsn) as connection:
        logged = connection.execute("SELECT count(*) FROM decisions").fetchone()
    assert logged == (rolling.accepted + callers.met().accepted,)
