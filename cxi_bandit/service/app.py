"""The Litestar application of one worker."""

import gc
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from litestar import Litestar
from structlog.typing import FilteringBoundLogger

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.access import ApiKey
from cxi_bandit.domain.identifiers import Source
from cxi_bandit.engine.record import record
from cxi_bandit.service.auth import Gatekeeper, declared_access
from cxi_bandit.service.batcher import Batcher
from cxi_bandit.service.decisions import decision_routes
from cxi_bandit.service.desk import DecisionBatcher, Desk
from cxi_bandit.service.health import health_routes
from cxi_bandit.service.policies import policy_routes
from cxi_bandit.service.problems import answer_problem
from cxi_bandit.service.reload import Hints, Reloader
from cxi_bandit.service.requests import RequestLog
from cxi_bandit.service.rewards import RewardBatcher, RewardDesk, reward_routes
from cxi_bandit.service.routing import in_thread
from cxi_bandit.service.webhooks import Webhooks
from cxi_bandit.settings import Settings
from cxi_bandit.telemetry.metrics import Metrics

_READERS: Final = 4


def create_app(
    engine: Engine,
    settings: Settings,
    log: FilteringBoundLogger,
    metrics: Metrics,
    *,
    model_hints: Hints | None = None,
) -> Litestar:
    """The application over an engine. It starts its threads when the server starts it and ends them with it.

    Args:
        model_hints: Tells when models were published; None means to look every `reload_seconds`.

    Raises:
        UndeclaredRoute: A route does not say who may call it.
    """
    store = engine.store
    threads = ThreadPoolExecutor(_READERS, thread_name_prefix="store")
    decisions: DecisionBatcher = Batcher(
        "decision log",
        store.decisions.append,
        metrics,
        queue_entries=settings.queue_entries,
        batch_entries=settings.batch_entries,
    )
    rewards: RewardBatcher = Batcher(
        "reward ledger",
        lambda events: record(events, engine.clock(), store.decisions, store.ledger, engine.manifests),
        metrics,
        queue_entries=settings.queue_entries,
        batch_entries=settings.batch_entries,
    )
    reloader = Reloader(engine.serving, log, metrics, seconds=settings.reload_seconds, hints=model_hints)

    async def find_key(wanted: bytes) -> ApiKey | None:
        return await in_thread(threads, lambda: store.access.key(wanted))

    async def find_secrets(source: Source) -> list[str]:
        return await in_thread(threads, lambda: store.access.webhook_secrets(source))

    async def start() -> None:
        if settings.dev:
            log.warning("development_mode", meaning="no keys are asked for: everyone on this machine may call anything")
        await in_thread(threads, reloader.start)
        # What start-up made lives as long as the worker: the collector need not walk it again and again.
        gc.collect()
        gc.freeze()

    async def stop() -> None:
        await decisions.drain()
        await rewards.drain()
        reloader.stop()
        threads.shutdown()

    gatekeeper = Gatekeeper(find_key, cache_seconds=settings.key_cache_seconds, dev=settings.dev)
    webhooks = Webhooks(find_secrets, cache_seconds=settings.key_cache_seconds)
    app = Litestar(
        [
            *decision_routes(engine, Desk(engine, decisions, metrics), threads, settings),
            *reward_routes(RewardDesk(rewards, metrics, settings), webhooks),
            *policy_routes(engine, threads),
            *health_routes(engine, threads, metrics),
        ],
        middleware=[gatekeeper.guarding],
        exception_handlers={Exception: answer_problem},
        on_startup=[start],
        on_shutdown=[stop],
        request_max_body_size=settings.body_bytes,
        openapi_config=None,
        logging_config=None,
    )
    declared_access(app)
    app.asgi_handler = RequestLog(app.asgi_handler, log, metrics)
    return app
