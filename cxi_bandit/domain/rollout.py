"""Roll-outs: which versions answer for a policy now, to whom, and which only score beside them. Append-only revisions.

Everything a worker needs to route a policy's requests stands in one value, so that a promotion, a ramp or a rollback is
one new revision, taken up whole or not at all.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import msgspec

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.decision import Stage
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.identifiers import ModelVersion, PolicyName

SALT_BYTES: Final = 40


class Stand(msgspec.Struct, frozen=True, kw_only=True):
    """A policy version with the model it answers with.

    Attributes:
        model: The one model it answers with; None draws from the cold start.
        follows_head: It answers with whatever its learner published last, and `model` is None.
    """

    version: int
    model: ModelVersion | None = None
    follows_head: bool = False

    def __post_init__(self) -> None:
        if self.follows_head and self.model is not None:
            raise InvalidInput("/model", "a stand either follows its head or keeps one model; name only one of the two")


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """How shoppers come into an arm.

    Attributes:
        share: rho in (0, 1): the share of those shoppers that no arm before this one took.
        salt: Names the randomisation: another salt is an independent one. Never a secret.
    """

    share: float
    salt: str

    def __post_init__(self) -> None:
        if not 0.0 < self.share < 1.0:
            raise InvalidInput("/share", f"must be in (0, 1); got {self.share}")
        if not 0 < len(self.salt.encode()) <= SALT_BYTES:
            raise InvalidInput("/salt", f"must have 1 to {SALT_BYTES} bytes")


class Canary(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate that answers a share of the shoppers.

    Attributes:
        promotion_id: The promotion it is a step of.
        since: When this step began: shoppers first exposed later are its units.
    """

    stand: Stand
    split: Split
    promotion_id: int
    since: datetime


class Previous(msgspec.Struct, frozen=True, kw_only=True):
    """The policy that was live before, kept for a share of the shoppers: against it the live one is watched."""

    stand: Stand
    split: Split
    since: datetime


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """A revision of who answers for a policy.

    Attributes:
        revision: Dense from 1 within the policy.
        live: Who answers whoever is in no other arm.
        by_defect: Who does instead, by defect type: a promotion may be rolled out one defect type at a time.
        hold: Shoppers who are left alone, always; None for none.
        hold_rotation_days: After so many days other shoppers are; 0 for never.
        previous: See `Previous`.
        canary: See `Canary`.
        canary_defects: The defect types that the canary is about; empty for all.
        shadow: Who scores every request and never answers.
        apprentice: The live version has not been let go yet: it imitates the baseline that callers send.
        restores: The revision whose live versions a rollback took up again; None where nothing was rolled back.
        reason: Why this revision was made, in a sentence.
    """

    policy: PolicyName
    revision: int
    live: Stand
    by_defect: dict[str, Stand] = {}
    hold: Split | None = None
    hold_rotation_days: float = 0.0
    previous: Previous | None = None
    canary: Canary | None = None
    canary_defects: tuple[str, ...] = ()
    shadow: tuple[Stand, ...] = ()
    apprentice: bool = False
    restores: int | None = None
    made_at: datetime
    made_by: str
    reason: str

    def stands(self) -> Iterator[tuple[Stage, Stand]]:
        """Every stand with the stage that it puts its version in, the weightiest stage first."""
        yield Stage.LIVE, self.live
        yield from ((Stage.LIVE, stand) for stand in self.by_defect.values())
        if self.canary is not None:
            yield Stage.CANARY, self.canary.stand
        yield from ((Stage.SHADOW, stand) for stand in self.shadow)
        if self.previous is not None:
            yield Stage.RETIRED, self.previous.stand

    def stages(self) -> dict[int, Stage]:
        """The stage of each version that the roll-out names."""
        found: dict[int, Stage] = {}
        for stage, stand in self.stands():
            found.setdefault(stand.version, stage)
        return found

    @property
    def plain(self) -> bool:
        """Whether everybody is answered by the live version and nobody scores beside it."""
        return not (self.hold or self.previous or self.canary or self.shadow or self.apprentice)

    def following(self, by: str, at: datetime, reason: str, **changes: Any) -> "Rollout":  # noqa: ANN401 - fields of any type
        """The next revision: as this one but for `changes`, which are fields."""
        named = {"restores": None, **changes}
        return msgspec.structs.replace(self, revision=self.revision + 1, made_by=by, made_at=at, reason=reason, **named)

    def live_for(self, defect: str) -> Stand:
        """Who is live for a defect type."""
        return self.by_defect.get(defect, self.live)

    def answering(self, arm: Arm, defect: str) -> Stand:
        """Who answers an arm; those who are left alone are answered in the live version's name."""
        if arm is Arm.CANARY and self.canary is not None:
            return self.canary.stand
        if arm is Arm.PREVIOUS and self.previous is not None:
            return self.previous.stand
        return self.live_for(defect)
