"""Overriding: which of the overrides in force chooses for a request, if any."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from cxi_bandit.domain.decision import DecisionRequest, Features, FeatureValue
from cxi_bandit.domain.identifiers import InterventionId, PolicyName
from cxi_bandit.domain.override import Override

_NEVER: Final = datetime.max.replace(tzinfo=UTC)
_REMEMBERED: Final = 1024
_PLAIN: Final = (str, float, int)


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
        self._scopes: dict[tuple[PolicyName, str, str], _Scope] = {}
        # Last: who finds that nothing has expired since finds nothing that had.
        self._next_expiry = min((one.expires_at for one in standing if one.expires_at is not None), default=_NEVER)

    def named(self, override_id: int | None) -> Override | None:
        """That of an id, if it is among them."""
        return next((one for one in self._standing if one.override_id == override_id), None)

    def about(self, request: DecisionRequest, policy: PolicyName, at: datetime) -> Sequence[Override]:
        """Those in force that are about a request, in the order in which they choose; `chooses` says which does.

        Moments do not run backwards: those that have expired are forgotten.
        """
        if not self.stand_at(at):
            return ()
        scopes, asked = self._scopes, (policy, request.surface, request.defect.type)
        scope = scopes.get(asked)
        if scope is None:
            scope = _Scope([one for one in self._standing if _may_be_about(one, *asked)])
            if len(scopes) < _REMEMBERED:
                scopes[asked] = scope
        return [one for one in scope.about(request.context) if one.stands_at(at)]


def chooses(about: Sequence[Override], eligible: tuple[InterventionId, ...]) -> Override | None:
    """The override that chooses; one whose intervention is not eligible chooses nothing."""
    for one in about:
        if one.intervention in eligible:
            return one
    return None


class _Scope:
    """The overrides of a policy, surface and defect type, found by what a request's context says.

    Nearly all requests meet none: they are asked once for each feature that some segment begins with, however many
    segments there are.
    """

    def __init__(self, standing: Sequence[Override]) -> None:
        self._everyone: list[tuple[int, Override]] = []
        self._by_feature: dict[str, dict[FeatureValue, list[tuple[int, Override]]]] = {}
        for place, one in enumerate(standing):
            if one.segment:
                name, value = next(iter(one.segment.items()))
                self._by_feature.setdefault(name, {}).setdefault(value, []).append((place, one))
            else:
                self._everyone.append((place, one))

    def about(self, context: Features) -> Sequence[Override]:
        """Those that a context meets, in their order."""
        found = self._everyone
        for name, by_value in self._by_feature.items():
            value = context.get(name)
            # What the manifest does not know (any more) may be of any shape, and no segment names such.
            if isinstance(value, _PLAIN) and value in by_value:
                found = found + [named for named in by_value[value] if _is_of(named[1].segment, context)]
        return [one for _, one in sorted(found)] if found else ()


def _may_be_about(override: Override, policy: PolicyName, surface: str, defect: str) -> bool:
    return (
        override.policy in (None, policy) and override.surface in (None, surface) and override.defect in (None, defect)
    )


def _is_of(segment: Features, context: Features) -> bool:
    return all(context.get(name) == value for name, value in segment.items())
