"""Shoppers right now: the world's encounters sent to a running service over HTTP, and what came of them reported."""

from collections.abc import Mapping
from contextlib import closing
from datetime import datetime

import msgspec

from simulator.demo.client import Client
from simulator.demo.traffic import Shop
from simulator.manifests import by_surface
from simulator.progress import Track, silent
from simulator.tally import Standing
from simulator.world.scenarios import Scenario
from simulator.world.shopping import ShoppingWorld


class Traded(msgspec.Struct, frozen=True, kw_only=True):
    """What shoppers were sent, and what it was worth by the world's own truth.

    Attributes:
        rewards: How many reward events ended how.
    """

    seconds: float
    rewards: dict[str, int]
    worth: Standing


def send_shoppers(
    port: int,
    texts: Mapping[str, str],
    number: int,
    per_second: float,
    scenario: Scenario,
    *,
    seed: int,
    now: datetime,
    track: Track = silent,
) -> Traded:
    """Sends so many encounters to a service on this machine that asks for no keys, and waits for the last report.

    Args:
        texts: Manifests by file name, as the service has them.
        now: Later shoppers are others than those of before, whose rewards must not be taken for repetitions.

    Raises:
        Unavailable: The service does not answer, or refuses.
    """
    declared = by_surface(texts)
    world = ShoppingWorld(declared, seed, scenario)
    with closing(Client(port)) as client, track("Shoppers come", number) as advance:
        met = Shop(client, declared, world, seed).trade(number, per_second, advance, int(now.timestamp() * 1000))
    return Traded(seconds=met.seconds, rewards=dict(met.statuses), worth=met.tally.standing())
