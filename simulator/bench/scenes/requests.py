"""What a request costs: the service beside the bare handler, and beside itself without a log, by turns."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import msgspec

from simulator.bench import bodies
from simulator.bench.figures import Row, Sample, at_least, at_most
from simulator.bench.instrument import Instrument
from simulator.bench.orders import Order
from simulator.bench.plan import Plan, Samples, Scene, Taken, take
from simulator.bench.processes import settle
from simulator.bench.servers import Server, bare, service, unlogged
from simulator.bench.warm import warm

_BATCH: Final = 100
_BATCHES: Final = bodies.DISTINCT // _BATCH
_BATCH_CONNECTIONS: Final = 8
_ARRIVALS_PER_SECOND: Final = 1000.0
_LISTS_PER_SECOND: Final = 800
"""More than are ever taken: no event is sent twice."""

_DECISIONS: Final = "/v1/decisions"

Round = Mapping[str, Taken]


@dataclass(frozen=True)
class _Asked:
    """A row, the loads it is made of, and how."""

    row: Row
    loads: tuple[str, ...]
    sample: Callable[[Round], Sample]


class _Decided(msgspec.Struct):
    decision_id: str


class _Batch(msgspec.Struct):
    decisions: list[_Decided]


def _rate(own: str, other: str, *, items: int = 1, other_items: int = 1) -> Callable[[Round], Sample]:
    def sample(loads: Round) -> Sample:
        mine, theirs = loads[own].load, loads[other].load
        return Sample(mine.per_second * items, theirs.per_second * other_items, mine.refused + theirs.refused)

    return sample


def _cpu(loads: Round) -> Sample:
    mine, theirs = loads["single"], loads["unlogged"]
    return Sample(mine.cpu_microseconds, theirs.cpu_microseconds, mine.load.refused + theirs.load.refused)


def _tail(loads: Round) -> Sample:
    mine, theirs = loads["open"].load, loads["open bare"].load
    return Sample(mine.p99_ms, theirs.p99_ms, mine.refused + theirs.refused)


def _client(loads: Round) -> Sample:
    taken = loads["bare"]
    return Sample(taken.load.cpu_seconds / taken.load.answered * 1e6, taken.cpu_microseconds, taken.load.refused)


_ASKED: Final = (
    _Asked(
        Row(
            name="decisions",
            title="durable decisions, 64 connections",
            unit="/s",
            beside="bare handler",
            targets=(at_least(0.60),),
        ),
        ("bare", "single"),
        _rate("single", "bare"),
    ),
    _Asked(
        Row(
            name="decisions-features",
            title="the same, features in the request",
            unit="/s",
            beside="bare handler",
            targets=(at_least(0.35),),
        ),
        ("bare, features", "single, features"),
        _rate("single, features", "bare, features"),
    ),
    _Asked(
        Row(
            name="decision-cpu",
            title="worker's processor time of a durable decision",
            unit="us",
            beside="the same without a log",
            targets=(at_most(1.20),),
            better="lower",
        ),
        ("single", "unlogged"),
        _cpu,
    ),
    _Asked(
        Row(
            name="tail",
            title="p99 at 1,000/s, open loop, durable",
            unit="ms",
            beside="bare handler",
            targets=(at_most(2.5), at_most(5.0, of="measured")),
            better="lower",
        ),
        ("open bare", "open"),
        _tail,
    ),
    _Asked(
        Row(
            name="batch",
            title="decisions in batches of 100",
            unit="/s",
            beside="single decisions",
            targets=(at_least(2.5),),
        ),
        ("single", "batch"),
        _rate("batch", "single", items=_BATCH),
    ),
    _Asked(
        Row(
            name="rewards",
            title="rewards accepted, durable, in lists of 100",
            unit="/s",
            beside="decisions in batches of 100",
            targets=(at_least(1.5),),
        ),
        ("batch", "rewards"),
        _rate("rewards", "batch", items=_BATCH, other_items=_BATCH),
    ),
    _Asked(
        Row(
            name="client-cpu",
            title="the load's own processor time of a request",
            unit="us",
            beside="bare handler's",
            better="lower",
        ),
        ("bare",),
        _client,
    ),
)


def _measure(plan: Plan, wanted: frozenset[str]) -> Samples:
    asked = [one for one in _ASKED if one.row.name in wanted]
    needed = {load for one in asked for load in one.loads}
    samples: Samples = {one.row.name: [] for one in asked}
    with ExitStack() as ending:
        ours = ending.enter_context(service([plan.policy]))
        theirs = ending.enter_context(bare())
        silent = ending.enter_context(unlogged(ours)) if "unlogged" in needed else ours
        servers = {name: theirs if "bare" in name else silent if name == "unlogged" else ours for name in needed}
        orders = _orders(plan, servers)
        instruments = {name: ending.enter_context(Instrument(order)) for name, order in orders.items()}
        plan.tell("warming up")
        warm(ours, plan.manifest)
        for number in plan.each_round("requests"):
            loads: dict[str, Taken] = {}
            for name, instrument in instruments.items():
                if name == "rewards":
                    instrument.tell(_rewards(loads["batch"], plan.seconds))
                if servers[name] is theirs:
                    # The yardstick must not run beside a learner that still works off what the service was asked.
                    settle(ours.process)
                keep = _BATCHES if name == "batch" and "rewards" in needed else 0
                loads[name] = take(instrument, servers[name], seed=number, keep=keep)
            for one in asked:
                samples[one.row.name].append(one.sample(loads))
    return samples


def _orders(plan: Plan, servers: Mapping[str, Server]) -> dict[str, Order]:
    """In the order in which a round takes them: what is held against another stands beside it."""
    manifests = [plan.manifest]
    plain = bodies.decisions(1, manifests, features=False)
    featured = bodies.decisions(2, manifests, features=True)
    batches = bodies.batches(3, plan.manifest, _BATCH)

    def order(name: str, path: str, sent: list[str] | None, **options: object) -> tuple[str, Order]:
        server = servers[name]
        made = Order(port=server.port, path=path, bodies=sent, headers=server.headers, seconds=plan.seconds)
        return name, msgspec.structs.replace(made, **options)

    made: tuple[tuple[str, str, list[str] | None, dict[str, object]], ...] = (
        ("bare", _DECISIONS, plain, {}),
        ("single", _DECISIONS, plain, {}),
        ("unlogged", _DECISIONS, plain, {}),
        ("bare, features", _DECISIONS, featured, {}),
        ("single, features", _DECISIONS, featured, {}),
        ("batch", "/v1/decisions/batch", batches, {"connections": _BATCH_CONNECTIONS}),
        ("rewards", "/v1/rewards", None, {"connections": _BATCH_CONNECTIONS, "once": True}),
        ("open bare", _DECISIONS, plain, {"per_second": _ARRIVALS_PER_SECOND, "seconds": 2 * plan.seconds}),
        ("open", _DECISIONS, plain, {"per_second": _ARRIVALS_PER_SECOND, "seconds": 2 * plan.seconds}),
    )
    return dict(order(name, path, sent, **options) for name, path, sent, options in made if name in servers)


def _rewards(batch: Taken, seconds: float) -> list[str]:
    """Events about the decisions that the batches before them made."""
    decode = msgspec.json.Decoder(_Batch).decode
    ids = [one.decision_id for kept in batch.load.kept for one in decode(kept).decisions]
    now = datetime.now(UTC)
    return bodies.rewards(ids, _BATCH, now, int(_LISTS_PER_SECOND * seconds), seed=int(now.timestamp() * 1000))


SCENE: Final = Scene("requests", tuple(one.row for one in _ASKED), _measure)
