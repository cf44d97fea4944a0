"""Beside: who scores a request that somebody else answers, and what each of them would have drawn from."""

from collections.abc import Iterable
from functools import partial
from typing import Final, NamedTuple

from cxi_bandit.domain.assignment import Arm, Beside
from cxi_bandit.domain.decision import HOLD, DecisionRequest, Situation
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.identifiers import InterventionId
from cxi_bandit.engine.decide import (
    Admitted,
    Distribution,
    ServedPolicy,
    admit,
    distribution,
    distributions,
    imitation,
)
from cxi_bandit.engine.limiting import Allowance, Bounds
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
        others: Those beside whose models score the very situation of the version that answers.
        together: That version before them.
        alike: Whether nobody is of another manifest.
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
        self.others = tuple([one.served for one in self._voices if one.alike and not one.imitates])
        self.together = (answering, *self.others)
        self.alike = all(one.alike for one in self._voices)

    def beside(
        self, request: DecisionRequest, admitted: Admitted, withheld: Withheld, others: Iterable[Distribution]
    ) -> tuple[Beside, ...]:
        """What those who do not answer would have drawn from, were the same withheld from them.

        One whose manifest refuses the request would have drawn from nothing, and is not among them.

        Args:
            others: The vectors of those who are so called, in their order.
        """
        known, found = iter(others), []
        for place, served, imitates, alike in self._voices:
            eligible = None
            if alike and not imitates:
                drawn = next(known)
            else:
                situation = admitted.situation if alike else _situation(request, served, withheld)
                if situation is None:
                    continue
                if situation.eligible != admitted.situation.eligible:
                    eligible = situation.eligible
                if imitates:
                    drawn = imitation(served, situation, imitated(request, situation.eligible))
                else:
                    drawn = distribution(served, situation)
            found.append(
                Beside(
                    place=place,
                    policy_version=served.version.version,
                    model_version=drawn.model_version,
                    probabilities=drawn.probabilities,
                    eligible=eligible,
                )
            )
        return tuple(found)


def _situation(request: DecisionRequest, served: ServedPolicy, withheld: Withheld) -> Situation | None:
    """A request as another manifest sees it; None where it refuses it."""
    try:
        return admit(request, served, withheld).situation
    except InvalidInput:
        return None


def imitated(request: DecisionRequest, eligible: tuple[InterventionId, ...]) -> InterventionId:
    """What an apprentice imitates: the caller's own choice, or `hold` where it has none that may be drawn."""
    return HOLD if request.baseline is None or request.baseline not in eligible else request.baseline


def drawn_beside(
    request: DecisionRequest,
    served: ServedPolicy,
    panel: Panel,
    allowance: Allowance,
    admitted: Admitted,
    bounds: Bounds | None,
) -> tuple[Admitted, Distribution, list[Distribution], InterventionId | None]:
    """The vector of who answers, over what can be paid for, those of its panel's `together`, and what it imitates."""
    baseline = imitated(request, admitted.situation.eligible) if panel.imitates else None
    if baseline is None and not allowance.scarce(bounds):
        drawn, *others = distributions(panel.together, admitted.situation)
        return admitted, drawn, others, None
    # What it may draw is known only after its own vector.
    draw_from = partial(distribution, served) if baseline is None else partial(imitation, served, baseline=baseline)
    admitted, drawn = allowance.affordable(draw_from, admitted, bounds)
    return admitted, drawn, distributions(panel.others, admitted.situation), baseline
