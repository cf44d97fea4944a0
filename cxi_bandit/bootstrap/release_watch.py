"""Roll-outs, watched every second where the learner is: told as metrics, and in the log when something is done."""

import math
import time
from typing import Final

from structlog.typing import FilteringBoundLogger

from cxi_bandit.bootstrap.engine import Engine
from cxi_bandit.domain.errors import CxiBanditError, RolloutConflict, Unavailable
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.engine.watch import Turn, Watcher
from cxi_bandit.telemetry.metrics import Metrics

_EVERY_SECONDS: Final = 1.0
_LONGEST_REST_SECONDS: Final = 60.0


class ReleaseWatch:
    """Watches every policy's roll-out. One that cannot be watched rests, ever longer, while the others go on."""

    def __init__(self, engine: Engine, log: FilteringBoundLogger, metrics: Metrics) -> None:
        self._engine = engine
        self._watcher = Watcher(engine.watching)
        self._log = log
        self._metrics = metrics
        self._due: dict[PolicyName, float] = {}
        self._rests: dict[PolicyName, float] = {}

    def turn(self) -> bool:
        """Looks at every policy that is due; whether there is more to be read at once.

        Raises:
            Unavailable: The database is away; nothing is lost, turn again.
        """
        if time.monotonic() < min(self._due.values(), default=0.0):
            return False
        busy = False
        away: Unavailable | None = None
        for rollout in self._engine.store.releases.rollouts():
            if time.monotonic() >= self._due.get(rollout.policy, 0.0):
                try:
                    busy |= self._look(rollout.policy)
                except Unavailable as error:
                    # A statement that one policy's rows make too slow looks the same: the others have their turn first.
                    away = error
        if away is not None:
            raise away
        return busy

    def _look(self, policy: PolicyName) -> bool:
        try:
            turn = self._watcher.turn(policy, self._engine.clock())
        except Unavailable:
            raise
        except RolloutConflict as error:
            self._log.info("watched_by_another", policy=policy, reason=str(error))
            return True
        except Exception as error:  # noqa: BLE001 - whatever ails one policy must not leave the others unwatched
            rest = min(2.0 * self._rests.get(policy, _EVERY_SECONDS), _LONGEST_REST_SECONDS)
            self._rests[policy] = rest
            self._due[policy] = time.monotonic() + rest
            self._metrics.learner_errors.labels(type(error).__name__).inc()
            unforeseen = None if isinstance(error, CxiBanditError) else error
            self._log.error(
                "policy_not_watched", policy=policy, reason=str(error), again_in_seconds=rest, exc_info=unforeseen
            )
            return False
        self._rests.pop(policy, None)
        self._due[policy] = time.monotonic() + (0.0 if turn.more else _EVERY_SECONDS)
        self._tell(policy, turn)
        return turn.more or bool(turn.acts)

    def _tell(self, policy: PolicyName, turn: Turn) -> None:
        for line in turn.lines:
            self._metrics.watch_evidence.labels(policy, line.watch).set(-math.inf if line.log_e is None else line.log_e)
        self._metrics.canary_shoppers.labels(policy).set(turn.canary_shoppers or 0)
        for act in turn.acts:
            if act.action in ("roll_back", "halt"):
                self._metrics.rollbacks.labels(policy, act.code).inc()
            tell = self._log.info if act.action in ("next_step", "go_live") else self._log.warning
            tell(f"watch_{act.action}", policy=policy, code=act.code, reason=act.reason)
