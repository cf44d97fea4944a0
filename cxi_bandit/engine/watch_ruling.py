"""The ruling on a canary: wait, the next step, live, or back."""

import math
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from cxi_bandit.domain.rollout import Canary
from cxi_bandit.engine.watch_canary import CanaryWatch
from cxi_bandit.policy.release_rules import RolloutRules

MISMATCH_ALPHA: Final = 1e-3
"""The probability that a sound canary ever fails its sample-ratio test."""


class Move(StrEnum):
    """What becomes of a canary."""

    WAIT = "wait"
    NEXT_STEP = "next_step"
    GO_LIVE = "go_live"
    ROLL_BACK = "roll_back"


class Ruling(NamedTuple):
    """A move, a stable code for it, and why in a sentence."""

    move: Move
    code: str
    reason: str


class Bar(NamedTuple):
    """What a canary's evidence is held against: ln(1/alpha) of the promotion, and the live manifest's steps."""

    log_threshold: float
    rules: RolloutRules


def ruling(watch: CanaryWatch, canary: Canary, step: int, bar: Bar, at: datetime) -> Ruling:
    """What the evidence amounts to now. Harm and mismatch come before all else, whatever the step.

    Args:
        step: Index of the canary's present share.
    """
    treated, control = watch.shoppers
    heard = f"after {treated} shoppers in the canary and {control} outside it"
    if watch.log_mismatch >= -math.log(MISMATCH_ALPHA):
        reason = (
            f"shoppers do not come into the canary as declared: ln E = {watch.log_mismatch:.4g} "
            f"against {-math.log(MISMATCH_ALPHA):.4g} {heard}"
        )
        return Ruling(Move.ROLL_BACK, "sample_ratio", reason)
    if watch.log_worse >= bar.log_threshold:
        reason = f"shoppers are worse off: ln E = {watch.log_worse:.4g} against {bar.log_threshold:.4g} {heard}"
        return Ruling(Move.ROLL_BACK, "canary_worse", reason)
    number = watch.shoppers_of(canary.since)
    rules = bar.rules
    if at < canary.since + timedelta(hours=rules.canary_hours) or number < rules.canary_shoppers:
        reason = (
            f"{number} of the canary's shoppers in this step; {rules.canary_shoppers} and {rules.canary_hours:g} h "
            "are needed"
        )
        return Ruling(Move.WAIT, "too_early", reason)
    if step + 1 < len(rules.canary_shares):
        reason = f"nothing alarmed in {rules.canary_hours:g} h and {number} of the canary's shoppers"
        return Ruling(Move.NEXT_STEP, "step_over", reason)
    told = f"ln E = {watch.log_better:.4g} against {bar.log_threshold:.4g} {heard}"
    if watch.log_better >= bar.log_threshold:
        return Ruling(Move.GO_LIVE, "canary_better", f"shoppers are better off: {told}")
    return Ruling(Move.WAIT, "evidence_short", f"not shown to be better yet: {told}")
