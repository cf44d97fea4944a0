"""Cases of the coverage study made of numbers alone: ten actions, and one difficulty at a time."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from simulator.rounds import Float64s, Floats, Ints, LoggedRounds
from simulator.studies.coverage_measure import Case
from simulator.studies.coverage_premises import Premise
from simulator.studies.coverage_site import Site
from simulator.studies.gate_worlds import ARMS, greedy, mild, rates

SMALL: Final = 2_000
LARGE: Final = 10_000


@dataclass(frozen=True, eq=False)
class Paid:
    """A reward comes with probability `rate`, shape (X, K), and is then one of `amounts` with `odds`."""

    rate: Float64s
    amounts: tuple[float, ...] = (1.0,)
    odds: tuple[float, ...] = (1.0,)

    @property
    def expected(self) -> Float64s:
        """Rate times mean amount."""
        return self.rate * float(np.dot(self.amounts, self.odds))

    def draw(self, rng: np.random.Generator, context: Ints, action: Ints) -> Float64s:
        """Whether, then how much."""
        came = rng.random(len(action)) < self.rate[context, action]
        if len(self.amounts) == 1:
            return came.astype(np.float64) * self.amounts[0]
        amount: Float64s = rng.choice(np.array(self.amounts), size=len(action), p=self.odds)
        return came * amount


@dataclass(frozen=True)
class Lossy:
    """The outcomes of `paid`, of which a share is lost on the way and logged as nothing."""

    paid: Paid
    lost: float

    @property
    def expected(self) -> Float64s:
        """What was earned, lost or not."""
        return self.paid.expected

    def draw(self, rng: np.random.Generator, context: Ints, action: Ints) -> Float64s:
        """What arrived."""
        earned = self.paid.draw(rng, context, action)
        return earned * (rng.random(len(action)) >= self.lost)


@dataclass(frozen=True)
class Stubborn:
    """A reward model that learns nothing and predicts one number."""

    value: float

    def fit(self, rounds: LoggedRounds, rows: Ints, weight: Float64s | None = None) -> "Stubborn":  # noqa: ARG002 - a RewardModel
        """Itself."""
        return self

    def predict(self, rounds: LoggedRounds, rows: Ints) -> Floats:
        """The number, shape (m, K)."""
        return np.full((len(rows), rounds.n_actions), self.value)


def synthetic_cases() -> Iterator[Case]:
    """All of them, plain ones first."""
    yield from _plain()
    yield from _heavy()
    yield from _modelled()
    yield from _dependent()
    yield from _broken()


def bernoulli(base: float) -> Site:
    """ε-greedy logger on one arm, ε-greedy candidate on another that is better by a fifth: weights .024, 1 and 41."""
    raised = min(base * 0.2, 0.05)
    return Site(logger=greedy(0)[None], candidate=greedy(1)[None], outcomes=Paid(rates(base, raised)[None]))


def _plain() -> Iterator[Case]:
    for base, share in ((0.004, ".4 %"), (0.1, "10 %"), (0.9, "90 %")):
        for rows in (SMALL, LARGE):
            yield Case(name=f"reward rate {share}", rows=rows, site=bernoulli(base))
    logger = greedy(0, 0.5)
    near = Site(
        logger=logger[None], candidate=mild(logger, greedy(1, 0.5))[None], outcomes=Paid(rates(0.1, 0.02)[None])
    )
    yield Case(name="mild candidate, rate 10 %", rows=SMALL, site=near)
    same = replace(near, candidate=near.logger)
    yield Case(name="candidate is the logger, rate 10 %", rows=SMALL, site=same)
    # At a rate of 90 % failures are what is rare: 20 effective ones in the small log, 200 in the last.
    for base, share, rows in ((0.1, "10 %", SMALL), (0.9, "90 %", SMALL), (0.9, "90 %", 2 * LARGE)):
        yield Case(name=f"even logger, one-action candidate, rate {share}", rows=rows, site=_even(base))


def _even(base: float) -> Site:
    one = np.eye(ARMS)[1]
    return Site(logger=np.full((1, ARMS), 1 / ARMS), candidate=one[None], outcomes=Paid(rates(base)[None]))


def _heavy() -> Iterator[Case]:
    # Twelve contexts in which the candidate's action had a probability from .5 down to .002.
    chance = np.geomspace(0.5, 0.002, 12)
    logger = np.tile(greedy(0, 0.1), (12, 1))
    logger[:, 1] = 0.0
    logger *= (1.0 - chance[:, None]) / logger.sum(axis=1, keepdims=True)
    logger[:, 1] = chance
    site = Site(
        logger=logger, candidate=np.tile(greedy(1, 0.1), (12, 1)), outcomes=Paid(np.tile(rates(0.3, 0.1), (12, 1)))
    )
    for rows in (SMALL, LARGE):
        yield Case(name="heavy-tailed weights (up to 455)", rows=rows, site=site)
    # Amounts halve ten times; each step down is 2^1.1 times as frequent: a Pareto tail of index 1.1, cut at 1.
    amounts = 0.5 ** np.arange(10.0)
    odds = amounts**-1.1 / (amounts**-1.1).sum()
    logger = greedy(0, 0.5)[None]
    heavy = Site(
        logger=logger,
        candidate=greedy(1)[None],
        outcomes=Paid(rates(0.2)[None], tuple(amounts.tolist()), tuple(odds.tolist())),
    )
    for rows in (SMALL, LARGE):
        yield Case(name="heavy-tailed rewards", rows=rows, site=heavy)


def _modelled() -> Iterator[Case]:
    """Two kinds of contexts that like opposite actions, under reward models from good to bad."""
    liked = np.stack([np.linspace(0.05, 0.5, ARMS), np.linspace(0.5, 0.05, ARMS)])
    logger = np.stack([mild(greedy(0), greedy(9)), mild(greedy(0), greedy(9))])
    candidate = np.stack([greedy(9), greedy(0)])
    site = Site(logger=logger, candidate=candidate, outcomes=Paid(liked), view=np.arange(2))
    yield Case(name="reward model sees the context", rows=SMALL, site=site)
    yield Case(name="reward model sees the action alone", rows=SMALL, site=replace(site, view=None))
    yield Case(name="reward model always says .9", rows=SMALL, site=replace(site, model=Stubborn(0.9)))


def _dependent() -> Iterator[Case]:
    learning = Site(
        logger=np.full((1, ARMS), 1 / ARMS), candidate=greedy(1)[None], outcomes=Paid(rates(0.1)[None]), greed=0.8
    )
    for rows in (SMALL, LARGE):
        yield Case(name="adaptive logger", rows=rows, site=learning, breaks=frozenset({Premise.FIXED_LOGGER}))
    # A shopper's taste, from .01 to .85, is what twenty decisions share.
    taste = np.linspace(0.1, 0.92, 60) ** 2
    shoppers = Site(
        logger=np.tile(greedy(0, 0.5), (60, 1)),
        candidate=np.tile(mild(greedy(0, 0.5), greedy(1, 0.5)), (60, 1)),
        outcomes=Paid(np.tile(taste[:, None], (1, ARMS))),
        decisions=20,
    )
    name = "20 decisions a shopper, "
    named = frozenset({Premise.ONE_DECISION})
    yield Case(name=name + "named", rows=LARGE, site=shoppers, breaks=named)
    unnamed = named | {Premise.NAMED}
    yield Case(name=name + "not named", rows=LARGE, site=replace(shoppers, names_shoppers=False), breaks=unnamed)


def _broken() -> Iterator[Case]:
    base = replace(bernoulli(0.1), logger=greedy(0, 0.5)[None])
    paid = Paid(rates(0.1, 0.1)[None])
    hole = greedy(0, 0.5)
    hole[0], hole[1] = hole[0] + hole[1], 0.0
    unsupported = Site(logger=hole[None], candidate=mild(greedy(1, 0.5), greedy(2, 0.5))[None], outcomes=paid)
    yield Case(name="support violated", rows=LARGE, site=unsupported, breaks=frozenset({Premise.SUPPORT}))
    wrong = greedy(0, 0.4)[None]
    yield Case(
        name="propensities of the rare actions 20 % too small",
        rows=LARGE,
        site=replace(base, outcomes=paid, claimed=wrong),
        breaks=frozenset({Premise.PROPENSITY}),
    )
    # The candidate's action goes from 5 % to 35 % in the course of the log.
    moving = np.tile(rates(0.1), (50, 1))
    moving[:, 1] = np.linspace(0.05, 0.35, 50)
    logger, candidate = np.tile(base.logger, (50, 1)), np.tile(base.candidate, (50, 1))
    drift = Site(logger=logger, candidate=candidate, outcomes=Paid(moving), in_time_order=True)
    last = replace(drift, target=float(candidate[-1] @ moving[-1]))
    yield Case(name="drift, mean over the log's window sought", rows=LARGE, site=drift)
    yield Case(name="drift, value at its end sought", rows=LARGE, site=last, breaks=frozenset({Premise.WINDOW}))
    lossy = replace(base, outcomes=Lossy(paid, 0.25))
    yield Case(name="a quarter of rewards lost", rows=LARGE, site=lossy, breaks=frozenset({Premise.OUTCOMES}))
