"""Who ought to answer whom, told in the simplest words there are, and without a line of the product's own code.

What is live is a pile: a promotion lays its pair on top, a rollback takes the top one off.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import blake2b
from typing import Any

HOLD_SHARE, PREVIOUS_SHARE, CANARY_SHARES = 0.125, 0.1875, (0.25, 0.5)

ROLLOUT = f"""
[rollout]
hold_share = {HOLD_SHARE}
hold_rotation_days = 0.0
previous_share = {PREVIOUS_SHARE}
canary_shares = {list(CANARY_SHARES)}
"""


@dataclass(frozen=True)
class Pair:
    """A version with a model; with the newest one where it follows."""

    version: int
    model: int | None = None
    follows: bool = False


@dataclass(frozen=True)
class Way:
    """A promotion, and how far it is."""

    pair: Pair
    against: Pair
    step: str = "proposed"
    canary_step: int = -1


@dataclass(frozen=True)
class Pin:
    """An override; one without an end is a halt."""

    intervention: str
    cart: float | None = None
    ends: datetime | None = None
    lifted: bool = False


@dataclass
class Live:
    """What lies on the pile: who is live, who was before it, and by which promotion."""

    pair: Pair
    previous: Pair | None = None
    promotion: int = 0


@dataclass
class Rolled:
    """Everything about roll-outs, as it must be.

    Attributes:
        head: The newest model of the first version, once it chooses.
        ever: How many revisions there have been.
    """

    pile: list[Live] = field(default_factory=lambda: [Live(Pair(1, follows=True))])
    ways: dict[int, Way] = field(default_factory=dict)
    canary: int | None = None
    pins: dict[int, Pin] = field(default_factory=dict)
    head: int | None = None
    ever: int = 1

    def serves(self, pair: Pair) -> Pair:
        """A pair with the model that it answers with now."""
        return Pair(pair.version, self.head if pair.follows else pair.model)

    def candidate(self, version: int) -> Pair:
        """What is meant by a version alone: the first one learns on, the second starts cold."""
        return Pair(version, self.head if version == 1 else None)

    def propose(self, version: int) -> bool:
        """Whether a report that says go against what is live makes it a promotion: not of what is live already."""
        live = self.pile[-1].pair
        return not (live.version == version and (live.follows or live.model == self.candidate(version).model))

    def proposed(self, number: int, version: int) -> None:
        """It was filed."""
        self.ways[number] = Way(self.candidate(version), self.serves(self.pile[-1].pair))

    def approve(self, number: int) -> str:
        """What becomes of it: the step it is at, or `wrong` where nobody was to be asked."""
        way = self.ways[number]
        if way.step != "proposed" or self.canary is not None:
            return "wrong"
        fresh = way.pair == self.candidate(way.pair.version)
        if not fresh or way.against != self.serves(self.pile[-1].pair):
            self.ways[number] = replace(way, step="refused")
            return "refused"
        self.canary, self.ever = number, self.ever + 1
        self.ways[number] = replace(way, step="canary", canary_step=0)
        return "canary"

    def grow(self, number: int) -> bool:
        """Whether the canary gets its next share."""
        way = self.ways[number]
        if self.canary != number or way.canary_step + 1 == len(CANARY_SHARES):
            return False
        self.ways[number] = replace(way, canary_step=way.canary_step + 1)
        self.ever += 1
        return True

    def go_live(self, number: int) -> bool:
        """Whether it is laid on top."""
        if self.canary != number:
            return False
        way, before = self.ways[number], self.serves(self.pile[-1].pair)
        learns_on = way.pair.version == 1 and (
            way.pair == self.candidate(1) or self.pile[-1].pair == Pair(1, follows=True)
        )
        pair = Pair(1, follows=True) if learns_on else way.pair
        self.pile.append(Live(pair, before, number))
        self.ways[number] = replace(way, step="live")
        self.canary, self.ever = None, self.ever + 1
        return True

    def roll_back(self) -> bool:
        """Whether there was something to take back: the canary, or else the top of the pile."""
        if self.canary is not None:
            gone, self.canary = self.canary, None
        elif len(self.pile) > 1:
            gone = self.pile.pop().promotion
        else:
            return False
        self.ways[gone] = replace(self.ways[gone], step="rolled_back")
        self.ever += 1
        return True

    def pinned(self, cart: float, at: datetime) -> int | None:
        """The override that chooses: a halt before all others, of the others the newest that fits."""
        standing = [
            (pin.ends is None, number)
            for number, pin in self.pins.items()
            if not pin.lifted and (pin.ends is None or at < pin.ends) and pin.cart in (None, cart)
        ]
        return max(standing)[1] if standing else None

    def arm(self, unit: bytes) -> tuple[str, float, Pair | None]:
        """A shopper's arm, its share of all shoppers, and who answers it."""
        left = 1.0 - HOLD_SHARE
        live = self.pile[-1]
        if uniform("loop/hold", unit) < HOLD_SHARE:
            return "hold", HOLD_SHARE, None
        if live.previous is not None:
            if uniform(f"loop/previous/{live.promotion}", unit) < PREVIOUS_SHARE:
                return "previous", left * PREVIOUS_SHARE, live.previous
            left *= 1.0 - PREVIOUS_SHARE
        if self.canary is not None:
            way = self.ways[self.canary]
            share = CANARY_SHARES[way.canary_step]
            if uniform(f"loop/canary/{self.canary}", unit) < share:
                return "canary", left * share, way.pair
            left *= 1.0 - share
        return "live", left, live.pair

    def check(self, decision: Any, cart: float) -> bool:
        """Holds a decision against what it must be; whether the first version learns from it."""
        number = self.pinned(cart, decision.decided_at)
        assert decision.override_id == number
        if number is not None:
            assert (decision.intervention, decision.propensity) == (self.pins[number].intervention, 1.0)
            assert decision.policy_version == self.pile[-1].pair.version
            return False
        arm, share, pair = self.arm(decision.subject or decision.decision_id.bytes)
        assigned = decision.assignment
        assert (assigned.arm, assigned.share, assigned.revision) == (arm, share, self.ever)
        if pair is None:
            assert (decision.intervention, decision.propensity) == ("hold", 1.0)
            assert decision.policy_version == self.pile[-1].pair.version
            return False
        assert decision.policy_version == pair.version
        if not pair.follows:
            assert decision.model_version == pair.model
        return pair.version == 1


def uniform(salt: str, unit: bytes) -> float:
    """A number in [0, 1) that a shopper has under a salt, for good."""
    digest = blake2b(unit, key=salt.encode(), person=b"arm", digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53
