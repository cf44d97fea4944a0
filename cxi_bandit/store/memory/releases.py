"""Releases in memory."""

import threading

import msgspec

from cxi_bandit.domain.errors import NotFound, RolloutConflict
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.domain.override import Override
from cxi_bandit.domain.promotion import Promotion
from cxi_bandit.domain.release import AuditEntry
from cxi_bandit.domain.rollout import Rollout
from cxi_bandit.store.memory.access import MemoryTrail
from cxi_bandit.store.memory.registry import MemoryRegistry


class MemoryReleases:
    """See the port for every method."""

    def __init__(self, lock: threading.RLock, registry: MemoryRegistry, trail: MemoryTrail) -> None:
        self._lock = lock
        self._registry = registry
        self._trail = trail
        self._rollouts = registry.rollouts
        self._promotions: list[Promotion] = []
        self._overrides: list[Override] = []
        self._watches: dict[tuple[PolicyName, str], tuple[int, str]] = {}

    def rollouts(self) -> list[Rollout]:
        """See the port."""
        with self._lock:
            return [revisions[-1] for _, revisions in sorted(self._rollouts.items())]

    def rollout(self, policy: PolicyName) -> Rollout:
        """See the port."""
        with self._lock:
            if policy not in self._rollouts:
                raise NotFound("roll-out of policy", policy)
            return self._rollouts[policy][-1]

    def history(self, policy: PolicyName) -> list[Rollout]:
        """See the port."""
        with self._lock:
            return list(self._rollouts.get(policy, ()))

    def roll_out(
        self, rollout: Rollout, entry: AuditEntry, promotion: Promotion | None = None, seen: Promotion | None = None
    ) -> None:
        """See the port."""
        with self._lock:
            revisions = self._rollouts.setdefault(rollout.policy, [])
            if rollout.revision != len(revisions) + 1:
                raise RolloutConflict(f"revision {rollout.revision} of {rollout.policy} is not the next one any more")
            if promotion is not None and seen is not None:
                self._replace(promotion, seen)
            revisions.append(rollout)
            self._registry.put_in_stages(rollout.policy, rollout.stages())
            self._trail.append(entry)

    def propose(self, promotion: Promotion, entry: AuditEntry) -> Promotion:
        """See the port."""
        with self._lock:
            filed = msgspec.structs.replace(promotion, promotion_id=len(self._promotions) + 1)
            self._promotions.append(filed)
            self._trail.append(entry.about("promotion", filed.promotion_id))
            return filed

    def change(self, promotion: Promotion, seen: Promotion, entry: AuditEntry) -> None:
        """See the port."""
        with self._lock:
            self._replace(promotion, seen)
            self._trail.append(entry)

    def _replace(self, promotion: Promotion, seen: Promotion) -> None:
        if self.promotion(promotion.promotion_id) != seen:
            raise RolloutConflict(f"promotion {promotion.promotion_id} was changed meanwhile")
        self._promotions[promotion.promotion_id - 1] = promotion

    def promotion(self, promotion_id: int) -> Promotion:
        """See the port."""
        with self._lock:
            if not 1 <= promotion_id <= len(self._promotions):
                raise NotFound("promotion", str(promotion_id))
            return self._promotions[promotion_id - 1]

    def promotions(self, policy: PolicyName | None = None) -> list[Promotion]:
        """See the port."""
        with self._lock:
            return [promotion for promotion in self._promotions if policy in (None, promotion.policy)]

    def override(self, override: Override, entry: AuditEntry) -> Override:
        """See the port."""
        with self._lock:
            kept = msgspec.structs.replace(override, override_id=len(self._overrides) + 1)
            self._overrides.append(kept)
            self._trail.append(entry.about("override", kept.override_id))
            return kept

    def lift(self, override: Override, entry: AuditEntry) -> bool:
        """See the port."""
        with self._lock:
            index = override.override_id - 1
            if not 0 <= index < len(self._overrides) or self._overrides[index].lifted_at is not None:
                return False
            self._overrides[index] = msgspec.structs.replace(
                self._overrides[index], lifted_at=override.lifted_at, lifted_by=override.lifted_by
            )
            self._trail.append(entry)
            return True

    def overrides(self, *, standing: bool = True) -> list[Override]:
        """See the port."""
        with self._lock:
            return [override for override in self._overrides if not standing or override.lifted_at is None]

    def watch(self, policy: PolicyName, name: str) -> tuple[int, str] | None:
        """See the port."""
        return self._watches.get((policy, name))

    def keep_watch(self, policy: PolicyName, name: str, sitting: int, state: str) -> None:
        """See the port."""
        with self._lock:
            last, _ = self._watches.get((policy, name), (0, ""))
            if sitting != last + 1:
                raise RolloutConflict(f"sitting {sitting} of watch {name} of {policy} is not the next one any more")
            self._watches[policy, name] = (sitting, state)
