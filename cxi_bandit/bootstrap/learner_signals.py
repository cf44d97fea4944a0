"""What the learner tells of its passes, as metrics."""

from collections.abc import Iterable, Sequence

from cxi_bandit.bootstrap.engine import Engine
from cxi_bandit.bootstrap.learning_lag import LearningLag
from cxi_bandit.domain.identifiers import minted_at
from cxi_bandit.domain.model import Lineage
from cxi_bandit.domain.outcome import Lesson
from cxi_bandit.domain.release import PolicyVersion
from cxi_bandit.engine.join import JoinReport
from cxi_bandit.telemetry.metrics import Metrics


class LearnerSignals:
    """Told by the workbench what it does; knows who wants to hear of it."""

    def __init__(self, engine: Engine, metrics: Metrics) -> None:
        self._clock = engine.clock
        self._metrics = metrics
        self._lag = LearningLag(engine, metrics)

    def turn(self, versions: Iterable[PolicyVersion]) -> None:
        """Says how far learning is behind.

        Raises:
            Unavailable: The database is away; call again.
        """
        self._lag.turn(versions)

    def stand_down(self) -> None:
        """Another learner works from now on."""
        self._lag.stand_down()

    def joined(self, report: JoinReport) -> None:
        """A pass of the sequencer ended well."""
        for kind, number in (("rewards", report.sequenced), ("closed", report.closed), ("revised", report.revised)):
            if number:
                self._metrics.joined.labels(kind).inc(number)
        for kind, waited in (("rewards", report.waited_rewards), ("windows", report.waited_windows)):
            self._metrics.join_lag.labels(kind).set(waited.total_seconds())

    def learned(self, lineage: Lineage, rows: Sequence[Lesson]) -> None:
        """A model was published that learned these rows."""
        now = self._clock()
        self._metrics.published.labels(lineage.policy).inc()
        ages = [(now - minted_at(row.decision_id)).total_seconds() for row in rows]
        self._metrics.learned_age.labels(lineage.policy).observe_all(ages)
