"""All pages of the console under one path, behind one door."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from litestar import Router
from litestar.plugins.htmx import HTMXRequest
from litestar.types import ControllerRouterHandler
from structlog.typing import FilteringBoundLogger

from cxi_bandit.bootstrap import Engine
from cxi_bandit.service.auth import DOOR, SESSION, KnownKeys
from cxi_bandit.service.console.actions import action_pages
from cxi_bandit.service.console.evaluations import evaluation_pages
from cxi_bandit.service.console.live import Live
from cxi_bandit.service.console.overview import Overview, overview_pages
from cxi_bandit.service.console.pages import Pages
from cxi_bandit.service.console.policies import policy_pages
from cxi_bandit.service.console.quarantine import quarantine_pages
from cxi_bandit.service.console.receipts import receipt_pages
from cxi_bandit.service.console.search import search_pages
from cxi_bandit.service.console.security import PATH, HouseRules, csrf_protection
from cxi_bandit.service.console.session import SessionGatekeeper, Sessions
from cxi_bandit.service.console.sign_in import sign_in_pages
from cxi_bandit.service.console.static_files import static_routes
from cxi_bandit.service.draining import Draining
from cxi_bandit.service.throttle import Throttle
from cxi_bandit.settings import Settings
from cxi_bandit.telemetry.metrics import Metrics
from cxi_bandit.telemetry.readings import Pulses

_READERS: Final = 2
_HOUR_SECONDS: Final = 3600
_FORM_BYTES: Final = 16 * 1024


class Console:
    """What pages are made with, and who may see them.

    Attributes:
        threads: Where pages are read and rendered; the console's own, so that no caller of the API waits for a page.
    """

    def __init__(  # noqa: PLR0917 - what a worker is made of
        self,
        engine: Engine,
        settings: Settings,
        keys: KnownKeys,
        throttle: Throttle,
        metrics: Metrics,
        draining: Draining,
        log: FilteringBoundLogger,
    ) -> None:
        self.engine = engine
        self.settings = settings
        self.keys = keys
        self.threads = ThreadPoolExecutor(_READERS, thread_name_prefix="console")
        self.pages = Pages(self.threads, engine.clock, dev=settings.dev)
        self.overview = Overview(engine, self.pages, Pulses(metrics))
        self.live = Live(self.overview.news, self.threads, draining, log)
        self.sessions = Sessions(
            engine.console_key, seconds=int(settings.session_hours * _HOUR_SECONDS), tls=settings.tls
        )
        self.gatekeeper = SessionGatekeeper(keys, throttle, self.sessions)

    async def close(self) -> None:
        """Ends its streams and threads."""
        self.live.close()
        self.threads.shutdown()


def console_routes(console: Console) -> Sequence[ControllerRouterHandler]:
    """The pages, and the files that they ask for."""
    dev, tls = console.settings.dev, console.settings.tls
    pages = Router(
        PATH,
        opt={DOOR: SESSION},
        middleware=[
            HouseRules,
            csrf_protection(console.engine.console_key, tls=tls),
        ],
        request_class=HTMXRequest,
        request_max_body_size=_FORM_BYTES,
        route_handlers=[
            *overview_pages(console.overview, console.pages, console.live),
            *policy_pages(console.engine, console.pages),
            *evaluation_pages(console.engine, console.pages),
            *action_pages(console.engine, console.pages),
            *search_pages(console.engine, console.pages),
            *receipt_pages(console.engine, console.pages),
            *quarantine_pages(console.engine, console.pages),
            *sign_in_pages(console.pages, console.sessions, console.keys, dev=dev),
        ],
    )
    return [pages, *static_routes()]
