"""Overriding: which of the overrides in force chooses for a request, if any."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from cxi_bandit.domain.decision import DecisionRequest
from cxi_bandit.domain.identifiers import InterventionId, PolicyName
from cxi_bandit.domain.override import Override

_NEVER: Final = datetime.max.replace(tzinfo=UTC)


class Overrides:
    """Those that had not been lifted when a worker last looked; expiry is judged at each request.

    One that has expired is dropped: nobody lifts it, and choosing the short way must not end with the first pin ever.

    A halt comes before all others; of the others the newest that fits and that can be done.
    """

    def __init__(self, standing: Iterable[Override] = ()) -> None:
        self._keep(sorted(standing, key=lambda one: (one.halts, one.override_id), reverse=True))

    def stand_at(self, at: datetime) -> bool:
        """Whether any of them is in force; asking costs next to nothing."""
        if at >= self._next_expiry:
            self._keep([one for one in self._standing if one.stands_at(at)])
        return bool(self._standing)

    def _keep(self, standing: list[Override]) -> None:
        self._standing = standing
        self._next_expiry = min((one.expires_at for one in standing if one.expires_at is not None), default=_NEVER)

    def named(self, override_id: int | None) -> Override | None:
        """That of an id, if it is among them."""
        return next((one for one in self._standing if one.override_id == override_id), None)

    def of(
        self, request: DecisionRequest, policy: PolicyName, eligible: tuple[InterventionId, ...], at: datetime
    ) -> Override | None:
        """The override that chooses; one whose intervention is not eligible chooses nothing."""
        for one in self._standing:
            if one.stands_at(at) and one.intervention in eligible and _is_about(one, request, policy):
                return one
        return None


def _is_about(override: Override, request: DecisionRequest, policy: PolicyName) -> bool:
    if override.policy not in (None, policy):
        return False
    if override.surface not in (None, request.surface) or override.defect not in (None, request.defect.type):
        return False
    context = request.context
    for name, value in override.segment.items():  # noqa: SIM110 - a generator costs more than all the rest of it
        if context.get(name) != value:
            return False
    return True
