"""Many runs of the gate's e-process at once, in plain numbers instead of logs, one event after another."""

from collections.abc import Callable
from typing import Final

import msgspec
import numpy as np

from cxi_bandit.evidence.bets import GRID, stakes
from cxi_bandit.evidence.contrast import Bounds, Floats, Integers

NEVER: Final = -1
_LAMBDAS: Final = np.array(GRID)
_LEAST, _MOST = 1e-200, 1e200  # wealth beyond these has long been decided, and must not reach 0 or inf


class Paths(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """Contrasts of many runs: `gain`, `tilt` and `reward` as in `Contrasts`, each (n events, runs)."""

    gain: Floats
    tilt: Floats
    reward: Floats
    bounds: Bounds
    delta: float = 0.0


def staked(paths: Paths) -> Floats:
    """(X(c) - δ)/B(c) without and with the baseline, (n, runs, 2), checked against the bounds."""
    before = np.cumsum(paths.reward, axis=0) - paths.reward
    baseline = np.clip(before / np.maximum(np.arange(len(before)), 1)[:, None], 0.0, 1.0)
    pair = [
        stakes(paths.gain.ravel(), paths.tilt.ravel(), c.ravel(), paths.bounds, paths.delta).reshape(before.shape)
        for c in (np.zeros_like(baseline), baseline)
    ]
    return np.stack(pair, axis=2)


def first_crossings(paths: Paths, looks: Integers, threshold: float) -> Integers:
    """At how many events E_raw, E_cv and their average first stood at `threshold`, NEVER if not, (runs, 3)."""
    stake = staked(paths)
    wealth = np.ones((stake.shape[1], 2, len(GRID)))
    step = np.empty_like(wealth)
    crossed = np.full((stake.shape[1], 3), NEVER, np.int64)
    seen = 0
    for look in looks.tolist():
        for event in range(seen, look):
            np.multiply(stake[event][:, :, None], _LAMBDAS, out=step)
            step += 1.0
            wealth *= step
        seen = look
        np.clip(wealth, _LEAST, _MOST, out=wealth)
        pair = wealth.mean(axis=2)
        now = np.column_stack((pair, pair.mean(axis=1))) >= threshold
        crossed[now & (crossed == NEVER)] = look
    return crossed


def first_alarms(paths: Paths, alarm_at: float) -> Integers:
    """Events up to the e-detector's alarm (the average of both kinds), NEVER if it stayed quiet, (runs,)."""
    stake = staked(paths)
    level = np.zeros((stake.shape[1], 2, len(GRID)))
    step = np.empty_like(level)
    alarmed = np.full(stake.shape[1], NEVER, np.int64)
    for event in range(len(stake)):
        np.multiply(stake[event][:, :, None], _LAMBDAS, out=step)
        step += 1.0
        level += 1.0
        level *= step
        np.minimum(level, _MOST, out=level)
        alarmed[(level.mean(axis=(1, 2)) >= alarm_at) & (alarmed == NEVER)] = event + 1
    return alarmed


def in_chunks(
    runs: int, measure: Callable[[np.random.Generator, int], Integers], seed: int, chunk: int = 200
) -> Integers:
    """`measure` over `runs` runs, at most `chunk` at a time so that a chunk's wealth stays in cache; rows are runs."""
    streams = np.random.default_rng(seed).spawn(-(-runs // chunk))
    return np.concatenate([measure(stream, min(chunk, runs - number * chunk)) for number, stream in enumerate(streams)])
