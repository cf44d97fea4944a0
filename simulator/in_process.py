"""The real engine in one process, on a clock that its caller moves: no server, no database, nothing imitated.

Requests are admitted and decided, decisions appended, rewards recorded, windows joined, segments learned and published,
and the published models taken into service, by the very functions the service calls, through the same ports: in memory,
unless another store is given.
"""

import random
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import blake2b
from uuid import UUID

from cxi_bandit.bootstrap.engine import Store
from cxi_bandit.domain.decision import Decision, DecisionRequest, Stage
from cxi_bandit.domain.errors import NotFound
from cxi_bandit.domain.identifiers import DecisionId
from cxi_bandit.domain.reward import RewardEvent
from cxi_bandit.engine.choose import Keys
from cxi_bandit.engine.decide import ServedPolicy
from cxi_bandit.engine.install import install
from cxi_bandit.engine.join import join
from cxi_bandit.engine.learn import Learner
from cxi_bandit.engine.limiting import Account, Bounds
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.ports import DecisionEntry, Keyring, ModelRoom
from cxi_bandit.engine.record import record
from cxi_bandit.engine.serve import Serving
from cxi_bandit.policy.draw import DrawKey
from cxi_bandit.store.memory import MemoryStore
from cxi_bandit.vowpal import VowpalRoom


class SeededKeyring:
    """Keyring whose keys come from the seed, so that a run can be repeated draw by draw."""

    def __init__(self, seed: int) -> None:
        self._draw = DrawKey("draw-1", blake2b(b"draw %d" % seed, digest_size=32).digest())
        self._subject = blake2b(b"subject %d" % seed, digest_size=32).digest()
        self._console = blake2b(b"console %d" % seed, digest_size=32).digest()

    def draw_key(self, key_id: str | None = None) -> DrawKey:
        """See the port."""
        if key_id not in (None, self._draw.key_id):
            raise NotFound("draw key", str(key_id))
        return self._draw

    def subject_key(self) -> bytes:
        """See the port."""
        return self._subject

    def console_key(self) -> bytes:
        """See the port."""
        return self._console


class _Boundless:
    """Leases of one who is never short of money."""

    def left(self, account: Account) -> int:  # noqa: ARG002 - whatever it is for
        """More than anything costs."""
        return sys.maxsize


class InProcess:
    """One engine over a store of its own, with the policies of these texts live from the beginning.

    Shoppers' caps hold; budgets, which processes lease, do not.

    Args:
        texts: Manifest texts by file name.
        seed: Same seed and same calls, same run, to the last bit; on a store of one's own, but for its secret keys.
        store: Where everything is kept, with the keys it has; without it a memory of its own.
    """

    def __init__(
        self,
        texts: Mapping[str, str],
        at: datetime,
        seed: int,
        room: ModelRoom | None = None,
        store: Store | None = None,
    ) -> None:
        self.store: Store = store or MemoryStore()
        self.room = room or VowpalRoom()
        self.keyring: Keyring = SeededKeyring(seed) if store is None else store.keyring
        self.manifests = Manifests(self.store.registry)
        self._serving = Serving(self.store.registry, self.store.releases, self.manifests, self.room)
        self._learner = Learner(self.store.registry, self.store.outcomes, self.manifests, self.room)
        self._keys = Keys(self.keyring.draw_key(), self.keyring.subject_key())
        self._ids = random.Random(seed)
        install(self.store.registry, texts.items(), at, "simulator")

    def route(self, request: DecisionRequest) -> ServedPolicy:
        """The policy that answers."""
        return self._serving.route(request)

    def decide(self, request: DecisionRequest, now: datetime) -> Decision:
        """Draws; nothing is kept until it is logged."""
        routed, overrides, name = self._serving.rollout_for(request), self._serving.overrides, self._mint(now)
        asked = routed.ask(request, overrides, name, self._keys)
        wanted, bounds = routed.permit_request(asked), None
        if wanted is not None:
            (refused,) = self.store.permits.take([wanted])
            bounds = Bounds(_Boundless(), wanted.wanted - refused.keys(), refused)
        return routed.answer(asked, self._keys, bounds=bounds).decision

    def log(self, decision: Decision) -> None:
        """Keeps a decision, as the service does before it answers; its shopper's permit has done its work."""
        self.store.decisions.append([DecisionEntry(decision)])
        self.store.permits.release([decision.decision_id])

    def record(self, events: Sequence[RewardEvent], at: datetime) -> None:
        """Takes rewards, of decisions that are logged or will be."""
        record(events, at, self.store.decisions, self.store.ledger, self.manifests)

    def turn(self, now: datetime, *, learning: bool = True) -> None:
        """Joins and learns all there is to, and takes up what was learned and rolled out."""
        while not join(self.store.outcomes, self.manifests, now, timedelta(0)).idle:
            pass
        for version in self.store.registry.versions():
            while learning and version.stage is Stage.LIVE and self._learner.step(version, now) is not None:
                pass
        self._serving.refresh()

    def _mint(self, now: datetime) -> DecisionId:
        """A UUIDv7 at `now` whose other bits come from the seed and the order: the service's mint draws them afresh."""
        milliseconds = int(now.timestamp() * 1000)
        bits = milliseconds << 80 | 0x7 << 76 | self._ids.getrandbits(12) << 64 | 0b10 << 62 | self._ids.getrandbits(62)
        return DecisionId(UUID(int=bits))
