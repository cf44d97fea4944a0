"""`make bench`: what durability, learning and proof cost beside a bare handler, as ratios taken in one run."""

import json
import os
import platform
import sys
import time
import urllib.request
from datetime import UTC, datetime
from importlib.metadata import version
from statistics import median
from typing import Final

import msgspec
import rich_click as click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from simulator.bench import bodies
from simulator.bench.load import Load, Order, run_load
from simulator.bench.servers import bare, service

_BATCH: Final = 100
_BATCH_CONNECTIONS: Final = 8
_WARM_UP_SECONDS: Final = 2.0


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One ratio over the rounds.

    Attributes:
        measured: Items a second, median.
        against: Items a second of what it is measured against, median.
        ratio: Median of the rounds' own ratios, so that a noisy machine cannot fake it.
        target: As in the project's speed goals; None when only reported.
    """

    name: str
    measured: float
    against: float
    ratio: float
    target: float | None


class BenchReport(msgspec.Struct, frozen=True, kw_only=True):
    """The whole run, for comparison with later ones."""

    at: datetime
    machine: dict[str, str]
    rounds: int
    seconds: float
    refused: int
    figures: list[Figure]


@click.command()
@click.option("--rounds", type=click.IntRange(1, 100), default=5, show_default=True, help="Interleaved rounds.")
@click.option("--seconds", type=click.FloatRange(0.5, 30.0), default=2.0, show_default=True, help="Of each load.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, nothing else.")
def bench(rounds: int, seconds: float, as_json: bool) -> None:
    """Measure the service beside a bare handler, on loopback, with one API worker."""
    loads: dict[str, list[Load]] = {}
    with Progress(console=Console(stderr=True)) as progress, bare() as bare_port, service() as port:
        orders = _orders(bare_port, port, seconds)
        task = progress.add_task("measuring", total=rounds * len(orders))
        for order in orders.values():
            run_load(msgspec.structs.replace(order, seconds=min(_WARM_UP_SECONDS, seconds)))
        for _ in range(rounds):
            # Each round measures everything once, one after the other: ratios are taken within it.
            for name, order in orders.items():
                loads.setdefault(name, []).append(run_load(order))
                progress.advance(task)
    report = BenchReport(
        at=datetime.now(UTC),
        machine=_machine(),
        rounds=rounds,
        seconds=seconds,
        refused=sum(load.refused for runs in loads.values() for load in runs),
        figures=_figures(loads),
    )
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n")
    else:
        _show(report, loads)


def _orders(bare_port: int, port: int, seconds: float) -> dict[str, Order]:
    plain, featured = bodies.decisions(1, features=False), bodies.decisions(2, features=True)
    path = "/v1/decisions"
    now = datetime.now(UTC)
    ids = _some_decisions(port)
    lists = int(4000 * seconds)
    return {
        "bare": Order(port=bare_port, path=path, bodies=plain, seconds=seconds),
        "single": Order(port=port, path=path, bodies=plain, seconds=seconds),
        "bare, features": Order(port=bare_port, path=path, bodies=featured, seconds=seconds),
        "single, features": Order(port=port, path=path, bodies=featured, seconds=seconds),
        "batch": Order(
            port=port,
            path="/v1/decisions/batch",
            bodies=bodies.batches(3, _BATCH),
            connections=_BATCH_CONNECTIONS,
            seconds=seconds,
        ),
        "rewards": Order(
            port=port,
            path="/v1/rewards",
            bodies=bodies.rewards(time.time_ns(), ids, _BATCH, now, min(lists, 4000)),
            connections=_BATCH_CONNECTIONS,
            seconds=seconds,
        ),
    }


def _some_decisions(port: int) -> list[str]:
    found = []
    for body in bodies.batches(4, _BATCH)[:10]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/decisions/batch",
            data=body.encode(),
            headers={"Content-Type": "application/json"},
            method="POST",
        )
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - our own loopback address
            found += [decision["decision_id"] for decision in json.load(answer)["decisions"]]
    return found


def _figures(loads: dict[str, list[Load]]) -> list[Figure]:
    single = [load.per_second for load in loads["single"]]
    batch = [load.per_second * _BATCH for load in loads["batch"]]
    rewards = [load.per_second * _BATCH for load in loads["rewards"]]
    return [
        _figure("durable decisions/s, beside bare", single, [load.per_second for load in loads["bare"]], 0.60),
        _figure(
            "the same, features in the request",
            [load.per_second for load in loads["single, features"]],
            [load.per_second for load in loads["bare, features"]],
            0.35,
        ),
        _figure("decisions/s in batches of 100, beside single", batch, single, 2.5),
        _figure("rewards/s in lists of 100, beside batched decisions", rewards, batch, 1.5),
    ]


def _figure(name: str, measured: list[float], against: list[float], target: float | None) -> Figure:
    ratios = [own / other for own, other in zip(measured, against, strict=True)]
    return Figure(name=name, measured=median(measured), against=median(against), ratio=median(ratios), target=target)


def _machine() -> dict[str, str]:
    packages = ("granian", "litestar", "psycopg", "vowpalwabbit", "cxi-bandit")
    return {
        "cpus": str(os.cpu_count()),
        "machine": platform.machine(),
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def _show(report: BenchReport, loads: dict[str, list[Load]]) -> None:
    console = Console()
    table = Table("figure", "measured /s", "against /s", "ratio", "target", title="Benchmark", title_justify="left")
    for figure in report.figures:
        target = "-" if figure.target is None else f">= {figure.target:g}"
        table.add_row(figure.name, f"{figure.measured:,.0f}", f"{figure.against:,.0f}", f"{figure.ratio:.2f}", target)
    console.print(table)
    latencies = Table("load", "p50 ms", "p99 ms", "refused", title="Latency, closed loop", title_justify="left")
    for name, runs in loads.items():
        p50, p99 = median(load.p50_ms for load in runs), median(load.p99_ms for load in runs)
        latencies.add_row(name, f"{p50:.2f}", f"{p99:.2f}", str(sum(load.refused for load in runs)))
    console.print(latencies)
    console.print(f"{report.rounds} interleaved rounds of {report.seconds:g} s on {report.machine}")


if __name__ == "__main__":
    bench()
