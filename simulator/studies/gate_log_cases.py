"""Cases with one decision a shopper: power, no-better candidates, and logs that somebody else wrote."""

import msgspec
import numpy as np

from cxi_bandit.evidence.contrast import Bounds, Floats, Integers, bounds_from_floor
from simulator.studies.gate_case import ALPHA, EVENTS, LOOKS, Case, Measure, crossed_anywhere, crossings, standard_world
from simulator.studies.gate_paths import Paths, first_crossings
from simulator.studies.gate_worlds import World, compared_with_log, drawn, greedy, mild


def power() -> list[Case]:
    """What should go live, and how soon."""
    strong = standard_world(0.1, 0.05)
    gentle, high = (standard_world(base, 0.08, is_mild=True) for base in (0.1, 0.9))
    every, soon = np.arange(1, EVENTS + 1), crossings(gentle)
    return [
        Case(name="power: Δ = .04, weights to 41, 80 looks", measure=crossings(strong), claim=0.546, kind="near"),
        Case(name="power: the same, a look at every event", measure=crossings(strong, every), claim=0.565, kind="near"),
        Case(name="power: mild candidate, Δ = .02", measure=soon, claim=1.0, kind="near"),
        Case(name="events to go: mild candidate", measure=soon, claim=3500, kind="median"),
        Case(name="power: mild, base .9, Δ = .02", measure=crossings(high), claim=1.0, kind="near"),
    ]


def nulls() -> list[Case]:
    """Candidates that are no better, whatever the reward rate."""
    worlds = {f"Δ = 0, base {base:g}": standard_world(base) for base in (0.02, 0.05, 0.1, 0.3, 0.5, 0.9)}
    worlds |= {f"Δ = 0, mild, base {base:g}": standard_world(base, is_mild=True) for base in (0.1, 0.5)}
    worlds |= {
        "Δ = -.02, base .1": standard_world(0.1, -0.025),
        "Δ = δ = .02 (superiority's edge), mild": standard_world(0.1, 0.08, is_mild=True, delta=0.02),
        "Δ = -m = -.02 (non-inferiority's edge), mild": standard_world(0.3, -0.08, is_mild=True, delta=-0.02),
    }
    found = [
        Case(name=f"false go: {name}", measure=crossings(world), claim=ALPHA, kind="at_most")
        for name, world in worlds.items()
    ]
    gaussian = Case(name="trap: 95 % Gaussian bound, 80 looks", measure=_gaussian, claim=0.17, kind="trap")
    return [*found, gaussian]


def _gaussian(rng: np.random.Generator, runs: int) -> Integers:
    paths = standard_world(0.1, is_mild=True).paths(rng, runs, EVENTS)
    count = LOOKS[:, None]
    total = np.cumsum(paths.gain, axis=0)[LOOKS - 1]
    squares = np.cumsum(paths.gain**2, axis=0)[LOOKS - 1]
    error = np.sqrt((squares / count - (total / count) ** 2) / count)
    return crossed_anywhere(total / count > 1.645 * error)


def log_traps() -> list[Case]:
    """Logs of another policy, with holes, or with clipped weights."""
    uniform, worse = np.full(10, 0.1), greedy(2)
    differing = {
        "logger is not the incumbent": World(
            logger=uniform, incumbent=greedy(0), candidate=greedy(1), reward=_two(0.3, 0.1)
        ),
        "past policy logged": World(logger=worse, incumbent=greedy(0), candidate=greedy(1), reward=_two(0.2, 0.1)),
    }
    found = []
    for name, world in differing.items():
        found += [
            Case(name=f"false go: {name}", measure=crossings(world), claim=ALPHA, kind="at_most"),
            Case(name=f"trap: {name}, log's mean taken", measure=_misled(world), claim=None, kind="trap"),
        ]
    found.append(Case(name="false go: logger that learns", measure=_learning, claim=ALPHA, kind="at_most"))
    for hole in (0.01, 0.05):
        found += _with_naive(f"support hole of {hole:.0%}", _holed(hole))
    # The mass that clipping takes is on a poor arm, which a baseline alone mistakes for merit.
    clipped = World(logger=greedy(0), incumbent=greedy(0), candidate=greedy(1), reward=_two(0.1, 0.9), weight_cap=10.0)
    return found + _with_naive("weights clipped at 10", clipped)


def _learning(rng: np.random.Generator, runs: int, every: int = 250) -> Integers:
    """The log of a learner that every 250 events turns to the arm that has earned most so far; both policies frozen."""
    incumbent, candidate, floor = greedy(0), greedy(1), 0.02
    bounds = bounds_from_floor(1.0 / floor, floor, shortfall=0.0)
    rate = _two(0.3, 0.25)
    pulled, earned = np.ones((runs, 10)), np.full((runs, 10), 0.5)
    gain, tilt, reward = np.empty((3, EVENTS, runs))
    for first in range(0, EVENTS, every):
        logged = np.full((runs, 10), floor)
        logged[np.arange(runs), (earned / pulled).argmax(axis=1)] += 0.8
        action = (rng.random((every, runs, 1)) > np.cumsum(logged, axis=1)[:, :-1]).sum(axis=2)
        rows = slice(first, first + every)
        reward[rows] = rng.random((every, runs)) < rate[action]
        tilt[rows] = (candidate - incumbent)[action] / logged[np.arange(runs), action]
        gain[rows] = tilt[rows] * reward[rows]
        chosen = action[:, :, None] == np.arange(10)
        pulled += chosen.sum(axis=0)
        earned += (chosen * reward[rows][:, :, None]).sum(axis=0)
    return first_crossings(Paths(gain=gain, tilt=tilt, reward=reward, bounds=bounds), LOOKS, 1 / ALPHA)


def _holed(hole: float) -> World:
    """A candidate with some mass on an arm that is never logged and earns nothing, and V_e = V_i: the hardest null."""
    logger = np.append(np.full(9, 0.5 / 9), 0.0)
    logger[0] += 0.5
    other = np.append(np.full(9, 0.5 / 9), 0.0)
    other[1] += 0.5
    candidate = (1.0 - hole) * mild(logger, other)
    candidate[9] = hole
    reward = np.append(np.full(9, 0.7), 0.0)
    reward[1] += 0.7 * hole / (candidate[1] - logger[1])
    return World(logger=logger, incumbent=logger, candidate=candidate, reward=reward)


def _two(own: float, other: float) -> Floats:
    """The incumbent's and the candidate's arms earn the same, the logger's others less."""
    return np.where(np.arange(10) < 2, own, other)  # noqa: PLR2004 - two arms


def _with_naive(name: str, world: World) -> list[Case]:
    naive = msgspec.structs.replace(world, naive=True)
    return [
        Case(name=f"false go: {name}", measure=crossings(world), claim=ALPHA, kind="at_most"),
        Case(name=f"trap: {name}, (1 - s)c left out", measure=crossings(naive), claim=None, kind="trap"),
    ]


def _misled(world: World) -> Measure:
    weight = world.candidate / world.logger

    def measure(rng: np.random.Generator, runs: int) -> Integers:
        action = drawn(rng, world.logger, (EVENTS, runs))
        paths = world.contrasted(action, (rng.random((EVENTS, runs)) < world.reward[action]).astype(float))
        bounds = Bounds(upper=float(weight.max()) - 1.0, lower=1.0)
        return first_crossings(compared_with_log(paths, weight[action], bounds), LOOKS, 1 / ALPHA)

    return measure
