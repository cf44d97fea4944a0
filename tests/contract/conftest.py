"""The implementations of the store, and makers of valid rows to put into them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cxi_bandit.domain.decision import Decision, Defect, Situation, Stage
from cxi_bandit.domain.identifiers import (
    DecisionId,
    DecisionIdMint,
    InterventionId,
    ManifestSha,
    ModelVersion,
    PolicyName,
    RewardId,
    Source,
    minted_at,
)
from cxi_bandit.domain.model import Branch, Lineage, Model
from cxi_bandit.domain.outcome import OutcomeStanding, Settlement
from cxi_bandit.domain.reward import LedgerEntry, RewardEvent
from cxi_bandit.engine.ports import Closure
from cxi_bandit.store.memory import MemoryStore

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Maker:
    """Makes rows one after another; every decision is a millisecond later than the one before."""

    def __init__(self) -> None:
        self._mint = DecisionIdMint()
        self._count = 0

    def decision(self, policy: str = "cart", minutes: float = 10.0, **changes: Any) -> Decision:
        self._count += 1
        decision_id = self._mint.mint(NOON + timedelta(milliseconds=self._count))
        decided_at = minted_at(decision_id)
        fields: dict[str, Any] = {
            "decision_id": decision_id,
            "decided_at": decided_at,
            "closes_at": decided_at + timedelta(minutes=minutes),
            "policy": PolicyName(policy),
            "policy_version": 1,
            "manifest_sha": ManifestSha("0" * 64),
            "model_version": None,
            "stage": Stage.LIVE,
            "surface": "cart",
            "subject": None,
            "situation": Situation(
                defect=Defect("coupon_failed", 0.5, 0.9),
                context={"zeta": "z", "alpha": 0.1 + 0.2, "mid": True},
                eligible=(InterventionId("hold"), InterventionId("apply_coupon")),
            ),
            "excluded": {},
            "probabilities": (0.25, 0.75),
            "intervention": InterventionId("apply_coupon"),
            "propensity": 0.75,
            "draw_key_id": "draw-1",
            "u": 0.5,
        }
        return Decision(**{**fields, **changes})

    def entry(self, decision: DecisionId, reward_id: str, value: float | None = 1.0, **changes: Any) -> LedgerEntry:
        self._count += 1
        fields: dict[str, Any] = {
            "source": Source("shop"),
            "reward_id": RewardId(reward_id),
            "decision_id": decision,
            "metric": "purchase",
            "value": value,
            "occurred_at": NOON + timedelta(minutes=1),
        }
        event = RewardEvent(**{**fields, **changes})
        return LedgerEntry(event=event, received_at=NOON + timedelta(minutes=2, milliseconds=self._count))

    def closure(self, decision: Decision, reward: float = 1.0, revision: int = 0, **changes: Any) -> Closure:
        fields: dict[str, Any] = {
            "policy": decision.policy,
            "decision_id": decision.decision_id,
            "revision": revision,
            "settlement": Settlement(reward=reward, metrics={"purchase": reward}, counted=1, completed=True),
            "standing": OutcomeStanding.LEARNABLE,
        }
        return Closure(**{**fields, **changes})

    def model(self, version: int, parent: int | None = None, policy: str = "cart", **changes: Any) -> Model:
        fields: dict[str, Any] = {
            "policy": PolicyName(policy),
            "policy_version": 1,
            "version": ModelVersion(version),
            "branch": Branch.START if parent is None else Branch.MAIN,
            "parent": parent,
            "manifest_sha": ManifestSha("0" * 64),
            "vw_build": "9.11.9",
            "after": 0,
            "up_to": 0,
            "ledger_cut": 0,
            "erasure_cut": 0,
            "learned": 0,
            "learned_total": 0,
        }
        lineage = Lineage(**{**fields, **changes})
        return Model(lineage=lineage, sha256="f" * 64, size_bytes=3, golden=((0.1, 0.9),), created_at=NOON)


@pytest.fixture
def make() -> Maker:
    return Maker()


@pytest.fixture
def noon() -> datetime:
    return NOON


@pytest.fixture(params=["memory", "postgres"])
def store(request: pytest.FixtureRequest) -> Any:
    """Every implementation of the ports, one after the other."""
    if request.param == "memory":
        return MemoryStore()
    return request.getfixturevalue("postgres_store")
