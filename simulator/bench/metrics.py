"""What a service says of itself on `/metrics`."""

import urllib.request

from simulator.bench.servers import Service


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
