"""A site of the coverage study: a population whose true values are known, who logged it, and who is to be judged."""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from simulator.diagnostics import effective_size, lacking
from simulator.intervals import WeightRange
from simulator.reward_model import RewardModel, SmoothedMean, cross_fit
from simulator.rounds import Bools, Float64s, Ints, LoggedRounds, ScoredRounds

_FOLDS = 5
_PIECES = 20
_REFERENCE_ROWS = 200_000


class Outcomes(Protocol):
    """What every action earns in every context."""

    @property
    def expected(self) -> Float64s:
        """True mean reward, shape (X, K)."""
        ...

    def draw(self, rng: np.random.Generator, context: Ints, action: Ints) -> Float64s:
        """Rewards as the log has them, shape (n,)."""
        ...


@dataclass(frozen=True, eq=False, kw_only=True)
class Site:
    """X equally frequent contexts, K actions, and two policies.

    Attributes:
        logger: Probabilities the log's actions are drawn with, shape (X, K); a zero cannot be drawn.
        candidate: π_e, shape (X, K).
        reward_range: Declared.
        view: What the reward model knows of each context, as a code, shape (X,); None for nothing.
        claimed: Propensities as they stand in the log, where these are not the true ones, shape (X, K).
        greed: Where set, the logger starts even and then keeps putting this share on the action whose mean reward so
            far is highest, the rest evenly; `logger` then only says what may be drawn.
        in_time_order: Contexts follow each other from the first to the last, as time goes by.
        decisions: Rows a shopper, all in one context.
        names_shoppers: Whether the log says which rows are one shopper's, where there are several.
        target: The value sought, where it is not the candidate's in this population.
    """

    logger: Float64s
    candidate: Float64s
    outcomes: Outcomes
    reward_range: tuple[float, float] = (0.0, 1.0)
    view: Ints | None = None
    model: RewardModel = SmoothedMean()  # noqa: RUF009 - unfitted and frozen
    claimed: Float64s | None = None
    greed: float | None = None
    in_time_order: bool = False
    decisions: int = 1
    names_shoppers: bool = True
    target: float | None = None

    @cached_property
    def truth(self) -> float:
        """The value that an interval should cover: mean over contexts of Σ_a π_e(a|x)·E[r|x, a], or `target`."""
        if self.target is not None:
            return self.target
        return float(np.einsum("xk,xk->x", self.candidate, self.outcomes.expected).mean())

    @cached_property
    def weight_range(self) -> WeightRange:
        """The range that follows from both policies' vectors, as an operator would declare it."""
        floor = self.logger if self.claimed is None else self.claimed
        if self.greed is not None:
            floor = self._seen * (1.0 - self.greed) / self._seen.sum(axis=1, keepdims=True)
        ratio = np.divide(self.candidate, floor, out=np.zeros_like(self.candidate), where=self._seen)
        return WeightRange(0.0, max(float(ratio.max()), 1.0) * (1.0 + 1e-9))

    @cached_property
    def ess_shares(self) -> tuple[float, float]:
        """Effective sample sizes per row of rewards, E[wr]²/E[(wr)²], and of failures, from one long log."""
        log = self.log(_REFERENCE_ROWS, np.random.default_rng(0))
        rewards, failures = log.reward, lacking(log.reward, self.reward_range[1])
        rewarded, failed = (effective_size(log.weight * score) / len(log) for score in (rewards, failures))
        return rewarded, failed

    def log(self, n: int, rng: np.random.Generator) -> ScoredRounds:
        """A log of n rows with the candidate's probabilities and cross-fitted predictions."""
        context = self._contexts(n, rng)
        action, propensity, reward = self._decisions(context, rng)
        subject = np.arange(n) // self.decisions if self.decisions > 1 and self.names_shoppers else None
        rounds = LoggedRounds(
            actions=tuple(str(arm) for arm in range(self.logger.shape[1])),
            action=action,
            propensity=propensity,
            reward=reward,
            logged_at=np.arange(n, dtype=np.float64),
            # The shipped reward model keeps a mean per action and slot; a slot is whatever it is told of the context.
            position=None if self.view is None else self.view[context],
            subject=subject,
        )
        q_hat = cross_fit(rounds, self.model, folds=_FOLDS, seed=int(rng.integers(2**31)))
        return ScoredRounds(rounds, self.candidate[context], q_hat)

    @cached_property
    def _seen(self) -> Bools:
        return self.logger > 0.0

    def _contexts(self, n: int, rng: np.random.Generator) -> Ints:
        contexts = len(self.logger)
        if self.in_time_order:
            when = (np.arange(n) + rng.random(n)) / n
            return np.minimum((when * contexts).astype(np.intp), contexts - 1)
        shoppers = -(-n // self.decisions)
        return np.repeat(rng.integers(0, contexts, shoppers), self.decisions)[:n]

    def _decisions(self, context: Ints, rng: np.random.Generator) -> tuple[Ints, Float64s, Float64s]:
        if self.greed is not None:
            return self._greedy_decisions(context, self.greed, rng)
        action = _drawn(self.logger[context], rng)
        logged = self.logger if self.claimed is None else self.claimed
        return action, logged[context, action], self.outcomes.draw(rng, context, action)

    def _greedy_decisions(
        self, context: Ints, greed: float, rng: np.random.Generator
    ) -> tuple[Ints, Float64s, Float64s]:
        n, arms = len(context), self.logger.shape[1]
        action, propensity, reward = np.empty(n, dtype=np.intp), np.empty(n), np.empty(n)
        total, shows = np.zeros(arms), np.zeros(arms)
        for piece in np.array_split(np.arange(n), _PIECES):
            allowed = self._seen[context[piece]]
            share = allowed / allowed.sum(axis=1, keepdims=True)
            if shows.any():
                best = np.where(allowed, total / np.maximum(shows, 1.0), -np.inf).argmax(axis=1)
                share = share * (1.0 - greed)
                share[np.arange(len(piece)), best] += greed
            drawn = _drawn(share, rng)
            earned = self.outcomes.draw(rng, context[piece], drawn)
            action[piece], propensity[piece], reward[piece] = drawn, share[np.arange(len(piece)), drawn], earned
            total += np.bincount(drawn, weights=earned, minlength=arms)
            shows += np.bincount(drawn, minlength=arms)
        return action, propensity, reward


def _drawn(share: Float64s, rng: np.random.Generator) -> Ints:
    """One action a row; an action of probability 0 is never drawn."""
    reached = np.cumsum(share, axis=1)
    u = rng.random(len(share))[:, None] * reached[:, -1:]
    drawn: Ints = (u >= reached).sum(axis=1)
    return drawn
