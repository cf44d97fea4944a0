"""Cases about watching: the detector of a live policy gone bad, and the sample-ratio test of a canary."""

import numpy as np

from cxi_bandit.evidence.contrast import Bounds, Floats, Integers
from cxi_bandit.evidence.sample_ratio import CONCENTRATIONS
from simulator.studies.gate_case import ALPHA, EVENTS, Case, Measure, crossed_anywhere
from simulator.studies.gate_paths import Paths, first_alarms, first_crossings
from simulator.studies.gate_worlds import drawn, greedy, mild

_DECLARED = 0.1
_HOLDBACK = 0.01  # share of decisions that are left to the old policy


def sample_ratio() -> list[Case]:
    """An e-value that is read at every shopper, at level .01."""
    return [
        Case(name="false alarm: sample ratio, read at every shopper", measure=_ratio(0.1), claim=0.01, kind="at_most"),
        Case(name="power: sample ratio .1 when .12 came", measure=_ratio(0.12), claim=1.0, kind="near"),
    ]


def _ratio(truth: float) -> Measure:
    """First reading at 100 over 20,000 shoppers, from the predictive probabilities of each shopper's arm."""

    def measure(rng: np.random.Generator, runs: int) -> Integers:
        treated = rng.random((EVENTS, runs)) < truth
        before: Integers = np.cumsum(treated, axis=0) - treated
        seen = np.arange(EVENTS)[:, None]
        mixture = np.zeros((EVENTS, runs))
        for kappa in CONCENTRATIONS:
            inside = (kappa * _DECLARED + before) / (kappa + seen)
            ratio = np.where(treated, inside / _DECLARED, (1.0 - inside) / (1.0 - _DECLARED))
            mixture += np.exp(np.minimum(np.cumsum(np.log(ratio), axis=0), 500.0)) / len(CONCENTRATIONS)
        return crossed_anywhere(mixture >= 1.0 / 0.01)

    return measure


def detector() -> list[Case]:
    """A live policy that is better by .02 for 20,000 events and then worse by .06; and one that never falls.

    What the detector can see depends on how much of the old policy is in the log: nothing but what the live one's own
    exploration draws, a holdback, or half of everything. The published figures are those of the holdback.
    """
    live, old = greedy(1), greedy(0)
    holdback = f"holdback of {_HOLDBACK:.0%}"
    logs = {
        "live policy alone logs": live,
        holdback: (1.0 - _HOLDBACK) * live + _HOLDBACK * old,
        "half and half log": mild(old, live),
    }
    found = []
    for name, logger in logs.items():
        fall, published = _fall(logger), name == holdback
        found += [
            Case(
                name=f"falls found, {name}",
                measure=fall,
                claim=0.995 if published else None,
                kind="near",
                after=EVENTS,
            ),
            Case(
                name=f"events to alarm, {name}",
                measure=fall,
                claim=3000 if published else None,
                kind="median",
                after=EVENTS,
            ),
        ]
    plain = _fall_plain(logs[holdback])
    found.append(
        Case(name=f"falls found by a plain E, {holdback}", measure=plain, claim=0.59, kind="trap", after=EVENTS)
    )
    return [
        *found,
        Case(name="false alarms in 20k events at c = 1e5, Δ = 0", measure=_quiet(1e5), claim=0.2, kind="at_most"),
        Case(name="false alarms in 20k events at c = 1e6, Δ = 0", measure=_quiet(1e6), claim=0.02, kind="at_most"),
    ]


def _watched(rng: np.random.Generator, logger: Floats, raised: Floats, runs: int) -> Paths:
    """The live policy (arm 1) against the one it replaced (arm 0), roles swapped; `raised` per event, (n,)."""
    action = drawn(rng, logger, (len(raised), runs))
    reward = (rng.random(action.shape) < 0.1 + raised[:, None] * (action == 1)).astype(float)
    difference = (greedy(0) - greedy(1)) / logger
    bounds = Bounds(upper=float(difference.max()), lower=float(-difference.min()))
    return Paths(gain=difference[action] * reward, tilt=difference[action], reward=reward, bounds=bounds)


def _falling() -> Floats:
    return np.where(np.arange(2 * EVENTS) < EVENTS, 0.02, -0.06) / 0.8


def _fall(logger: Floats) -> Measure:
    return lambda rng, runs: first_alarms(_watched(rng, logger, _falling(), runs), 1e5)[:, None]


def _fall_plain(logger: Floats) -> Measure:
    looks = np.arange(250, 2 * EVENTS + 1, 250)
    return lambda rng, runs: first_crossings(_watched(rng, logger, _falling(), runs), looks, 1 / ALPHA)


def _quiet(alarm_at: float) -> Measure:
    return lambda rng, runs: first_alarms(_watched(rng, greedy(1), np.zeros(EVENTS), runs), alarm_at)[:, None]
