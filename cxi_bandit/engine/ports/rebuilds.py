"""Requests for rebuilds: they outlive whoever made them and whoever was answering them."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from cxi_bandit.domain.identifiers import ModelVersion, PolicyName
from cxi_bandit.domain.rebuilding import RebuildRequest


class Rebuilds(Protocol):
    """Append-only; durable when a call returns. An erasure and an unlearning ask in their own transaction."""

    def ask(self, policy: PolicyName, reason: str, at: datetime) -> int:
        """Asks for a rebuild of every model that the policy serves or learns on from; returns the request's number."""
        ...

    def waiting(self) -> list[RebuildRequest]:
        """All that are not answered, oldest first, in one cheap read: what the learner polls."""
        ...

    def answer(self, requests: Collection[int], models: Sequence[ModelVersion], at: datetime) -> None:
        """Notes which models answer them. The first answer of a request stands."""
        ...

    def history(self, policy: PolicyName) -> list[RebuildRequest]:
        """Every request of a policy with its answer, oldest first."""
        ...
