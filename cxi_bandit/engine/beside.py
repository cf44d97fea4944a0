"""Beside: who scores a request that somebody else answers, and what each of them would have drawn from."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from cxi_bandit.domain.assignment import Arm, Beside
from cxi_bandit.domain.decision import HOLD, DecisionRequest
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.identifiers import InterventionId
from cxi_bandit.engine.decide import Admitted, Distribution, ServedPolicy, admit, distribution, imitation
from cxi_bandit.policy.eligibility import Withheld

SHADOW: Final = "shadow"


class Voice(NamedTuple):
    """One who scores beside.

    Attributes:
        place: The arm it answers for, or `shadow`.
        imitates: An apprentice: its vector is the baseline's.
        alike: Its manifest is that of the version that answers, and so the situation is the same.
    """

    place: str
    served: ServedPolicy
    imitates: bool
    alike: bool


class Panel:
    """Who answers an arm for a defect type, and who scores beside; laid out once.

    Attributes:
        imitates: Whether who answers is an apprentice.
        together: Those whose models score the very situation of the version that answers.
    """

    def __init__(
        self, arm: Arm, answering: ServedPolicy, others: Iterable[tuple[str, ServedPolicy]], *, apprentice: bool
    ) -> None:
        sha = answering.version.manifest_sha
        self.imitates = apprentice and arm is Arm.LIVE
        self._voices = [
            Voice(
                place,
                served,
                imitates=apprentice and place == Arm.LIVE.value,
                alike=served.version.manifest_sha == sha,
            )
            for place, served in others
        ]
        self.together = tuple(one.served for one in self._voices if one.alike and not one.imitates)
        self.alike = all(one.alike for one in self._voices)

    def beside(
        self, request: DecisionRequest, admitted: Admitted, withheld: Withheld, together: Sequence[Distribution]
    ) -> tuple[Beside, ...]:
        """What those who do not answer would have drawn from, were the same withheld from them.

        One whose manifest refuses the request would have drawn from nothing, and is not among them.

        Args:
            together: The vectors of those who are so called, in their order.
        """
        known = iter(together)
        found = []
        for place, served, imitates, alike in self._voices:
            own = situation = admitted.situation
            if not alike:
                try:
                    situation = admit(request, served, withheld).situation
                except InvalidInput:
                    continue
            if imitates:
                drawn = imitation(served, situation, imitated(request, situation.eligible))
            elif alike:
                drawn = next(known)
            else:
                drawn = distribution(served, situation)
            found.append(
                Beside(
                    place=place,
                    policy_version=served.version.version,
                    model_version=drawn.model_version,
                    probabilities=drawn.probabilities,
                    eligible=None if situation.eligible == own.eligible else situation.eligible,
                )
            )
        return tuple(found)


def imitated(request: DecisionRequest, eligible: tuple[InterventionId, ...]) -> InterventionId:
    """What an apprentice imitates: the caller's own choice, or `hold` where it has none that may be drawn."""
    return HOLD if request.baseline is None or request.baseline not in eligible else request.baseline
