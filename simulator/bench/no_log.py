"""The service's application with a decision log that keeps nothing: what is left when durability costs nothing.

The same routes, keys, limits, models and batcher; only the log answers at once, on the event loop and without a thread.
Nothing of it is a product: it breaks the promise that an answered decision is durable, and is there to say what that
promise costs.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial

from litestar import Litestar

from cxi_bandit.bootstrap import build_engine
from cxi_bandit.bootstrap.one_core import Linux, OneCore
from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.errors import IdempotencyConflict
from cxi_bandit.engine.ports import DecisionEntry
from cxi_bandit.service.app import create_app
from cxi_bandit.settings import read_settings
from cxi_bandit.store.postgres import PostgresStore
from cxi_bandit.store.postgres.decision_log import PostgresDecisionLog
from cxi_bandit.store.postgres.listen import listen
from cxi_bandit.store.postgres.registry import MODELS_CHANNEL
from cxi_bandit.store.spool import SpoolShelf
from cxi_bandit.telemetry.log import open_log
from cxi_bandit.telemetry.metrics import Metrics
from cxi_bandit.telemetry.request_lines import RequestLines


class NoLog(PostgresDecisionLog):
    """Reads as the log does; takes whatever it is given, and forgets it."""

    def append(self, entries: Sequence[DecisionEntry]) -> list[Decision | IdempotencyConflict]:
        """Every decision stands, nowhere."""
        return [entry.decision for entry in entries]

    async def prompt(self, entries: Sequence[DecisionEntry]) -> list[Decision | IdempotencyConflict]:
        """The same, awaited."""
        return self.append(entries)


def open_app() -> Litestar:
    """The application, for granian's factory mode; settings from the environment."""
    settings = read_settings()
    log = open_log("worker", settings.log_level)
    store = PostgresStore.open(settings.database_url or "")
    nowhere = NoLog(store.database)
    engine = build_engine(replace(store, decisions=nowhere))
    hints = partial(listen, settings.database_url or "", MODELS_CHANNEL, timedelta(seconds=settings.reload_seconds))
    shelf = SpoolShelf(settings.spool_dir, settings.spool_bytes)
    lines = RequestLines("worker", settings.log_level)
    metrics = Metrics()
    app = create_app(engine, settings, log, metrics, shelf, lines=lines, model_hints=hints, prompt=nowhere)
    core = OneCore(Linux(), metrics)
    app.on_startup.append(core.start)
    app.on_shutdown.extend([core.stop, store.close])
    return app
