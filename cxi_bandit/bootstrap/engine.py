"""The engine with everything it needs, as one value that each process makes once."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from cxi_bandit.domain.identifiers import DecisionIdMint
from cxi_bandit.engine.candidacy import Ports
from cxi_bandit.engine.install import install
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.ports import (
    Access,
    Budgets,
    Clock,
    DecisionLog,
    Deliveries,
    Evaluations,
    Keyring,
    ModelRoom,
    OutcomeLog,
    Permits,
    Privacy,
    Rebuilds,
    Registry,
    Releases,
    RewardLedger,
    Tallies,
    Trail,
    Visits,
)
from cxi_bandit.engine.serve import Serving
from cxi_bandit.engine.watch_view import WatchPorts
from cxi_bandit.policy.draw import DrawKey
from cxi_bandit.store.memory import MemoryStore
from cxi_bandit.vowpal import VowpalRoom


class Store(Protocol):
    """All ports of one place where things are kept."""

    @property
    def decisions(self) -> DecisionLog:
        """The decision log."""
        ...

    @property
    def ledger(self) -> RewardLedger:
        """The reward ledger."""
        ...

    @property
    def outcomes(self) -> OutcomeLog:
        """The outcome log."""
        ...

    @property
    def visits(self) -> Visits:
        """Decisions with their first closes, as a watch reads them."""
        ...

    @property
    def registry(self) -> Registry:
        """Manifests, versions, models, audit trail."""
        ...

    @property
    def releases(self) -> Releases:
        """Roll-outs, promotions, overrides, the state of watches."""
        ...

    @property
    def keyring(self) -> Keyring:
        """Secrets of the draw and of pseudonyms."""
        ...

    @property
    def access(self) -> Access:
        """API keys and webhook secrets."""
        ...

    @property
    def deliveries(self) -> Deliveries:
        """Webhook ids and what they stand for."""
        ...

    @property
    def trail(self) -> Trail:
        """The audit trail, to be read."""
        ...

    @property
    def evaluations(self) -> Evaluations:
        """Reports, the alpha ledger, trials between sittings."""
        ...

    @property
    def rebuilds(self) -> Rebuilds:
        """Requests for rebuilds."""
        ...

    @property
    def privacy(self) -> Privacy:
        """Who was erased, and the certificates of it."""
        ...

    @property
    def budgets(self) -> Budgets:
        """What of each day's budgets is out on lease."""
        ...

    @property
    def permits(self) -> Permits:
        """Which shoppers' permits are out."""
        ...

    @property
    def tallies(self) -> Tallies:
        """What was decided and how it ended, counted."""
        ...

    def close(self) -> None:
        """Lets go of connections."""
        ...


@dataclass(frozen=True)
class Engine:
    """What a process decides, records, joins and learns with."""

    store: Store
    room: ModelRoom
    manifests: Manifests
    serving: Serving
    draw_key: DrawKey
    subject_key: bytes
    console_key: bytes
    mint: DecisionIdMint
    clock: Clock

    @property
    def promoting(self) -> Ports:
        """What a promotion is decided with."""
        return Ports(self.store.registry, self.store.releases, self.store.evaluations, self.manifests)

    @property
    def watching(self) -> WatchPorts:
        """What a roll-out is watched with."""
        store = self.store
        return WatchPorts(store.visits, store.registry, store.releases, store.evaluations, self.manifests)


def wall_clock() -> datetime:
    """Now, aware, in UTC."""
    return datetime.now(UTC)


def build_engine(store: Store, clock: Clock = wall_clock, room: ModelRoom | None = None) -> Engine:
    """The engine over a store. Nothing is served before the first `serving.refresh()`."""
    room = room or VowpalRoom()
    manifests = Manifests(store.registry)
    return Engine(
        store=store,
        room=room,
        manifests=manifests,
        serving=Serving(store.registry, store.releases, manifests, room),
        draw_key=store.keyring.draw_key(),
        subject_key=store.keyring.subject_key(),
        console_key=store.keyring.console_key(),
        mint=DecisionIdMint(),
        clock=clock,
    )


def in_memory_engine(
    manifests: Iterable[tuple[str, str]],
    clock: Clock = wall_clock,
    room: ModelRoom | None = None,
    store: Callable[[], Store] = MemoryStore,
) -> Engine:
    """The same engine over a process's memory, with its manifests installed and served: simulations, tests.

    Args:
        manifests: Pairs of (file name, text); the first of each policy goes live.
    """
    engine = build_engine(store(), clock, room)
    install(engine.store.registry, manifests, clock(), actor="memory")
    engine.serving.refresh()
    return engine
