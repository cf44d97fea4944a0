"""Cases about order, time and repetition: arrival, weeks, restarts, and shoppers who come back."""

import numpy as np

from cxi_bandit.domain.alpha_ledger import share_of_alpha
from cxi_bandit.evidence.canary import canary_bounds
from cxi_bandit.evidence.contrast import Integers
from simulator.studies.gate_case import ALPHA, EVENTS, LOOKS, Case, Measure, standard_world
from simulator.studies.gate_paths import Paths, first_crossings
from simulator.studies.gate_worlds import World, by_shopper, drawn, greedy, in_arrival_order, mild, rates


def order_traps() -> list[Case]:
    """Arrival order, mid-week looks, nightly restarts."""
    nights = [share_of_alpha(ALPHA, night) for night in range(1, 61)]
    return [
        Case(name="false go: one action faster, decision order", measure=_faster(False), claim=ALPHA, kind="at_most"),
        Case(name="trap: arrival order", measure=_faster(True), claim=0.99, kind="trap"),
        Case(name="false go: weekly swing, whole weeks", measure=_swing(5000), claim=ALPHA, kind="at_most"),
        Case(name="trap: weekly swing, 80 looks", measure=_swing(250), claim=0.87, kind="trap"),
        Case(name="false go: 60 restarts on the ledger", measure=_restarts(nights), claim=ALPHA, kind="at_most"),
        Case(
            name="trap: 60 restarts, each at alpha",
            measure=_restarts([ALPHA] * 60),
            claim=0.37,
            kind="trap",
        ),
        Case(
            name="false go: 8 candidates, threshold 8/alpha",
            measure=_several(8, 8),
            claim=ALPHA,
            kind="at_most",
        ),
        Case(name="trap: 8 candidates, each at alpha", measure=_several(8, 1), claim=None, kind="trap"),
    ]


def _several(candidates: int, divided_by: int) -> Measure:
    """Candidates that each favour an arm of their own, all no better, tried on the same rows; any go is false."""

    def measure(rng: np.random.Generator, runs: int) -> Integers:
        logger, shape = greedy(0, 0.5), (EVENTS, runs)
        action = drawn(rng, logger, shape)
        reward = (rng.random(shape) < 0.5).astype(float)  # noqa: PLR2004 - rewards are a coin
        found = []
        for arm in range(1, candidates + 1):
            candidate = mild(logger, greedy(arm, 0.5))
            world = World(logger=logger, incumbent=logger, candidate=candidate, reward=rates(0.5))
            found.append(first_crossings(world.contrasted(action, reward), LOOKS, divided_by / ALPHA)[None])
        anywhere: Integers = np.concatenate(found).max(axis=0)
        return anywhere

    return measure


def _faster(arrival: bool) -> Measure:
    def measure(rng: np.random.Generator, runs: int) -> Integers:
        world, shape, horizon = standard_world(0.3, is_mild=True), (EVENTS, runs), 5000
        action = drawn(rng, world.logger, shape)
        reward = (rng.random(shape) < world.reward[action]).astype(float)
        paths = world.contrasted(action, reward)
        if not arrival:
            return first_crossings(paths, LOOKS, 1 / ALPHA)
        # A success is known when it happens, at once for the candidate's action; a failure only at the horizon.
        delay = np.where(reward > 0, rng.random(shape) * np.where(action == 1, 100, horizon), horizon)
        return first_crossings(
            in_arrival_order(paths, np.arange(EVENTS, dtype=float)[:, None] + delay), LOOKS, 1 / ALPHA
        )

    return measure


def _swing(every: int) -> Measure:
    def measure(rng: np.random.Generator, runs: int) -> Integers:
        world, shape, week = standard_world(0.5, is_mild=True), (EVENTS, runs), 5000
        action = drawn(rng, world.logger, shape)
        swing = 0.3 * np.sin(2 * np.pi * np.arange(EVENTS) / week)[:, None]
        reward = (rng.random(shape) < world.reward[action] + swing * (action == 1)).astype(float)
        return first_crossings(world.contrasted(action, reward), np.arange(every, EVENTS + 1, every), 1 / ALPHA)

    return measure


