"""The draw: a keyed hash of the decision id picks the intervention, so that anyone with the key can repeat it."""

import math
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import msgspec

from cxi_bandit.domain.identifiers import DecisionId

_MANTISSA_BITS: Final = 53


class DrawKey(msgspec.Struct, frozen=True):
    """The secret of the keyed hash. Its id is logged with every decision; the key itself stays in the database."""

    key_id: str
    secret: bytes


def uniform(key: DrawKey, label: bytes, decision_id: DecisionId) -> float:
    """A uniform float64 in [0, 1) with 53 random bits: BLAKE2b keyed with `key`, personalised with `label`.

    Args:
        label: What the number is for (`draw`, `arm`, ...), at most 16 bytes; distinct labels give independent numbers.
    """
    digest = blake2b(decision_id.bytes, key=key.secret, person=label, digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> (64 - _MANTISSA_BITS)) * 2.0**-_MANTISSA_BITS


class Slice:
    """Those units whose number lies below a share: a uniform float64 in [0, 1) that is theirs under a salt for good.

    The number is the first 53 bits of a digest; comparing the digest with the share's own first bits makes no number.

    Args:
        salt: At most 64 bytes; distinct salts give independent numbers.
        share: In (0, 1); a larger one of the same salt keeps those who were in.
    """

    def __init__(self, salt: str, share: float) -> None:
        self._keyed = blake2b(key=salt.encode(), person=b"arm", digest_size=8)
        below = math.ceil(share * (1 << _MANTISSA_BITS))
        self._below = (below << (64 - _MANTISSA_BITS)).to_bytes(8, "big")

    def holds(self, unit: bytes) -> bool:
        """Whether a unit is in it.

        Args:
            unit: A shopper's pseudonym, which callers cannot know: so they cannot choose their arm either.
        """
        hashed = self._keyed.copy()
        hashed.update(unit)
        return hashed.digest() < self._below


def draw(probabilities: Sequence[float], u: float) -> int:
    """Index of the intervention whose slice of the cumulated `probabilities` holds `u`.

    The sum may fall a rounding short of 1; a `u` beyond it draws the last intervention with a positive probability.
    """
    reached = 0.0
    last = 0
    for index, probability in enumerate(probabilities):
        if probability > 0.0:
            reached += probability
            last = index
            if u < reached:
                return index
    return last
