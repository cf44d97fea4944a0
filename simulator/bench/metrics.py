"""What a service says of itself on `/metrics`."""

import time
import urllib.request
from typing import Final

from cxi_bandit.domain.errors import Unavailable
from simulator.bench.servers import Service

_PATIENCE_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 0.05


def metric(service: Service, name: str, **labels: str) -> float | None:
    """One number of the exposition; None where it is not told."""
    header, _, key = service.reading.partition(": ")
    request = urllib.request.Request(f"http://127.0.0.1:{service.port}/metrics", headers={header: key})
    with urllib.request.urlopen(request, timeout=5.0) as answer:  # noqa: S310 - our own loopback address
        text = answer.read().decode()
    stated = ",".join(f'{label}="{value}"' for label, value in labels.items())
    wanted = f"{name}{{{stated}}}" if labels else name
    for line in text.splitlines():
        words = line.rpartition(" ")
        if words[0] == wanted:
            return float(words[2])
    return None


def await_metric(service: Service, value: float, name: str, **labels: str) -> None:
    """Waits until a number of the exposition is this one.

    Raises:
        Unavailable: It does not become so.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while metric(service, name, **labels) != value:
        if time.monotonic() > deadline:
            raise Unavailable(f"{name} {labels} at {value:g}")
        time.sleep(_LOOK_SECONDS)
