"""The engine's ports in memory: the same promises as PostgreSQL but durability, for simulations and fast tests."""

import secrets
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import chain

from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.errors import IdempotencyConflict, NotFound
from cxi_bandit.domain.identifiers import DecisionId, ManifestSha, PolicyName, RewardId, Source
from cxi_bandit.domain.outcome import OutcomeStanding
from cxi_bandit.domain.reward import LedgerEntry, RewardKey, RewardStatus
from cxi_bandit.domain.search import Found, SetAsides, Wanted
from cxi_bandit.engine.ports import DecisionEntry, IdempotencyToken
from cxi_bandit.policy.draw import DrawKey
from cxi_bandit.store.memory import searching
from cxi_bandit.store.memory.access import MemoryAccess, MemoryDeliveries, MemoryTrail
from cxi_bandit.store.memory.addresses import AddressBook, MemoryAddresses
from cxi_bandit.store.memory.evaluations import MemoryEvaluations
from cxi_bandit.store.memory.heard import known_at
from cxi_bandit.store.memory.limits import MemoryBudgets, MemoryPermits
from cxi_bandit.store.memory.mending import MemoryPrivacy, MemoryRebuilds
from cxi_bandit.store.memory.outcomes import MemoryOutcomes
from cxi_bandit.store.memory.registry import MemoryRegistry
from cxi_bandit.store.memory.releases import MemoryReleases
from cxi_bandit.store.memory.tallies import MemoryTallies
from cxi_bandit.store.memory.visits import MemoryVisits
from cxi_bandit.store.memory.windows import OpenWindows


class MemoryStore:
    """All ports over one process's memory."""

    def __init__(self) -> None:
        lock = threading.RLock()
        windows = OpenWindows()
        rows: dict[DecisionId, Decision] = {}
        book = AddressBook(rows, windows.activated, windows.set_aside)
        self.ledger = MemoryLedger(lock, book)
        self.rebuilds = MemoryRebuilds(lock)
        self.outcomes = MemoryOutcomes(lock, windows, rows, self.ledger.entries, self.ledger.inbox, self.rebuilds, book)
        self.visits = MemoryVisits(lock, rows, self.outcomes.by_decision)
        self.decisions = MemoryDecisions(lock, windows, rows, book, self.visits)
        self.trail = MemoryTrail(lock)
        self.registry = MemoryRegistry(lock, self.trail)
        self.releases = MemoryReleases(lock, self.registry, self.trail)
        self.keyring = MemoryKeyring()
        self.access = MemoryAccess(lock, self.trail)
        self.deliveries = MemoryDeliveries(lock)
        self.evaluations = MemoryEvaluations(lock)
        self.privacy = MemoryPrivacy(lock)
        self.budgets = MemoryBudgets(lock)
        self.permits = MemoryPermits(lock, rows)
        self.tallies = MemoryTallies(lock, rows, self.outcomes.by_decision, self.outcomes.log)

    def close(self) -> None:
        """Nothing to let go of."""


