"""Advice: what is allowed in a manifest, and seldom meant."""

from typing import Final

from cxi_bandit.policy.manifest import Manifest

_HEAVY: Final = 10.0
"""An outcome that counts for more than this many others moves a prediction nearly all the way to what it was."""


def advice(manifest: Manifest) -> list[str]:
    """Each names the key, says what follows from it, and what to write instead; empty where there is nothing to say."""
    floor = manifest.exploration.lowest_floor
    if manifest.learning.importance_cap is not None or 1.0 / floor <= _HEAVY:
        return []
    told = (
        f"learning.importance_cap is left out, so one outcome may count for {1.0 / floor:.0f} (1 / the lowest floor, "
        f"{floor:g}), and a lucky order after a rare draw passes for the best intervention; write importance_cap = 1 "
        "to have all count alike, or 5 to keep part of the correction"
    )
    return [told]
