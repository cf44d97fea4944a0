"""Worlds with a known truth for the gate's study: each makes the contrasts of many runs."""

import msgspec
import numpy as np

from cxi_bandit.evidence.contrast import Bounds, Floats, Integers, bounds_where_incumbent_logs
from simulator.studies.gate_paths import Paths

ARMS = 10


def greedy(arm: int, epsilon: float = 0.2) -> Floats:
    """ε-greedy over ten arms: 1 - ε + ε/10 on `arm`, ε/10 on each other."""
    vector = np.full(ARMS, epsilon / ARMS)
    vector[arm] += 1.0 - epsilon
    return vector


def rates(base: float, raised: float = 0.0, arm: int = 1) -> Floats:
    """Reward rates: `base` everywhere, `raised` more on one arm."""
    vector = np.full(ARMS, base)
    vector[arm] += raised
    return vector


class World(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """Who logged, who is live, who wants to be, and what each arm truly earns, (10,) each.

    Attributes:
        weight_cap: G; None where it is above every weight.
        delta: δ.
        naive: Drop the term that pays for clipping and holes, as a careless control variate does.
    """

    logger: Floats
    incumbent: Floats
    candidate: Floats
    reward: Floats
    weight_cap: float | None = None
    delta: float = 0.0
    naive: bool = False

    @property
    def gap(self) -> float:
        """V_e - V_i."""
        return float((self.candidate - self.incumbent) @ self.reward)

    def per_arm(self) -> tuple[Floats, float, Bounds]:
        """What each arm gives g - w_i, 1 - s, and bounds from the frozen policies' own vectors."""
        seen = self.logger > 0.0
        cap = np.inf if self.weight_cap is None else self.weight_cap
        ratio = np.divide(self.candidate, self.logger, out=np.zeros(ARMS), where=seen)
        weight = np.divide(self.incumbent, self.logger, out=np.zeros(ARMS), where=seen)
        difference = np.minimum(ratio, cap) - weight
        kept = float((np.minimum(ratio, cap) * self.logger).sum())
        shortfall = 0.0 if self.naive else max(1.0 - kept, 0.0)
        if np.array_equal(self.logger, self.incumbent):
            highest = float(ratio.max()) if self.weight_cap is None else self.weight_cap
            return difference, shortfall, bounds_where_incumbent_logs(highest, shortfall=shortfall)
        upper, lower = float(difference[seen].max()), float(-difference[seen].min())
        return difference, shortfall, Bounds(upper=upper, lower=lower, shortfall=shortfall)

    def paths(self, rng: np.random.Generator, runs: int, events: int) -> Paths:
        """One decision a shopper, actions from the logger, Bernoulli rewards."""
        action = drawn(rng, self.logger, (events, runs))
        return self.contrasted(action, (rng.random((events, runs)) < self.reward[action]).astype(float))

    def contrasted(self, action: Integers, reward: Floats) -> Paths:
        """The contrasts of given actions and rewards, (n, runs)."""
        difference, shortfall, bounds = self.per_arm()
        taken = difference[action]
        return Paths(gain=taken * reward, tilt=taken + shortfall, reward=reward, bounds=bounds, delta=self.delta)


def drawn(rng: np.random.Generator, policy: Floats, shape: tuple[int, ...]) -> Integers:
    """Actions drawn from one policy."""
    edges = np.cumsum(policy)
    return np.searchsorted(edges / edges[-1], rng.random(shape), side="right").astype(np.int64)


def compared_with_log(paths: Paths, candidate_weight: Floats, bounds: Bounds) -> Paths:
    """The mistake of taking the log's own mean for the incumbent's value: (w_e - 1)·r whoever logged."""
    difference = candidate_weight - 1.0
    return Paths(gain=difference * paths.reward, tilt=difference, reward=paths.reward, bounds=bounds)


def mild(logger: Floats, candidate: Floats) -> Floats:
    """Half and half."""
    return (logger + candidate) / 2.0


def in_arrival_order(paths: Paths, arrival: Floats) -> Paths:
    """The same contrasts in the order in which they became known, (n, runs)."""
    order = np.argsort(arrival, axis=0, kind="stable")
    gain, tilt, reward = (np.take_along_axis(a, order, axis=0) for a in (paths.gain, paths.tilt, paths.reward))
    return Paths(gain=gain, tilt=tilt, reward=reward, bounds=paths.bounds, delta=paths.delta)


def by_shopper(paths: Paths, decisions: int) -> Paths:
    """One bet a shopper for shoppers of `decisions` consecutive rows each: the mean of their contrasts."""
    gain, tilt, reward = (
        a.reshape(-1, decisions, a.shape[1]).mean(axis=1) for a in (paths.gain, paths.tilt, paths.reward)
    )
    return Paths(gain=gain, tilt=tilt, reward=reward, bounds=paths.bounds, delta=paths.delta)
