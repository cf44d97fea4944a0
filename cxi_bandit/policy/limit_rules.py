"""The limits part of a manifest: how often, and how dearly, a policy may correct at most."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from cxi_bandit.policy.key_types import Money, Name, Seconds


class Cap(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often a shopper may get any of some interventions within a time.

    Attributes:
        interventions: Counted together; empty means all but `hold`.
        seconds: The time looked back on, at every request.
    """

    interventions: tuple[Name, ...] = ()
    most: Annotated[int, Meta(ge=1, le=1000)]
    seconds: Seconds


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What keeps the policy from correcting too often or too dearly, beside the catalogue's own budgets.

    Attributes:
        cooldown_seconds: After any intervention but `hold` a shopper is left alone for so long; 0 for never.
        exploration_cost_per_day: Most money of a day for drawing another intervention than the most probable one; None
            for no bound.
        anonymous: Whether a request without a subject, whose shopper nobody can count, may get what caps are about.
        time_zone: Whose midnight begins a day, by its IANA name.
    """

    caps: tuple[Cap, ...] = ()
    cooldown_seconds: Annotated[float, Meta(ge=0.0, le=90 * 86_400)] = 0.0
    exploration_cost_per_day: Money | None = None
    anonymous: Literal["allow", "hold"] = "allow"
    time_zone: str = "UTC"
