"""One API worker: what granian loads in each of them."""

import os
import signal
import threading
import time
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Final

from litestar import Litestar
from structlog.typing import FilteringBoundLogger

from cxi_bandit.bootstrap import Engine, build_engine
from cxi_bandit.bootstrap.one_core import Linux, OneCore
from cxi_bandit.bootstrap.pool_watch import PoolWatch
from cxi_bandit.bootstrap.process import end_with_parent
from cxi_bandit.domain.errors import Unavailable
from cxi_bandit.service.app import create_app
from cxi_bandit.service.draining import Draining
from cxi_bandit.service.making import UNTRACED
from cxi_bandit.service.tracing import Traces
from cxi_bandit.settings import Settings, read_settings
from cxi_bandit.store.postgres import PostgresStore
from cxi_bandit.store.postgres.listen import listen
from cxi_bandit.store.postgres.prompt_log import PromptDecisionLog
from cxi_bandit.store.postgres.registry import MODELS_CHANNEL
from cxi_bandit.store.spool import SpoolShelf
from cxi_bandit.telemetry.exposition import forget_dead_processes, forget_this_process
from cxi_bandit.telemetry.log import open_log
from cxi_bandit.telemetry.metrics import Metrics
from cxi_bandit.telemetry.request_lines import RequestLines
from cxi_bandit.telemetry.tracing import open_tracing

_PATIENCE_SECONDS: Final = 30.0
_PAUSE_SECONDS: Final = 0.1
_DRAIN_SECONDS: Final = 20.0


def open_app() -> Litestar:
    """The application over PostgreSQL, from the environment."""
    settings = read_settings()
    log = open_log("worker", settings.log_level)
    end_with_parent(settings.parent_pid, _end)
    forget_dead_processes()
    store, engine = _patient_engine(settings, log)
    every = timedelta(seconds=settings.reload_seconds)
    hints = partial(listen, settings.database_url or "", MODELS_CHANNEL, every)
    shelf = SpoolShelf(settings.spool_dir, settings.spool_bytes)
    draining = Draining()
    lines = RequestLines("worker", settings.log_level)
    prompt = PromptDecisionLog(store.decisions, store.database)
    metrics = Metrics()
    metrics.started("worker")
    tracing = open_tracing(settings, "worker", settings.trace_ratio)
    app = create_app(
        engine,
        settings,
        log,
        metrics,
        shelf,
        lines=lines,
        model_hints=hints,
        draining=draining,
        prompt=prompt,
        making=UNTRACED if tracing is None else Traces(tracing),
    )
    app.on_startup.append(partial(draining.follow, settings.draining_fd, settings.listen_fd))
    app.on_startup.append(partial(_report, settings.serving_fd))
    pool_watch = PoolWatch(store.database, "worker", metrics)
    app.on_startup.append(pool_watch.start)
    if settings.one_core:
        core = OneCore(Linux(), metrics)
        app.on_startup.append(core.start)
        app.on_shutdown.append(core.stop)
    app.on_shutdown.extend([prompt.close, pool_watch.stop, store.close, forget_this_process])
    if tracing is not None:
        app.on_shutdown.append(tracing.close)
    return app


def _report(descriptor: int) -> None:
    """Tells the supervisor that this worker answers."""
    if descriptor >= 0:
        # A supervisor that is gone, or that has heard enough, is no reason not to answer.
        with suppress(OSError):
            os.write(descriptor, b".")


def _patient_engine(settings: Settings, log: FilteringBoundLogger) -> tuple[PostgresStore, Engine]:
    """A worker that starts while the database is recovering waits for it: dying would only make it start again."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            store = PostgresStore.open(settings.database_url or "")
            return store, build_engine(store)
        except Unavailable as error:
            if time.monotonic() > deadline:
                raise
            log.warning("waiting_for_database", reason=str(error))
            time.sleep(_PAUSE_SECONDS)


def _end() -> None:
    """Asks this worker to drain and end, and ends it when it does not."""
    timer = threading.Timer(_DRAIN_SECONDS, os._exit, (1,))
    timer.daemon = True
    timer.start()
    os.kill(os.getpid(), signal.SIGTERM)
