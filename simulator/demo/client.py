"""A surface's and a sender's side of the HTTP contract: one connection kept alive, batches, signed webhooks."""

import http.client
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID, uuid4

import msgspec
from standardwebhooks.webhooks import Webhook

from cxi_bandit.domain.decision import DecisionRequest
from cxi_bandit.domain.errors import Unavailable

_PATIENCE_SECONDS: Final = 30.0
_ERRORS_FROM: Final = 400


class Answer(msgspec.Struct, frozen=True):
    """What a decision's caller uses of the answer."""

    decision_id: UUID
    intervention: str
    probabilities: dict[str, float]
    policy: str
    model_version: int | None
    closes_at: datetime


class _Answers(msgspec.Struct, frozen=True):
    decisions: list[Answer]


class RewardMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One reward event as it travels."""

    decision_id: UUID
    reward_id: str
    metric: str
    occurred_at: datetime
    value: float | None = None
    corrects: str | None = None
    retracts: str | None = None


class _Result(msgspec.Struct, frozen=True):
    status: str


class _Results(msgspec.Struct, frozen=True):
    results: list[_Result]


class Client:
    """Speaks to the service on a loopback port. Not thread-safe.

    Args:
        source: Whose webhooks it signs.
        secret: With which, `whsec_...`; without one it signs none.
    """

    def __init__(self, port: int, source: str = "", secret: str | None = None) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_SECONDS)
        self._hook = f"/v1/webhooks/rewards/{source}"
        self._webhook = None if secret is None else Webhook(secret)

    def decide(self, requests: Sequence[DecisionRequest]) -> list[Answer]:
        """One batch of decisions.

        Raises:
            Unavailable: The service refused the batch or one of them; a demo that cannot decide is over.
        """
        body = msgspec.json.encode({"decisions": [_asked(request) for request in requests]})
        raw = self._post("/v1/decisions/batch", body, {})
        try:
            return msgspec.json.decode(raw, type=_Answers).decisions
        except msgspec.ValidationError as error:
            raise Unavailable(f"a decision ({raw[:300].decode(errors='replace')})") from error

    def report(self, messages: Sequence[RewardMessage], *, signed: bool) -> list[str]:
        """Sends reward events, plainly or by the signed webhook where there is one; the status of each."""
        body = msgspec.json.encode(messages)
        if not signed or self._webhook is None:
            return _statuses(self._post("/v1/rewards", body, {}))
        identifier, now = f"msg_{uuid4().hex}", datetime.now(UTC)
        headers = {
            "webhook-id": identifier,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._webhook.sign(identifier, now, body.decode()),
        }
        return _statuses(self._post(self._hook, body, headers))

    def close(self) -> None:
        """Lets go of the connection."""
        self._connection.close()

    def _post(self, path: str, body: bytes, headers: dict[str, str]) -> bytes:
        try:
            self._connection.request("POST", path, body, {"content-type": "application/json", **headers})
            response = self._connection.getresponse()
            raw = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"the service ({type(error).__name__}: {error})") from error
        if response.status >= _ERRORS_FROM:
            raise Unavailable(f"POST {path} ({response.status}: {raw[:300].decode(errors='replace')})")
        return raw


def _asked(request: DecisionRequest) -> dict[str, object]:
    defect = request.defect
    return {
        "surface": request.surface,
        "subject": request.subject,
        "defect": {"type": defect.type, "severity": defect.severity, "confidence": defect.confidence},
        "context": request.context,
    }


def _statuses(raw: bytes) -> list[str]:
    return [result.status for result in msgspec.json.decode(raw, type=_Results).results]
