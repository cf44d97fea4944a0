"""The Litestar application of one worker."""

import asyncio
import gc
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Final

from litestar import Litestar
from litestar.template import TemplateConfig
from standardwebhooks.webhooks import Webhook
from structlog.typing import FilteringBoundLogger

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.access import ApiKey
from cxi_bandit.domain.identifiers import Source
from cxi_bandit.engine.ports import Access, DecisionEntry, PromptLog, Spool
from cxi_bandit.engine.record import record
from cxi_bandit.service.auth import Gatekeeper, KnownKeys, declared_access, guarding
from cxi_bandit.service.batcher import Batcher
from cxi_bandit.service.console.errors import Answering
from cxi_bandit.service.console.routes import Console, console_routes
from cxi_bandit.service.console.security import telling_browsers
from cxi_bandit.service.decisions import decision_routes, one_commit
from cxi_bandit.service.development import LocalGatekeeper
from cxi_bandit.service.drainer import Drainer
from cxi_bandit.service.draining import Draining
from cxi_bandit.service.health import health_routes
from cxi_bandit.service.lane import Lane
from cxi_bandit.service.limits import open_limits
from cxi_bandit.service.making import UNTRACED, Making
from cxi_bandit.service.overrides import override_routes
from cxi_bandit.service.policies import policy_routes
from cxi_bandit.service.promotions import promotion_routes
from cxi_bandit.service.readiness import Readiness
from cxi_bandit.service.reload import Hints, Reloader
from cxi_bandit.service.remembered import Remembered
from cxi_bandit.service.requests import RequestLog
from cxi_bandit.service.rewards import DeliveryBatcher, RewardBatcher, reward_routes
from cxi_bandit.service.rollouts import rollout_routes
from cxi_bandit.service.routing import in_thread
from cxi_bandit.service.searches import search_routes
from cxi_bandit.service.throttle import Bucket, Throttle
from cxi_bandit.service.trail import trail_routes
from cxi_bandit.service.watches import watch_routes
from cxi_bandit.service.webhooks import Webhooks, open_secret
from cxi_bandit.service.writer import DecisionBatcher, SpoolBatcher, Writer
from cxi_bandit.settings import Settings
from cxi_bandit.store.spool import SpoolShelf
from cxi_bandit.telemetry.metrics import Metrics
from cxi_bandit.telemetry.request_lines import RequestLines

_READERS: Final = 4
_PATIENT_SECONDS: Final = 2.0
"""How long a commit of rewards may take before their senders are told to send them again: they can wait, and do."""
_REWARD_COMMITS: Final = 2
"""Under way at once: judging a list of rewards takes as long as writing it."""
_DOORKEEPERS: Final = 2
# Look-ups of keys and senders that there are not, per worker: a few of them are a client's mistake, more an attack.
_GUESSES_PER_SECOND: Final = 100.0
_GUESSES_BURST: Final = 200


