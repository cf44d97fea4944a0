"""The service in its second profile (hold, previous, two shadows, pins, caps, budgets in force) beside the plain one.

Two services with the same manifest but for its limits, by turns under the same load. `choosing` measures the engine
alone; here are the permits of the database, the longer row of the log, and the server as well.
"""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from cxi_bandit.bootstrap import in_memory_engine
from cxi_bandit.domain.release import AuditEntry
from cxi_bandit.domain.rollout import Previous, Split, Stand
from cxi_bandit.store.postgres import PostgresStore
from simulator.bench import bodies
from simulator.bench.figures import Row, Sample
from simulator.bench.in_force import SHARE, limited, pins
from simulator.bench.instrument import Instrument
from simulator.bench.metrics import await_metric
from simulator.bench.orders import Order
from simulator.bench.plan import Plan, Samples, Scene, Taken, manifest_of, take
from simulator.bench.processes import settle
from simulator.bench.servers import Service, service
from simulator.bench.taught import lessons, live, publish_beside_learner
from simulator.bench.warm import warm

_MODELS: Final = 4
_OUTCOMES: Final = 1000
_BY: Final = "bench"

_RATE: Final = Row(
    name="profile",
    title="durable decisions, hold, previous, shadows, pins, caps, budgets in force",
    unit="/s",
    beside="plain",
)
_CPU: Final = Row(
    name="profile-cpu",
    title="worker's processor time of one of them",
    unit="us",
    beside="plain",
    better="lower",
)


def _measure(plan: Plan, wanted: frozenset[str]) -> Samples:
    samples: Samples = {row.name: [] for row in (_RATE, _CPU) if row.name in wanted}
    with ExitStack() as ending:
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory()))
        policy = folder / plan.policy.name
        policy.write_text(limited(plan.policy.read_text("utf-8")), "utf-8")
        plain = ending.enter_context(service([plan.policy]))
        full = ending.enter_context(service([policy]))
        plan.tell("profiles: warming up")
        for server in (plain, full):
            warm(server, plan.manifest)
        _put_in_force(full, policy)
        sent = bodies.decisions(11, [plan.manifest], features=False)
        instruments = [
            (server, ending.enter_context(Instrument(_order(server, sent, plan.seconds)))) for server in (plain, full)
        ]
        for number in plan.each_round("profiles"):
            loads: list[Taken] = []
            for server, instrument in instruments:
                for other in (plain, full):
                    settle(other.process)
                loads.append(take(instrument, server, seed=number))
            simply, fully = loads
            refused = simply.load.refused + fully.load.refused
            found = {
                _RATE.name: Sample(fully.load.per_second, simply.load.per_second, refused),
                _CPU.name: Sample(fully.cpu_microseconds, simply.cpu_microseconds, refused),
            }
            for name, made in samples.items():
                made.append(found[name])
    return samples


def _order(server: Service, sent: list[str], seconds: float) -> Order:
    return Order(port=server.port, path="/v1/decisions", bodies=sent, headers=server.headers, seconds=seconds)


def _put_in_force(server: Service, policy: Path) -> None:
    """Models of three more stands, a roll-out with them, and pins; returns once the service serves all of it."""
    manifest = manifest_of(policy)
    engine = in_memory_engine([(policy.name, policy.read_text("utf-8"))])
    taught = lessons(engine, manifest, _MODELS, _OUTCOMES)
    store = PostgresStore.open(server.dsn)
    try:
        models = [
            publish_beside_learner(store.registry, engine.room, manifest, data, learned=_OUTCOMES).lineage.version
            for data in taught
        ]
        version = live(store.registry, manifest.policy).version
        first, second, third, fourth = [Stand(version=version, model=model) for model in models]
        now = engine.clock()
        rollout = store.releases.rollout(manifest.policy).following(
            _BY,
            now,
            "all at once",
            live=first,
            hold=Split(share=SHARE, salt="hold"),
            previous=Previous(stand=second, split=Split(share=SHARE, salt="previous"), since=now),
            shadow=(third, fourth),
        )
        said = AuditEntry(at=now, actor=_BY, action="roll_out", policy=manifest.policy, detail={})
        store.releases.roll_out(rollout, said)
        for pin in pins(manifest, now):
            store.releases.override(pin, said)
    finally:
        store.close()
    await_metric(server, rollout.revision, "cxi_bandit_rollout_revision", policy=manifest.name)


SCENE: Final = Scene("profiles", (_RATE, _CPU), _measure)
