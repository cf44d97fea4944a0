"""What the metrics say of themselves: the table of docs/reference/metrics.md, which no hand keeps.

`python -m cxi_bandit.telemetry.reference` prints it.
"""

import sys
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from prometheus_client.metrics import MetricWrapperBase

from cxi_bandit.telemetry.metrics import Metrics


class Family(NamedTuple):
    """A metric as it is exposed.

    Attributes:
        name: With `_total` where it is a counter, without `_bucket`, `_sum` and `_count` where it is a histogram.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    documentation: str


def families(metrics: Metrics) -> list[Family]:
    """All of them, by name, whether or not anything was counted yet."""
    return sorted(_family(metric) for metric in _declared(vars(metrics).values()))


def table(metrics: Metrics) -> str:
    """The same in Markdown."""
    head = ["| metric | type | labels | what it says |", "|---|---|---|---|"]
    rows = [
        f"| `{one.name}` | {one.kind} | {', '.join(f'`{label}`' for label in one.labels)} | {one.documentation} |"
        for one in families(metrics)
    ]
    return "\n".join([*head, *rows]) + "\n"


def _declared(values: Iterable[object]) -> Iterator[MetricWrapperBase]:
    for value in values:
        if isinstance(value, MetricWrapperBase):
            yield value
        elif isinstance(value, dict):
            yield from _declared(value.values())


def _family(metric: MetricWrapperBase) -> Family:
    (described,) = metric.describe()
    total = "_total" if described.type == "counter" else ""
    return Family(f"{described.name}{total}", described.type, tuple(metric._labelnames), described.documentation)  # noqa: SLF001 - the package tells labels nowhere else


if __name__ == "__main__":
    sys.stdout.write(table(Metrics()))
