"""Arms: which of a roll-out's versions a shopper meets, by independent salted hashes, the same at every visit."""

from datetime import datetime
from typing import Final, NamedTuple

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.rollout import Rollout, Split
from cxi_bandit.policy.draw import Slice

_DAY_SECONDS: Final = 86_400.0


class Placed(NamedTuple):
    """An arm, the probability that a shopper falls into it, and the salt that decided."""

    arm: Arm
    share: float
    salt: str


class _Laid(NamedTuple):
    """Arms in the order in which they are asked, and where whoever is in none of them is."""

    asked: tuple[tuple[Slice, Placed], ...]
    rest: Placed


class _Laying(NamedTuple):
    """How units are placed as long as the same shoppers are left alone: whose salt that is, and the arms by defect."""

    salt: str
    about: _Laid
    others: _Laid


class Placement:
    """Where a roll-out's units are placed, with all that does not depend on the unit laid out once.

    Hold is asked first, then the previous policy, then the canary; the rest are live. A larger share of the same salt
    keeps those who were in. A canary about other defect types is not asked.
    """

    def __init__(self, rollout: Rollout) -> None:
        self._rollout = rollout
        self._rotates = rollout.hold is not None and bool(rollout.hold_rotation_days)
        self._now = _laying(rollout, hold_salt(rollout, rollout.made_at))

    def of(self, defect: str, unit: bytes, at: datetime) -> Placed:
        """The arm of a unit.

        Args:
            unit: The shopper's pseudonym; the decision's id where none was sent, and then nothing is sticky.
            at: The decision's time, by which the shoppers who are left alone change.
        """
        now, about = self._now, self._rollout.canary_defects
        if self._rotates and now.salt != (salt := hold_salt(self._rollout, at)):
            now = self._now = _laying(self._rollout, salt)
        asked, rest = now.about if not about or defect in about else now.others
        for some, placed in asked:
            if some.holds(unit):
                return placed
        return rest


def _laying(rollout: Rollout, salt: str) -> _Laying:
    """Lays a roll-out out, for the shoppers who are left alone under a salt."""
    left = 1.0
    asked: list[tuple[Slice, Placed]] = []

    def ask(arm: Arm, split: Split, salt: str) -> None:
        nonlocal left
        asked.append((Slice(salt, split.share), Placed(arm, left * split.share, salt)))
        left *= 1.0 - split.share

    if rollout.hold is not None:
        ask(Arm.HOLD, rollout.hold, salt)
    if rollout.previous is not None:
        ask(Arm.PREVIOUS, rollout.previous.split, rollout.previous.split.salt)
    others = _Laid(tuple(asked), Placed(Arm.LIVE, left, ""))
    if rollout.canary is not None:
        ask(Arm.CANARY, rollout.canary.split, rollout.canary.split.salt)
    return _Laying(salt, _Laid(tuple(asked), Placed(Arm.LIVE, left, "")), others)


def shares(rollout: Rollout, defect: str | None = None) -> dict[Arm, float]:
    """The probability of each arm that there is for a defect type, as `Placement` gives it; they sum to one.

    Args:
        defect: None for those that the canary is about.
    """
    left = 1.0
    found: dict[Arm, float] = {}
    about = defect is None or not rollout.canary_defects or defect in rollout.canary_defects
    arms = (
        (Arm.HOLD, rollout.hold),
        (Arm.PREVIOUS, None if rollout.previous is None else rollout.previous.split),
        (Arm.CANARY, rollout.canary.split if rollout.canary is not None and about else None),
    )
    for arm, split in arms:
        if split is not None:
            found[arm] = left * split.share
            left *= 1.0 - split.share
    return {Arm.LIVE: left, **found}


def ratio(rollout: Rollout, defect: str, arm: Arm) -> float:
    """Rho of an arm among its own shoppers and the live arm's, in (0, 1)."""
    found = shares(rollout, defect)
    return found[arm] / (found[arm] + found[Arm.LIVE])


def hold_salt(rollout: Rollout, at: datetime) -> str:
    """The salt of those who are left alone at a moment; it changes every `hold_rotation_days`."""
    if rollout.hold is None:
        return ""
    if not rollout.hold_rotation_days:
        return rollout.hold.salt
    return f"{rollout.hold.salt}/{int(at.timestamp() // (rollout.hold_rotation_days * _DAY_SECONDS))}"


def parts(rollout: Rollout) -> dict[Arm, float]:
    """Each arm's part of what is limited for all: its share of the shoppers who are not left alone; together 1.

    A canary about some defect types has its share of these only, and the part of its share of all.
    """
    found: dict[Arm, float] = {}
    left = 1.0
    if rollout.previous is not None:
        found[Arm.PREVIOUS] = rollout.previous.split.share
        left *= 1.0 - rollout.previous.split.share
    if rollout.canary is not None:
        found[Arm.CANARY] = left * rollout.canary.split.share
        left *= 1.0 - rollout.canary.split.share
    found[Arm.LIVE] = left
    return found
