"""A policy over time: what its decisions were worth, version by version, and what it would draw. From tallies alone."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.domain.tallies import ArmTally, Span, Stretches, start_of
from cxi_bandit.policy.manifest import Manifest
from cxi_bandit.service.console.charts import Chart, Kind, Series
from cxi_bandit.service.console.figures import drawn_of

_BY_DAY: Final = timedelta(days=90)
_BY_HOUR: Final = timedelta(days=2)
_LEFT_ALONE: Final = "left alone"


def learning_curve(engine: Engine, policy: PolicyName) -> Chart:
    """Mean reward of the decisions of each day, and each of the latest hours, version by version.

    Where windows are still open it is not known yet: those that a reward closed early would be over-represented.
    """
    found = engine.store.tallies.by_arm([policy], _stretches(engine))[policy]
    return Chart(
        id="learning-curve",
        title="Mean reward of a decision by the time it was made: by day and, for the latest, by hour",
        kind=Kind.LINE,
        over="From",
        x=sorted({tally.starts_at for tally in found}),
        series=_means(found),
        unit="reward",
    )


def _stretches(engine: Engine) -> list[Stretches]:
    """Days, and for the latest of them hours."""
    midnight = start_of(Span.DAY, engine.clock())
    by_hour_since = midnight - _BY_HOUR
    return [Stretches(Span.DAY, midnight - _BY_DAY, by_hour_since), Stretches(Span.HOUR, by_hour_since)]


def _means(found: Iterable[ArmTally]) -> list[Series]:
    """One line a version, whomever it answers, and one of those who are left alone."""
    parts: dict[str, dict[datetime, list[ArmTally]]] = defaultdict(lambda: defaultdict(list))
    starts = set()
    for tally in sorted(found, key=lambda one: one.policy_version):
        name = _LEFT_ALONE if tally.arm is Arm.HOLD else f"version {tally.policy_version}"
        parts[name][tally.starts_at].append(tally)
        starts.add(tally.starts_at)
    names = sorted(parts, key=lambda name: name == _LEFT_ALONE)
    return [Series(name, [_mean(parts[name].get(start, [])) for start in sorted(starts)]) for name in names]


def _mean(tallies: list[ArmTally]) -> float | None:
    judged = sum(tally.judged for tally in tallies)
    if not judged or not all(tally.settled for tally in tallies):
        return None
    return sum(tally.reward for tally in tallies) / judged


def propensities(engine: Engine, policy: PolicyName, manifest: Manifest) -> Chart:
    """The mean of the logged probabilities of drawing each intervention."""
    drawn = drawn_of(engine.store.tallies.drawn([policy], _stretches(engine))[policy], manifest)
    return Chart(
        id="propensities",
        title="Mean logged probability of each intervention: by day and, for the latest, by hour",
        kind=Kind.LINE,
        over="From",
        x=drawn.starts_at,
        series=[Series(name, values) for name, values in drawn.expected.items()],
        shares=True,
    )
