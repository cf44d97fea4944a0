"""Requests for rebuilds, suppressed pseudonyms and certificates in memory."""

import threading
from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import count

import msgspec

from cxi_bandit.domain.erasure import Certificate
from cxi_bandit.domain.identifiers import ModelVersion, PolicyName
from cxi_bandit.domain.rebuilding import RebuildRequest


class MemoryRebuilds:
    """Rebuilds in memory."""

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._numbers = count(1)
        self._requests: dict[int, RebuildRequest] = {}

    def ask(self, policy: PolicyName, reason: str, at: datetime) -> int:
        """See the port."""
        with self._lock:
            number = next(self._numbers)
            self._requests[number] = RebuildRequest(request_id=number, policy=policy, reason=reason, asked_at=at)
            return number

    def waiting(self) -> list[RebuildRequest]:
        """See the port."""
        with self._lock:
            return [request for request in self._requests.values() if request.models is None]

    def answer(self, requests: Collection[int], models: Sequence[ModelVersion], at: datetime) -> None:
        """See the port."""
        with self._lock:
            for number in requests:
                request = self._requests[number]
                if request.models is None:
                    self._requests[number] = msgspec.structs.replace(request, models=tuple(models), answered_at=at)

    def history(self, policy: PolicyName) -> list[RebuildRequest]:
        """See the port."""
        with self._lock:
            return [request for request in self._requests.values() if request.policy == policy]


class MemoryPrivacy:
    """Privacy in memory."""

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._suppressed: dict[bytes, datetime] = {}
        self._certificates: dict[str, Certificate] = {}

    def suppress(self, subject: bytes, at: datetime) -> None:
        """See the port."""
        with self._lock:
            self._suppressed[subject] = max(at, self._suppressed.get(subject, at))

    def suppressed(self, subjects: Collection[bytes]) -> dict[bytes, datetime]:
        """See the port."""
        with self._lock:
            return {subject: self._suppressed[subject] for subject in subjects if subject in self._suppressed}

    def recently_suppressed(self, since: datetime) -> dict[bytes, datetime]:
        """See the port."""
        with self._lock:
            return {subject: at for subject, at in self._suppressed.items() if at >= since}

    def file(self, certificate: Certificate) -> None:
        """See the port."""
        with self._lock:
            self._certificates.setdefault(certificate.sha256, certificate)

    def certificates(self) -> list[Certificate]:
        """See the port."""
        with self._lock:
            return list(self._certificates.values())
