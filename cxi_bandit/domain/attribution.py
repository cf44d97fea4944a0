"""Attribution: which decisions have an event that names only the shopper or the order, and how much of it each."""

from datetime import datetime

import msgspec

from cxi_bandit.domain.identifiers import DecisionId, ManifestSha, PolicyName
from cxi_bandit.domain.reward import RewardKey


class Candidate(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A decision that an event may go to: as much of it as the rules ask for.

    Attributes:
        activated: Whether it was shown before its window ended.
    """

    decision_id: DecisionId
    policy: PolicyName
    manifest_sha: ManifestSha
    decided_at: datetime
    closes_at: datetime
    activated: bool


class Credit(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """From a ledger position on, a decision has one of `parts` equal parts of an event; with 0, nothing any more."""

    reward: RewardKey
    decision_id: DecisionId
    parts: int