def _restarts(alphas: list[float]) -> Measure:
    """Sixty nights of 1,000 events, each with evidence of its own; a run errs when any night does."""

    def measure(rng: np.random.Generator, runs: int) -> Integers:
        world, looks = standard_world(0.5, is_mild=True), np.arange(50, 1001, 50)
        found = [first_crossings(world.paths(rng, runs, 1000), looks, 1 / alpha)[None] for alpha in alphas]
        anywhere: Integers = np.concatenate(found).max(axis=0)
        return anywhere

    return measure


def shopper_traps() -> list[Case]:
    """Shoppers who come back, under fresh draws and under a sticky arm."""
    found = []
    for decisions in (5, 20, 100):
        found += [
            Case(
                name=f"false go: {decisions} decisions a shopper, bet a shopper",
                measure=_tastes(decisions, True),
                claim=ALPHA,
                kind="at_most",
            ),
            Case(
                name=f"trap: {decisions} decisions a shopper, bet a row",
                measure=_tastes(decisions, False),
                claim={5: 0.0, 20: 0.09, 100: 0.38}[decisions],
                kind="trap",
            ),
        ]
    return [
        *found,
        Case(name="false go: sticky canary, bet a shopper", measure=_canary(True), claim=ALPHA, kind="at_most"),
        Case(name="trap: sticky canary, mixture propensity a row", measure=_canary(False), claim=0.44, kind="trap"),
    ]


def _tastes(decisions: int, per_shopper: bool) -> Measure:
    """Shoppers differ in which actions please them; the candidate is no better on the whole."""

    def measure(rng: np.random.Generator, runs: int) -> Integers:
        world, shape = standard_world(0.5), (EVENTS, runs)
        action = drawn(rng, world.logger, shape)
        liked = rng.random((EVENTS // decisions, runs, 2)) < 0.5  # noqa: PLR2004 - tastes are a coin
        of_row = np.repeat(liked, decisions, axis=0)
        rate = np.select([action == 0, action == 1], [of_row[:, :, 0] * 0.8 + 0.1, of_row[:, :, 1] * 0.8 + 0.1], 0.5)
        paths = world.contrasted(action, (rng.random(shape) < rate).astype(float))
        if not per_shopper:
            return first_crossings(paths, LOOKS, 1 / ALPHA)
        bets = by_shopper(paths, decisions)
        return first_crossings(bets, np.arange(1, len(bets.gain) + 1), 1 / ALPHA)

    return measure


def _canary(per_shopper: bool, decisions: int = 20, share: float = 0.5) -> Measure:
    def measure(rng: np.random.Generator, runs: int) -> Integers:
        shoppers = EVENTS // decisions
        treated = rng.random((shoppers, runs)) < share
        habit = rng.beta(0.5, 0.5, (shoppers, runs))
        rows = np.repeat(treated, decisions, axis=0)
        action = np.where(rows, drawn(rng, greedy(1), rows.shape), drawn(rng, greedy(0), rows.shape))
        reward = (rng.random(rows.shape) < np.repeat(habit, decisions, axis=0)).astype(float)
        if per_shopper:
            bounds = canary_bounds(share)
            outcome = reward.reshape(shoppers, decisions, runs).mean(axis=1)
            difference = np.where(treated, bounds.upper, -bounds.lower)
            paths = Paths(gain=difference * outcome, tilt=difference, reward=outcome, bounds=bounds)
            return first_crossings(paths, np.arange(10, shoppers + 1, 10), 1 / ALPHA)
        mixture = share * greedy(1) + (1 - share) * greedy(0)
        world = World(logger=mixture, incumbent=greedy(0), candidate=greedy(1), reward=rates(0.5))
        return first_crossings(world.contrasted(action, reward), LOOKS, 1 / ALPHA)

    return measure
