"""A reward model that knows the context: Vowpal Wabbit's regression on a policy's own encoding."""

from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.identifiers import InterventionId
from cxi_bandit.vowpal import RewardRegressor
from simulator.datasets.log import ReplayLog
from simulator.progress import Track, silent
from simulator.rounds import Float64s, Floats, Ints, LoggedRounds

_REPORT_EVERY = 256


@dataclass(frozen=True, eq=False, kw_only=True)
class VowpalReward:
    """q̂(x, a) by one pass of squared-loss regression over the fitted rows, in decision order.

    Weighted rows are drawn with replacement in proportion to their weights, which has the weighted loss as its mean:
    the regression itself knows no weights. Actions that were not eligible get the mean reward of the fitted rows.

    Args:
        log: The log whose rows it is asked about; `rounds` in `fit` and `predict` must be its rounds.
        seed: Of drawing weighted rows.
    """

    log: ReplayLog
    track: Track = silent
    seed: int = 0
    regressor: RewardRegressor | None = field(default=None, repr=False)
    overall: float = 0.0

    def fit(self, rounds: LoggedRounds, rows: Ints, weight: Float64s | None = None) -> Self:
        """A regressor that has seen `rows` and nothing else."""
        self._own(rounds)
        if weight is not None and weight.sum() > 0:
            chosen = np.random.default_rng(self.seed).choice(rows, size=len(rows), p=weight / weight.sum())
            rows = np.sort(chosen)
        regressor = RewardRegressor(self.log.manifest)
        with self.track("Fitting the reward model", len(rows)) as advance:
            for start in range(0, len(rows), _REPORT_EVERY):
                batch = rows[start : start + _REPORT_EVERY]
                training = (self.log.contexts.training_row(int(row), self.log.manifest) for row in batch)
                regressor.fit((r.decision.situation, r.decision.intervention, r.reward) for r in training)
                advance(len(batch))
        overall = float(rounds.reward[rows].mean()) if len(rows) else 0.0
        return replace(self, regressor=regressor, overall=overall)

    def predict(self, rounds: LoggedRounds, rows: Ints) -> Floats:
        """Predictions for what was eligible in the log, shape (m, K); the mean reward elsewhere."""
        self._own(rounds)
        if self.regressor is None:
            raise InvalidInput("reward_model", "must be fitted before it predicts")
        columns = {InterventionId(name): column for column, name in enumerate(rounds.actions)}
        predicted = np.full((len(rows), rounds.n_actions), self.overall)
        with self.track("Predicting rewards", len(rows)) as advance:
            for number, row in enumerate(rows):
                situation = self.log.contexts.training_row(int(row), self.log.manifest).decision.situation
                predicted[number, [columns[name] for name in situation.eligible]] = self.regressor.predict(situation)
                advance(1)
        return predicted

    def _own(self, rounds: LoggedRounds) -> None:
        if rounds is not self.log.rounds:
            raise InvalidInput("reward_model", "was made for another log")
