"""The yardstick: a plain Litestar handler on the same server that decodes and answers the same JSON, no more."""

import gc
from typing import Any
from uuid import UUID

import msgspec
from litestar import Litestar, post

from cxi_bandit.bootstrap.one_core import Linux, OneCore
from cxi_bandit.telemetry.metrics import Metrics


class BareDefect(msgspec.Struct):
    """As in the contract."""

    type: str
    severity: float
    confidence: float


class BareRequest(msgspec.Struct):
    """As in the contract."""

    surface: str
    defect: BareDefect
    subject: str | None = None
    context: dict[str, Any] = {}
    interventions: list[dict[str, Any]] | None = None


class BareAnswer(msgspec.Struct):
    """As in the contract."""

    decision_id: UUID
    intervention: str
    propensity: float
    probabilities: dict[str, float]
    policy: str
    policy_version: int
    model_version: int
    stage: str
    durability: str
    closes_at: str


ANSWER = BareAnswer(
    decision_id=UUID(int=7),
    intervention="price_match",
    propensity=0.83,
    probabilities={f"intervention_{index}": 0.125 for index in range(8)},
    policy="detail-page",
    policy_version=1,
    model_version=17,
    stage="live",
    durability="committed",
    closes_at="2026-11-20T11:30:00Z",
)


@post("/v1/decisions")
async def decide(data: BareRequest) -> BareAnswer:  # noqa: ARG001 - decoding it is the work that is measured
    """Answers the same thing to everybody."""
    return ANSWER


def create_app() -> Litestar:
    """The app, for granian's factory mode."""
    core = OneCore(Linux(), Metrics())
    return Litestar([decide], openapi_config=None, on_startup=[_settle, core.start], on_shutdown=[core.stop])


def _settle() -> None:
    """As the service does, and as it stays on one processor: what start-up made is not looked at again."""
    gc.collect()
    gc.freeze()
