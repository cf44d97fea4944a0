"""A running service behind keys, and a shop that trades with it for as long as somebody looks."""

import base64
import secrets
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from cxi_bandit.bootstrap import Engine, build_engine
from cxi_bandit.bootstrap.database import open_store
from cxi_bandit.domain.access import ApiKey, Scope
from cxi_bandit.domain.identifiers import Source
from cxi_bandit.service.auth import digest, new_secret
from cxi_bandit.settings import Settings
from simulator.demo.client import Client
from simulator.demo.run import demo_manifests
from simulator.demo.traffic import Shop
from simulator.manifests import by_surface, with_value
from simulator.world.shopping import ShoppingWorld
from tests.harness.service import Service, until

SEED: Final = 7
STEADY: Final = "search.toml"
AT_FIRST: Final = 400
"""Decisions before anybody looks: enough for models to choose."""
_IN_A_HURRY: Final = 200.0
_PER_SECOND: Final = 20.0
_PATIENCE_SECONDS: Final = 60
_FOR_LONG: Final = 100_000
_SOURCE: Final = "shop-till"


class _Closed(Exception):
    """The shop has closed."""


class _KeyedClient(Client):
    """The demo's client, with a key: this service asks for one."""

    def __init__(self, port: int, secret: str, key: str) -> None:
        super().__init__(port, _SOURCE, secret)
        self._key = {"authorization": f"Bearer {key}"}

    def _post(self, path: str, body: bytes, headers: dict[str, str]) -> bytes:
        return super()._post(path, body, headers | self._key)


class RunningShop:
    """The service, its keys, and its trade."""

    def __init__(self, service: Service, manifests: dict[str, str]) -> None:
        self.service = service
        self.address = f"http://127.0.0.1:{service.port}"
        self.log = service.log
        self._manifests = by_surface(manifests)
        self._till = f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
        with self.engine() as engine:
            engine.store.access.add_webhook_secret(Source(_SOURCE), self._till, engine.clock(), "test")
        self.key = self.new_key("shop", Scope.DECIDE, Scope.REWARD, Scope.READ)

    def new_key(self, name: str, *scopes: Scope) -> str:
        """A key's secret."""
        secret = new_secret()
        with self.engine() as engine:
            key = ApiKey(name=name, scopes=frozenset(scopes), source=Source(name), created_at=engine.clock())
            engine.store.access.add_key(key, digest(secret), "test")
        return secret

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        """An engine of our own over its database, as the command line has one."""
        with open_store(Settings(data_dir=self.service.data_dir)) as store:
            yield build_engine(store)

    def trade(self, decisions: int, per_second: float, open_: threading.Event) -> None:
        """Sends what shoppers meet and do, until it is done or the shop is closed."""

        def advance(_made: int) -> None:
            if not open_.is_set():
                raise _Closed

        world = ShoppingWorld(self._manifests, SEED, length=decisions)
        with closing(_KeyedClient(self.service.port, self._till, self.key)) as client:
            try:
                Shop(client, self._manifests, world, SEED).trade(decisions, per_second, advance)
            except _Closed:
                return

    def settled(self) -> bool:
        """Whether all that was decided at first has been learned."""
        with self.engine() as engine:
            return sum(model.lineage.learned_total for model in engine.store.registry.heads()) >= AT_FIRST

    @contextmanager
    def trading(self) -> Iterator[None]:
        """Trades beside whatever is done meanwhile."""
        open_ = threading.Event()
        open_.set()
        trade = threading.Thread(target=self.trade, args=(_FOR_LONG, _PER_SECOND, open_))
        trade.start()
        try:
            yield
        finally:
            open_.clear()
            trade.join()


@contextmanager
def running_shop(place: Path) -> Iterator[RunningShop]:
    """Four surfaces with attribution windows of seconds, the first decisions made and learned."""
    texts = demo_manifests()
    # What is live there stays what it is while somebody proposes something else.
    texts[STEADY] = with_value(texts[STEADY], "updates", '"gated"')
    policies = place / "policies"
    policies.mkdir(parents=True)
    (_, first), *others = texts.items()
    for other, text in others:
        (policies / other).write_text(text)
    service = Service(place / "data", 1, manifest=first)
    try:
        service.await_ready()
        shop = RunningShop(service, texts)
        open_ = threading.Event()
        open_.set()
        shop.trade(AT_FIRST, _IN_A_HURRY, open_)
        until(shop.settled, _PATIENCE_SECONDS)
        yield shop
    finally:
        service.close()