class MemoryDecisions:
    """DecisionLog in memory."""

    def __init__(
        self,
        lock: threading.RLock,
        windows: OpenWindows,
        rows: dict[DecisionId, Decision],
        book: AddressBook,
        visits: MemoryVisits,
    ) -> None:
        self._lock = lock
        self._windows = windows
        self._book = book
        self._visits = visits
        self.rows = rows
        self._tokens: dict[tuple[str, str], tuple[bytes, DecisionId]] = {}

    def append(self, entries: Sequence[DecisionEntry]) -> list[Decision | IdempotencyConflict]:
        """See the port."""
        with self._lock:
            return [self._append(entry) for entry in entries]

    def _append(self, entry: DecisionEntry) -> Decision | IdempotencyConflict:
        decision, token = entry.decision, entry.idempotency
        if token is not None:
            self._forget_erased(token)
            body, first = self._tokens.setdefault((token.caller, token.key), (token.body_sha256, decision.decision_id))
            if body != token.body_sha256:
                return IdempotencyConflict(token.key)
            if first != decision.decision_id:
                return self.rows[first]
        return self._kept(decision)

    def adopt(self, entries: Sequence[DecisionEntry]) -> int:
        """See the port."""
        aliases = 0
        with self._lock:
            for entry in entries:
                decision, token = entry.decision, entry.idempotency
                self._kept(decision)
                if token is None:
                    continue
                self._forget_erased(token)
                own = (token.body_sha256, decision.decision_id)
                body, first = self._tokens.setdefault((token.caller, token.key), own)
                unseen = self._windows.set_aside.get(first) is OutcomeStanding.ABANDONED
                if first != decision.decision_id and body == token.body_sha256 and not unseen:
                    self._windows.set_aside.setdefault(decision.decision_id, OutcomeStanding.ALIAS)
                    aliases += 1
        return aliases

    def abandon(self, decisions: Collection[DecisionId]) -> None:
        """See the port."""
        with self._lock:
            for name in decisions:
                self._windows.abandoned(name)

    def answered(self, decisions: Collection[DecisionId]) -> None:
        """See the port."""
        with self._lock:
            for name in decisions:
                self._windows.answered(name)

    def probe(self) -> None:
        """See the port."""

    def _kept(self, decision: Decision) -> Decision:
        if decision.decision_id not in self.rows:
            self.rows[decision.decision_id] = decision
            self._windows.opened(decision)
            self._book.logged(decision)
            self._visits.logged(decision)
        return self.rows[decision.decision_id]

    def _forget_erased(self, token: IdempotencyToken) -> None:
        """A key goes with the decision it stood for."""
        key = (token.caller, token.key)
        if key in self._tokens and self._tokens[key][1] not in self.rows:
            del self._tokens[key]

    def find(self, decisions: Collection[DecisionId]) -> dict[DecisionId, Decision]:
        """See the port."""
        with self._lock:
            return {name: self.rows[name] for name in decisions if name in self.rows}

    def manifests_of(self, decisions: Collection[DecisionId]) -> dict[DecisionId, ManifestSha]:
        """See the port."""
        with self._lock:
            return {name: self.rows[name].manifest_sha for name in decisions if name in self.rows}

    def activate(self, decision: DecisionId, at: datetime) -> bool:
        """See the port."""
        with self._lock:
            if decision not in self.rows:
                return False
            self._windows.activated.setdefault(decision, at)
            return True

    def of_subject(self, subject: bytes, until: datetime) -> dict[PolicyName, list[DecisionId]]:
        """See the port."""
        found: dict[PolicyName, list[DecisionId]] = {}
        with self._lock:
            for name in sorted(self.rows):
                row = self.rows[name]
                if row.subject == subject and row.decided_at <= until:
                    found.setdefault(row.policy, []).append(name)
        return found

    def scan(self, policy: PolicyName, after: DecisionId | None, limit: int) -> list[Decision]:
        """See the port."""
        with self._lock:
            later = sorted(
                name for name, row in self.rows.items() if row.policy == policy and (after is None or name > after)
            )
            return [self.rows[name] for name in later[:limit]]

    def latest(self, policy: PolicyName, limit: int) -> list[Decision]:
        """See the port."""
        with self._lock:
            known = sorted(name for name, row in self.rows.items() if row.policy == policy)
            return [self.rows[name] for name in known[max(len(known) - limit, 0) :]]

    def search(self, wanted: Wanted, before: DecisionId | None, limit: int, look: int) -> Found:
        """See the port."""
        with self._lock:
            return searching.search(self.rows, wanted, before, limit, look)

    def set_asides(self, before: DecisionId | None, limit: int, look: int) -> SetAsides:
        """See the port."""
        with self._lock:
            return searching.set_asides(self._windows.set_aside, before, limit, look)


class MemoryLedger:
    """RewardLedger in memory."""

    def __init__(self, lock: threading.RLock, book: AddressBook) -> None:
        self._lock = lock
        self._book = book
        self._known: dict[RewardKey, LedgerEntry] = {}
        self.entries: dict[DecisionId, list[LedgerEntry]] = {}
        self.inbox: list[LedgerEntry] = []

    def append(self, entries: Sequence[LedgerEntry]) -> list[RewardStatus]:
        """See the port."""
        statuses = []
        with self._lock:
            for entry in entries:
                standing = self._known.get(entry.event.key)
                if standing is None:
                    self._append(entry)
                    statuses.append(RewardStatus.ACCEPTED)
                else:
                    same = standing.event == entry.event
                    statuses.append(RewardStatus.DUPLICATE if same else RewardStatus.CONFLICT)
        return statuses

    def quarantine(
        self,
        after: int,
        limit: int,
        *,
        source: Source | None = None,
        metric: str | None = None,
        reward_id: RewardId | None = None,
    ) -> list[tuple[int, LedgerEntry]]:
        """See the port."""
        with self._lock:
            placed = chain(*self.entries.values(), self._book.entries.values())
            held = {entry.event.key: entry for entry in placed if entry.quarantined is not None}
            found = [
                (number, held[key])
                for number, key in enumerate(self._known, 1)
                if number > after
                and key in held
                and source in (None, key[0])
                and reward_id in (None, key[1])
                and metric in (None, held[key].event.metric)
            ]
            return found[:limit]

    def _append(self, entry: LedgerEntry) -> None:
        self._known[entry.event.key] = entry
        if entry.event.decision_id is not None:
            self.entries.setdefault(entry.event.decision_id, []).append(entry)
        self._book.reported(entry)
        self.inbox.append(entry)

    def history(self, decision: DecisionId) -> list[LedgerEntry]:
        """See the port."""
        with self._lock:
            entries = [*self.entries.get(decision, ()), *self._book.entries_of(decision)]
            return sorted(entries, key=lambda entry: entry.received_at)

    def known_at(self, decisions: Collection[DecisionId], ledger_cut: int) -> dict[DecisionId, list[LedgerEntry]]:
        """See the port."""
        with self._lock:
            return known_at(self.entries, self._book, decisions, ledger_cut)

    @contextmanager
    def addresses(self) -> Iterator[MemoryAddresses]:
        """See the port."""
        with self._lock:
            yield MemoryAddresses(self._book, lambda _: True)


class MemoryKeyring:
    """Keyring in memory: new keys with every store."""

    def __init__(self) -> None:
        self._draw = DrawKey("draw-1", secrets.token_bytes(32))
        self._subject = secrets.token_bytes(32)
        self._console = secrets.token_bytes(32)

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
