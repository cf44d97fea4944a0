"""The demo from start to end."""

import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from rich.console import Console

from simulator.demo.client import Client
from simulator.demo.evidence import open_bandit, opened_evidence
from simulator.demo.picture import save_learning_curve, sparkline
from simulator.demo.report import DemoReport
from simulator.demo.service import running_service
from simulator.demo.traffic import Shop
from simulator.manifests import by_surface, shipped_texts, with_value
from simulator.progress import Track
from simulator.world.shopping import ShoppingWorld

HORIZON_SECONDS: Final = 1.5
PER_SECOND: Final = 320.0
CHALLENGED: Final = "search"
_SOURCE: Final = "shop-till"


def demo_manifests() -> dict[str, str]:
    """The shipped manifests with an attribution window of seconds: nobody waits two hours for a demo."""
    return {name: with_value(text, "horizon_seconds", f"{HORIZON_SECONDS:g}") for name, text in shipped_texts().items()}


def run_demo(decisions: int, seed: int, output: Path, console: Console, track: Track) -> DemoReport:
    """Runs it all; what it found. Leaves nothing behind but the pictures in `output`.

    Raises:
        Unavailable: The service does not come up, or goes away.
    """
    started = time.monotonic()
    texts = demo_manifests()
    manifests = by_surface(texts)
    with _orderly_end(), tempfile.TemporaryDirectory(prefix="cxi-bandit-demo-") as place:
        console.print("Starting the service: API, learner and a PostgreSQL of its own ...", style="dim")
        with running_service(Path(place), texts) as service:
            secret = service.command("keys", "webhook-secret", "add", _SOURCE)["secret"]
            world = ShoppingWorld(manifests, seed, length=decisions)
            with closing(Client(service.port, _SOURCE, secret)) as client:
                shop = Shop(client, manifests, world, seed)
                with track("Shoppers meet defects", decisions) as advance:
                    traffic = shop.trade(decisions, PER_SECOND, advance)
            with opened_evidence(service, manifests) as evidence:
                evidence.settle(decisions)
                challenges = evidence.challenge(CHALLENGED, traffic.encounters, track)
                audit = evidence.audit(track)
            console.print("Replaying the Open Bandit Dataset ...", style="dim")
            replayed = open_bandit(service)
    tally = traffic.tally
    pictures = save_learning_curve(tally, output, f"Four surfaces learn from nothing (seed {seed})")
    over_hold, over_uniform = tally.late_advantage()
    return DemoReport(
        seed=seed,
        decisions_per_second=decisions / traffic.seconds,
        standing=tally.standing(),
        over_hold=over_hold,
        over_uniform=over_uniform,
        rewards=dict(traffic.statuses),
        challenges=challenges,
        open_bandit=replayed,
        audit=audit,
        pictures=[str(path) for path in pictures],
        curve=sparkline(tally),
        seconds=time.monotonic() - started,
    )


@contextmanager
def _orderly_end() -> Iterator[None]:
    """SIGTERM ends the demo as Ctrl-C does: through every `finally`, so that no process and no file is left."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
