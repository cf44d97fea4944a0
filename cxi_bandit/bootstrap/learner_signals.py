"""What the learner tells of its passes: as metrics, in the log, and as traces where they are wished for."""

import time
from collections import deque
from collections.abc import Sequence
from typing import Final

from structlog.typing import FilteringBoundLogger

from cxi_bandit.bootstrap.engine import Engine
from cxi_bandit.domain.identifiers import ages_seconds
from cxi_bandit.domain.model import Lineage
from cxi_bandit.domain.outcome import Lesson
from cxi_bandit.engine.join import JoinReport
from cxi_bandit.telemetry.metrics import Metrics
from cxi_bandit.telemetry.tracing import Attributes, Span, Tracing, named

_LINKED: Final = 32
"""So many passes a span has links to."""


class LearnerSignals:
    """Told by the workbench what it does; knows who wants to hear of it.

    A pass that did nothing is no news. One that did something is traced always: there are few, for many decisions each.
    """

    def __init__(self, engine: Engine, log: FilteringBoundLogger, metrics: Metrics, tracing: Tracing | None) -> None:
        self._clock = engine.clock
        self._log = log
        self._metrics = metrics
        self._tracing = tracing
        self._began_ns = 0
        self._joins: deque[Span] = deque(maxlen=_LINKED)

    def begin(self) -> None:
        """A pass begins, of which one of the others tells if it did something."""
        self._began_ns = time.time_ns()

    def joined(self, report: JoinReport) -> None:
        """A pass of the sequencer ended well."""
        for kind, number in (("rewards", report.sequenced), ("closed", report.closed), ("revised", report.revised)):
            if number:
                self._metrics.joined.labels(kind).inc(number)
        for kind, waited in (("rewards", report.waited_rewards), ("windows", report.waited_windows)):
            self._metrics.join_lag.labels(kind).set(waited.total_seconds())
        if self._tracing is not None and not report.idle:
            attributes: Attributes = {
                "cxi_bandit.rewards": report.sequenced,
                "cxi_bandit.closed": report.closed,
                "cxi_bandit.revised": report.revised,
                "cxi_bandit.decision_ids": named(report.decisions),
            }
            self._joins.append(self._tracing.ended("join", self._began_ns, attributes))

    def too_far(self, lineage: Lineage) -> None:
        """A model was derived and not published; a smaller segment is tried."""
        self._metrics.too_far.labels(lineage.policy).inc()
        self._log.info("model_too_far", policy=lineage.policy, learned=lineage.learned, up_to=lineage.up_to)

    def learned(self, lineage: Lineage, rows: Sequence[Lesson]) -> None:
        """A model was published that learned these rows."""
        self._metrics.published.labels(lineage.policy).inc()
        ages = ages_seconds([row.decision_id for row in rows], self._clock())
        self._metrics.learned_age.labels(lineage.policy).observe_all(ages)
        self._log.info(
            "model_published",
            policy=lineage.policy,
            model_version=lineage.version,
            learned=lineage.learned,
            learned_total=lineage.learned_total,
            up_to=lineage.up_to,
        )
        if self._tracing is not None:
            attributes: Attributes = {
                "cxi_bandit.policy": lineage.policy,
                "cxi_bandit.policy_version": lineage.policy_version,
                "cxi_bandit.model_version": lineage.version,
                "cxi_bandit.after": lineage.after,
                "cxi_bandit.up_to": lineage.up_to,
                "cxi_bandit.learned": lineage.learned,
                "cxi_bandit.decision_ids": named(row.decision_id for row in rows),
            }
            # The latest passes, of whatever policy: which of them wrote these positions nobody keeps.
            self._tracing.ended("learn", self._began_ns, attributes, tuple(self._joins))
