"""Empties the spool into the log in the background, and tells when the log answers again."""

import threading
import time
from collections.abc import Callable
from typing import Final

from structlog.typing import FilteringBoundLogger

from cxi_bandit.domain.errors import Unavailable
from cxi_bandit.engine.drain import DrainReport, drain
from cxi_bandit.engine.ports import DecisionLog, Privacy, Spool
from cxi_bandit.telemetry.metrics import Metrics

_PAUSE_SECONDS: Final = 0.25
_LONGEST_PAUSE_SECONDS: Final = 1.0
_ORPHANS_SECONDS: Final = 15.0

Orphans = Callable[[], Spool | None]
"""Takes over a spool that a dead process left, if there is one."""


class Drainer:
    """One thread over this process's spool and, now and then, those of processes that are gone."""

    def __init__(
        self,
        spool: Spool,
        orphans: Orphans,
        decisions: DecisionLog,
        privacy: Privacy,
        log: FilteringBoundLogger,
        metrics: Metrics,
        *,
        batch_entries: int,
    ) -> None:
        self._spool = spool
        self._orphans = orphans
        self._decisions = decisions
        self._privacy = privacy
        self._log = log
        self._metrics = metrics
        self._batch_entries = batch_entries
        self._stopping = threading.Event()
        self._look_for_orphans_at = 0.0
        self._told_damaged = 0
        self._thread: threading.Thread | None = None

    def start(self, away: Callable[[], bool], back: Callable[[], object]) -> None:
        """Begins with what an earlier process left in the slot.

        Args:
            away: Whether decisions are being spooled now.
            back: Called from the thread once the log takes decisions again.
        """
        self._thread = threading.Thread(target=self._run, args=[away, back], name="drain", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends after the batch under way; the rest stays for whoever comes next."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)

    def _run(self, away: Callable[[], bool], back: Callable[[], object]) -> None:
        pause_seconds = _PAUSE_SECONDS
        while not self._stopping.is_set():
            try:
                moved, self._told_damaged = self._drain(self._spool, self._told_damaged)
                if away():
                    if not moved:
                        self._decisions.probe()
                    back()
                self._empty_orphans()
                more = moved == self._batch_entries
                pause_seconds = 0.0 if more else _PAUSE_SECONDS
            except Unavailable:
                pause_seconds = min(max(2 * pause_seconds, _PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)
            except Exception as error:  # noqa: BLE001 - a drain that ended would leave what waits there for ever
                self._log.exception("spool_not_drained", reason=str(error))
                pause_seconds = _LONGEST_PAUSE_SECONDS
            self._metrics.spool_entries.set(self._spool.waiting)
            self._stopping.wait(pause_seconds)

    def _drain(self, spool: Spool, told_damaged: int) -> tuple[int, int]:
        """How many entries left the spool, and how much of its damage has been told of now."""
        report = drain(spool, self._decisions, self._privacy, self._batch_entries)
        damaged = spool.damaged
        self._tell(report, damaged - told_damaged)
        return report.drained + report.forgotten, damaged

    def _empty_orphans(self) -> None:
        if time.monotonic() < self._look_for_orphans_at:
            return
        self._look_for_orphans_at = time.monotonic() + _ORPHANS_SECONDS
        while not self._stopping.is_set() and (orphan := self._orphans()) is not None:
            try:
                self._log.warning("spool_taken_over", entries=orphan.waiting)
                told = 0
                while orphan.waiting and not self._stopping.is_set():
                    _, told = self._drain(orphan, told)
            finally:
                orphan.close()

    def _tell(self, report: DrainReport, damaged: int) -> None:
        moves = self._metrics.spool_moves
        for kind, number in (
            ("drained", report.drained),
            ("forgotten", report.forgotten),
            ("alias", report.aliases),
            ("damaged", damaged),
        ):
            if number:
                moves.labels(kind).inc(number)
        for reason in report.refused:
            self._log.error("spooled_decision_refused", reason=reason)
        if damaged:
            self._log.error("spool_damaged", entries=damaged, meaning="their file is kept aside as *.damaged")
