"""How what happened reaches the service: late, twice, early, corrected, taken back, or never."""

import math
import random
from typing import Final

import msgspec

from simulator.world.scenarios import Feedback

_PACE: Final = {"engagement": 0.05, "order": 0.2, "margin": 0.2, "complaint": 0.1}
"""Mean time from decision to occurrence by role, in shares of the horizon."""

_LAST_MOMENT: Final = 0.9
_AT_ONCE: Final = 0.001


class Report(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One delivery of one reward event. Times are in shares of the horizon, from the decision on.

    Attributes:
        reward_id: Unique within the world; delivered again, it is the same event.
        value: None exactly when the report retracts another.
        occurred: When it happened; always within the attribution window.
        delivered: When it reaches us; below 0, before the decision itself does.
    """

    reward_id: str
    metric: str
    value: float | None
    occurred: float
    delivered: float
    corrects: str | None = None
    retracts: str | None = None


class Reporter:
    """Turns happenings into deliveries. The same encounter is always reported the same way.

    Args:
        seed: Of the world.
    """

    def __init__(self, feedback: Feedback, seed: int) -> None:
        self._feedback = feedback
        self._seed = seed

    def reports(self, index: int, happened: dict[str, float], metric_of: dict[str, str]) -> list[Report]:
        """Every delivery about one decision, by time of delivery.

        Args:
            index: Of the encounter.
            happened: Value by role, as `Happening.after` gives it.
            metric_of: The manifest's metric of each role.
        """
        rng = random.Random(f"{self._seed}/{index}")
        share = self._feedback
        found: list[Report] = []
        ordered_at = min(rng.expovariate(1.0 / _PACE["order"]), _LAST_MOMENT)
        for role, value in happened.items():
            occurred = ordered_at
            if role != "order":  # the margin comes with its order
                own = min(rng.expovariate(1.0 / _PACE[role]), _LAST_MOMENT)
                occurred = ordered_at if role == "margin" else own
            name, metric = f"{index}/{role}", metric_of[role]
            if rng.random() < share.missing:
                continue
            if role == "margin" and rng.random() < share.corrected:
                found += self._corrected(name, metric, value, occurred, rng)
                continue
            early = role == "engagement" and rng.random() < share.early
            first = Report(
                reward_id=name,
                metric=metric,
                value=value,
                occurred=_AT_ONCE if early else occurred,
                delivered=-_AT_ONCE if early else self._delivery(occurred, rng),
            )
            found.append(first)
            if rng.random() < share.duplicate:
                again = max(first.delivered, 0.0) + self._delay(rng)
                found.append(msgspec.structs.replace(first, delivered=again))
        if "order" not in happened and rng.random() < share.retracted:
            found += self._taken_back(f"{index}/mistake", metric_of["order"], ordered_at, rng)
        return sorted(found, key=lambda report: report.delivered)

    def _corrected(
        self, name: str, metric: str, value: float, occurred: float, rng: random.Random
    ) -> tuple[Report, Report]:
        wrong = Report(
            reward_id=name,
            metric=metric,
            value=value / 2.0,
            occurred=occurred,
            delivered=self._delivery(occurred, rng),
        )
        right = Report(
            reward_id=f"{name}/right",
            metric=metric,
            value=value,
            occurred=occurred + _AT_ONCE,
            delivered=wrong.delivered + self._delay(rng),
            corrects=name,
        )
        return wrong, right

    def _taken_back(self, name: str, metric: str, occurred: float, rng: random.Random) -> tuple[Report, Report]:
        claim = Report(
            reward_id=name, metric=metric, value=1.0, occurred=occurred, delivered=self._delivery(occurred, rng)
        )
        back = Report(
            reward_id=f"{name}/back",
            metric=metric,
            value=None,
            occurred=occurred + _AT_ONCE,
            delivered=claim.delivered + self._delay(rng),
            retracts=name,
        )
        return claim, back

    def _delivery(self, occurred: float, rng: random.Random) -> float:
        if rng.random() < self._feedback.late:
            return rng.uniform(1.2, 1.8)
        return occurred + self._delay(rng)

    def _delay(self, rng: random.Random) -> float:
        return self._feedback.delay * math.exp(rng.gauss(0.0, 0.8))
