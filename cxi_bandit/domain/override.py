"""Overrides: a person pins an intervention for a while, by name and with a reason; never learned from."""

from datetime import datetime

import msgspec

from cxi_bandit.domain.decision import HOLD, FeatureValue
from cxi_bandit.domain.identifiers import InterventionId, PolicyName


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """A pin. What it does not name, it is about all of. A halt is one that names at most a policy and pins `hold`.

    Attributes:
        override_id: Given by the store, from 1; 0 before.
        segment: Context features that must all have these very values.
        expires_at: None only for a halt, which stands until it is lifted.
    """

    intervention: InterventionId
    author: str
    reason: str
    made_at: datetime
    expires_at: datetime | None
    policy: PolicyName | None = None
    surface: str | None = None
    defect: str | None = None
    segment: dict[str, FeatureValue] = {}
    lifted_at: datetime | None = None
    lifted_by: str | None = None
    override_id: int = 0

    @property
    def halts(self) -> bool:
        """Whether it is a kill switch: everything of the policy, or of all, to `hold`."""
        return self.expires_at is None and self.intervention == HOLD

    def stands_at(self, moment: datetime) -> bool:
        """Whether it is in force."""
        return self.lifted_at is None and (self.expires_at is None or moment < self.expires_at)