def create_app(
    engine: Engine,
    settings: Settings,
    log: FilteringBoundLogger,
    metrics: Metrics,
    shelf: SpoolShelf,
    *,
    lines: RequestLines | None = None,
    model_hints: Hints | None = None,
    draining: Draining | None = None,
    prompt: PromptLog | None = None,
    making: Making = UNTRACED,
) -> Litestar:
    """The application over an engine. It starts its threads when the server starts it and ends them with it.

    Args:
        shelf: Where this worker takes a spool for itself, at once, and those that dead ones left.
        lines: Where each request leaves its line; None for nowhere, save those that failed, which `log` tells.
        model_hints: Tells when models were published; None means to look every `reload_seconds`.
        draining: Whether this worker is about to end.
        prompt: Appends decisions without a thread where it can; None where the store has no such way.
        making: How parts are made that may be traced.

    Raises:
        UndeclaredRoute: A route does not say who may call it.
    """
    store = engine.store
    draining = draining or Draining()
    threads = ThreadPoolExecutor(_READERS, thread_name_prefix="store")
    spool = shelf.claim()
    # Their own: who may call must not wait behind those who read.
    doorkeepers = ThreadPoolExecutor(_DOORKEEPERS, thread_name_prefix="access")
    decisions: DecisionBatcher = Batcher(
        "decision log",
        making.decision_commits(store.decisions.append if prompt is None else prompt.append),
        metrics,
        prompt=None if prompt is None else making.decision_prompts(prompt.prompt),
        queue_entries=settings.queue_entries,
        batch_entries=settings.batch_entries,
        stall_seconds=settings.stall_ms / 1000,
        abandon=lambda entries: store.decisions.abandon([entry.decision.decision_id for entry in entries]),
    )
    spooling: SpoolBatcher = Batcher(
        "spool",
        partial(_spooled, spool),
        metrics,
        queue_entries=settings.queue_entries,
        batch_entries=settings.batch_entries,
        retries=0,
    )
    writer = Writer(decisions, spooling, metrics, log)
    drainer = Drainer(
        spool, shelf.orphan, store.decisions, store.privacy, log, metrics, batch_entries=settings.batch_entries
    )
    rewards: RewardBatcher = Batcher(
        "reward ledger",
        making.reward_commits(
            lambda events: record(events, engine.clock(), store.decisions, store.ledger, engine.manifests)
        ),
        metrics,
        flights=_REWARD_COMMITS,
        queue_entries=settings.queue_entries,
        batch_entries=settings.batch_entries,
        stall_seconds=_PATIENT_SECONDS,
    )
    deliveries: DeliveryBatcher = Batcher(
        "webhook ids",
        store.deliveries.bind,
        metrics,
        queue_entries=settings.queue_entries,
        batch_entries=settings.batch_entries,
        stall_seconds=_PATIENT_SECONDS,
    )
    limits = open_limits(engine, settings, log, metrics, lambda: writer.away)
    reloader = Reloader(engine.serving, log, metrics, seconds=settings.reload_seconds, hints=model_hints)

    async def start() -> None:
        back = partial(asyncio.get_running_loop().call_soon_threadsafe, writer.log_answers)
        drainer.start(lambda: writer.away, back)
        if settings.dev:
            log.warning("development_mode", meaning="no keys are asked for: everyone on this machine may call anything")
        await in_thread(threads, reloader.start)
        await in_thread(threads, limits.start)
        # What start-up made lives as long as the worker: the collector need not walk it again and again.
        gc.collect()
        gc.freeze()

    async def stop() -> None:
        await decisions.drain()
        await spooling.drain()
        await limits.stop(threads)
        await rewards.drain()
        await deliveries.drain()
        drainer.stop()
        spool.close()
        reloader.stop()
        threads.shutdown()
        doorkeepers.shutdown()

    throttle = Throttle(settings.rate_per_second, settings.rate_burst)
    known_keys, known_secrets = _remembering(store.access, doorkeepers, settings)
    gatekeeper = (LocalGatekeeper if settings.dev else Gatekeeper)(known_keys, throttle)
    console = Console(engine, settings, known_keys, throttle, metrics, draining, log)
    desk = making.desk(engine, writer, spool, metrics, threads, limits)
    commit_one = one_commit(desk, settings)
    app = Litestar(
        [
            *decision_routes(engine, desk, commit_one, threads, settings),
            *search_routes(engine, threads),
            *reward_routes(
                making.reward_desk(rewards, deliveries, metrics, settings, engine.subject_key),
                Webhooks(known_secrets),
                throttle,
                engine.clock,
            ),
            *policy_routes(engine, threads),
            *promotion_routes(engine, threads),
            *rollout_routes(engine, threads),
            *override_routes(engine, threads),
            *watch_routes(engine, threads),
            *trail_routes(engine, threads),
            *health_routes(engine, threads, metrics, Readiness(engine, threads, draining, spool)),
            *console_routes(console),
        ],
        middleware=[guarding(gatekeeper, gatekeeper if settings.dev else console.gatekeeper)],
        exception_handlers={Exception: Answering(console.pages)},
        template_config=TemplateConfig(instance=console.pages.engine),
        on_startup=[start],
        on_shutdown=[stop, console.close],
        request_max_body_size=settings.body_bytes,
        openapi_config=None,
        logging_config=None,
    )
    declared_access(app)
    requests = RequestLog(log, lines, metrics, draining)
    framework = requests.watching(telling_browsers(app.asgi_handler))
    app.asgi_handler = making.around(
        Lane(app, framework, gatekeeper, requests, desk, commit_one, body_bytes=settings.body_bytes)
    )
    return app


def _remembering(
    access: Access, doorkeepers: Executor, settings: Settings
) -> tuple[KnownKeys, Remembered[Source, list[Webhook]]]:
    async def find_key(wanted: bytes) -> ApiKey | None:
        return await in_thread(doorkeepers, lambda: access.key(wanted))

    async def find_secrets(source: Source) -> list[Webhook]:
        secrets = await in_thread(doorkeepers, lambda: access.webhook_secrets(source))
        return [opened for secret in secrets if (opened := open_secret(secret)) is not None]

    guesses = Bucket(_GUESSES_PER_SECOND, _GUESSES_BURST)
    fresh, away = settings.key_cache_seconds, settings.key_away_seconds
    return (
        Remembered(find_key, guesses, cache_seconds=fresh, away_seconds=away),
        Remembered(find_secrets, guesses, cache_seconds=fresh, away_seconds=away),
    )


def _spooled(spool: Spool, entries: Sequence[DecisionEntry]) -> list[None]:
    spool.append(entries)
    return [None] * len(entries)
