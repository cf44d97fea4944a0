"""Replay: the mean reward of the rounds in which the candidate would have done the same."""

from simulator.estimators.estimator import RatioEstimator
from simulator.rounds import Float64s, ScoredRounds


class ReplayMatch(RatioEstimator):
    """Replay = Σ m·r / Σ m, m_i = π_e(a_i|x_i) the chance that the candidate draws the logged action; reward units.

    For a deterministic candidate m is 0 or 1 and this is the mean over matching rounds; for a stochastic one it is what
    the draws would average to, without their noise. nan where nothing can match. It ignores p, so it is right only for
    a log drawn uniformly; kept for comparison. Li, Chu, Langford, Wang (2011), arXiv:1003.5956.
    """

    name = "replay_match"
    target = "the value if the log had been drawn uniformly; otherwise biased towards what the logger preferred"

    def columns(self, batch: ScoredRounds) -> tuple[Float64s, ...]:
        """The columns m·r and m."""
        match = batch.candidate_of_action
        return (match * batch.reward, match)
