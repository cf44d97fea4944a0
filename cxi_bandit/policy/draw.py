"""The draw: a keyed hash of the decision id picks the intervention, so that anyone with the key can repeat it."""

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


def sticky(salt: str, unit: bytes) -> float:
    """A uniform float64 in [0, 1) with 53 random bits that is the same whenever the same unit comes.

    Args:
        salt: At most 64 bytes; distinct salts give independent numbers.
        unit: A shopper's pseudonym, which callers cannot know: so they cannot choose their arm either.
    """
    digest = blake2b(unit, key=salt.encode(), person=b"arm", digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> (64 - _MANTISSA_BITS)) * 2.0**-_MANTISSA_BITS


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
