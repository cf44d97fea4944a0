"""The yardstick of a replay: the same sums in plain numpy over whole arrays, checked by nobody, merged with nothing."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from simulator.partitions import Partition
from simulator.rounds import Float64s, LoggedRounds

LAMBDA: Final = {"clipped_ips": 10.0, "switch_dr": 10.0, "dros": 100.0, "sg": 0.1}
"""The estimators' own defaults."""


def synthetic(rows: int, actions: int, seed: int = 1) -> Partition:
    """A log with a candidate and predictions, (n, K) arrays in float32; the predictions for mrdr are those for dr."""
    generator = np.random.default_rng(seed)
    candidate = generator.random((rows, actions), dtype=np.float32)
    candidate /= candidate.sum(axis=1, keepdims=True)
    q_hat = generator.random((rows, actions), dtype=np.float32)
    q_hat *= np.float32(0.2)
    rounds = LoggedRounds(
        actions=tuple(f"action_{k}" for k in range(actions)),
        action=generator.integers(0, actions, rows),
        propensity=generator.uniform(0.5 / actions, 2.0 / actions, rows),
        reward=(generator.random(rows) < 0.1).astype(np.float64),  # noqa: PLR2004 - one in ten
        logged_at=np.arange(rows, dtype=np.float64),
    )
    return Partition(rounds=rounds, candidate=candidate, q_hat=q_hat, q_hat_mrdr=q_hat)


def input_bytes(log: Partition) -> int:
    """Of all arrays of such a log; predictions for mrdr are the same array as dr's and count once."""
    rounds = log.rounds
    vectors = (rounds.action, rounds.propensity, rounds.reward, rounds.logged_at)
    matrices = [log.candidate, *([] if log.q_hat is None else [log.q_hat])]
    return sum(values.nbytes for values in (*vectors, *matrices))


@dataclass(frozen=True, eq=False)
class BareSums:
    """Mean and centred co-moments of every estimator's columns, and what Cressie-Read needs beside them."""

    means: list[Float64s]
    comoments: list[Float64s]


def bare(log: Partition) -> BareSums:
    """Means, variances and covariances of thirteen estimators and three Cressie-Read intervals."""
    rounds, q_hat, robust = log.rounds, log.q_hat, log.q_hat_mrdr
    if q_hat is None or robust is None:
        raise ValueError("the yardstick takes predictions as given")
    every = np.arange(len(log))
    reward = rounds.reward
    match = log.candidate[every, rounds.action].astype(np.float64)
    weight = match / rounds.propensity
    dm = np.einsum("nk,nk->n", log.candidate, q_hat).astype(np.float64)
    residual = reward - q_hat[every, rounds.action]
    dm_robust = np.einsum("nk,nk->n", log.candidate, robust).astype(np.float64)
    residual_robust = reward - robust[every, rounds.action]
    earned, corrected = weight * reward, weight * residual
    shrunk = weight / (1.0 - LAMBDA["sg"] + LAMBDA["sg"] * weight)
    optimistic = LAMBDA["dros"] * weight / (weight**2 + LAMBDA["dros"])
    switched = np.where(weight <= LAMBDA["switch_dr"], weight, 0.0)
    dr, mrdr = dm + corrected, dm_robust + weight * residual_robust
    groups: list[tuple[Float64s, ...]] = [
        (earned,),
        (np.minimum(weight, LAMBDA["clipped_ips"]) * reward,),
        (earned, weight),
        (dm,),
        (dr,),
        (dm, corrected, weight),
        (dm + switched * residual,),
        (dm + optimistic * residual,),
        (shrunk * reward,),
        (dm + shrunk * residual,),
        (mrdr,),
        (match / rounds.propensity * reward,),
        (match * reward, match),
        (weight, earned, reward),
        (weight, dr, reward),
        (weight, mrdr, reward),
    ]
    # Cressie-Read bounds an unseen row's score by the range of the predictions.
    extremes = [np.array([q.min(), q.max()], dtype=np.float64) for q in (q_hat, robust)]
    means, comoments = [], []
    for columns in groups:
        mean = np.array([column.mean() for column in columns])
        centred = [column - m for column, m in zip(columns, mean, strict=True)]
        means.append(mean)
        comoments.append(np.array([[np.dot(a, b) for b in centred] for a in centred]))
    return BareSums([*means, *extremes], comoments)
