"""Until a model chooses: what is measured before that is the cold start."""

import time
from typing import Final

import msgspec

from cxi_bandit.domain.errors import Unavailable
from cxi_bandit.policy.manifest import Manifest
from simulator.bench import bodies
from simulator.bench.instrument import Instrument
from simulator.bench.orders import Order
from simulator.bench.servers import Server

_SECONDS: Final = 60.0
_LOAD_SECONDS: Final = 0.5


class _Answer(msgspec.Struct):
    model_version: int | None


def warm(server: Server, manifest: Manifest) -> None:
    """Sends decisions until they are a model's.

    Raises:
        Unavailable: No model came into service.
    """
    sent = bodies.decisions(5, [manifest], features=False)
    order = Order(port=server.port, path="/v1/decisions", bodies=sent, headers=server.headers, seconds=_LOAD_SECONDS)
    deadline = time.monotonic() + _SECONDS
    with Instrument(order) as instrument:
        while time.monotonic() < deadline:
            load = instrument.run(keep=1)
            if load.kept and msgspec.json.decode(load.kept[0], type=_Answer).model_version is not None:
                return
    raise Unavailable(f"every model of {manifest.name}")
