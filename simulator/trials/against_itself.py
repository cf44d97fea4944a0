"""A/A: the incumbent against itself. What the machinery says when there is certainly nothing to find."""

from dataclasses import dataclass, replace
from hashlib import blake2b
from math import hypot, log

import msgspec
import numpy as np

from cxi_bandit.domain.alpha_ledger import Spending
from cxi_bandit.domain.gate import Reason, Ruling, Verdict
from cxi_bandit.evidence.bets import Evidence
from cxi_bandit.evidence.canary import canary_bounds, canary_contrasts
from cxi_bandit.evidence.contrast import BoundExceeded, IncumbentUnsupported
from simulator.candidates import Prepared
from simulator.datasets.closed_log import live
from simulator.datasets.log import ReplayLog
from simulator.gate.trial import opened
from simulator.gate.unit import Rows, units
from simulator.gate.verdict import refusal
from simulator.progress import Track, silent
from simulator.replay import Replay, ReplaySettings, assess
from simulator.rounds import Bools
from simulator.trials.bets import Vectors, declared, objections, rows_of, vectors
from simulator.trials.docket import Docket

ESTIMATES = ("ips", "snips", "dr")
_HALF = 0.5
_SIGMAS = 1.96
_ROUNDING = 1e-9


class SelfComparison(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it.

    Attributes:
        passed: Nothing was found, as it must be. A sound machine fails with probability alpha at most for each of the
            two e-processes, and in about 5 % of cases for each estimate where the log is not all the incumbent's own.
        log_threshold: ln(1/alpha), which neither E may reach.
        log_e: ln E of a trial of the incumbent, asked again, against what it logged.
        split_log_e: ln E of a claim that one half of the shoppers, told apart by a hash, earns more than the other.
        units: Bets of each.
        on_policy_mean: Mean reward where this incumbent logged; None where it has logged nothing.
        standard_error: Of that mean, by shopper.
        own_rows: Rows it logged.
        apart: Estimates further from that mean than both errors together allow.
        rescoring_gap: Largest difference between the incumbent asked again and what it logged.
    """

    passed: bool
    log_threshold: float
    log_e: float
    split_log_e: float
    units: int
    on_policy_mean: float | None
    standard_error: float | None
    own_rows: int
    apart: tuple[str, ...]
    rescoring_gap: float


@dataclass(frozen=True, kw_only=True)
class SelfTest:
    """The comparison, and the report it comes with; its verdict is wait when nothing was found, else refuse."""

    found: SelfComparison
    replay: Replay


def against_itself(
    docket: Docket, settings: ReplaySettings | None = None, *, seed: int = 0, track: Track = silent
) -> SelfTest:
    """Runs a trial of the incumbent against itself over whole weeks. Spends nothing and keeps nothing.

    The candidate is the incumbent asked again; the incumbent is what it logged, where it did. A second e-process goes
    through the same units, order and weeks with real noise, where the first has none if all is well.

    Args:
        seed: Of the hash that halves the shoppers.
    """
    met = Prepared(log=docket.closed.log, probabilities=_logged(docket.closed.log))
    asked = vectors(met, docket.incumbent, docket.served, track)
    reasons = objections(docket.closed, asked, docket.incumbent, live(asked.log).rows[0].decision.decided_at)
    replay = assess(Prepared(log=asked.log, probabilities=asked.incumbent), docket.incumbent.name, settings, track)
    threshold = -log(docket.rule.alpha)
    log_e = split = 0.0
    number = 0
    try:
        log_e, split, number = _evidence(docket, asked, seed)
    except (IncumbentUnsupported, BoundExceeded) as error:
        reasons.append(refusal(error))
    for name, reached in (("aa_trial", log_e), ("aa_split", split)):
        if reached >= threshold:
            reasons.append(Reason(name, f"ln E = {reached:.3g} reached {threshold:.3g} where there is nothing to find"))
    mean, error_of_mean = _on_policy(asked.log, asked.own)
    apart = _apart(replay, mean, error_of_mean)
    if apart:
        reasons.append(Reason("aa_estimates", f"{', '.join(apart)} differ from the on-policy mean {mean:.6g}"))
    comparison = SelfComparison(
        passed=not reasons,
        log_threshold=threshold,
        log_e=log_e,
        split_log_e=split,
        units=number,
        on_policy_mean=mean,
        standard_error=error_of_mean,
        own_rows=int(asked.own.sum()),
        apart=apart,
        rescoring_gap=asked.gap,
    )
    return SelfTest(found=comparison, replay=_judged(replay, docket.incumbent.name, reasons))


def _logged(log_: ReplayLog) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    probabilities = log_.rounds.probabilities
    return np.zeros((len(log_), log_.rounds.n_actions)) if probabilities is None else probabilities.astype(np.float64)


def _evidence(docket: Docket, asked: Vectors, seed: int) -> tuple[float, float, int]:
    """Both ln E at the last whole week, and how many bets each took."""
    found = replace(
        asked, candidate=asked.incumbent, incumbent=np.where(asked.own[:, None], asked.logged, asked.incumbent)
    )
    rule, bounds = docket.rule, declared(docket.rule, found)
    rows, _ = rows_of(docket.closed, found, docket.incumbent, rule, bounds)
    trial = opened(
        rule,
        Spending(proposal="itself", ordinal=1, candidates=1, incumbent="itself", alpha=rule.alpha),
        bounds=bounds,
        opened_at=live(found.log).rows[0].decision.decided_at,
        horizon_seconds=docket.incumbent.manifest.reward.horizon_seconds,
    ).hear(rows, docket.closed.through)
    number = trial.primary.end.units
    return trial.primary.log_e, _halves(docket, rows, number, seed), number


def _halves(docket: Docket, rows: Rows, number: int, seed: int) -> float:
    """Ln E of X_u = (2Z - 2(1 - Z))(Y - c) with Z a hash of the shopper, over the first `number` units."""
    found = units(rows, docket.rule)
    owners = dict.fromkeys(
        rows.subject[row] if rows.subject[row] is not None else row for row in range(len(rows.subject))
    )
    salt = seed.to_bytes(8, "big", signed=True)
    heads = [blake2b(str(owner).encode(), key=salt, digest_size=1).digest()[0] & 1 for owner in owners]
    treated = np.array(heads, dtype=np.bool_)[:number]
    contrasts = canary_contrasts(treated, found.reward.reward[:number], _HALF)
    return Evidence(bounds=canary_bounds(_HALF), delta=0.0).extended(contrasts).log_e


def _on_policy(log_: ReplayLog, own: Bools) -> tuple[float | None, float | None]:
    """Mean reward of the rows the incumbent logged, and its standard error √(Σ_u (Σ_i (r_i - r̄))²)/n over shoppers."""
    reward = log_.rounds.reward[own]
    if not len(reward):
        return None, None
    mean = float(reward.mean())
    subject = np.arange(len(own)) if log_.rounds.subject is None else log_.rounds.subject
    _, shopper = np.unique(subject[own], return_inverse=True)
    return mean, float(np.sqrt(np.square(np.bincount(shopper, reward - mean)).sum())) / len(reward)


def _apart(replay: Replay, mean: float | None, error: float | None) -> tuple[str, ...]:
    if mean is None or error is None:
        return ()
    apart = []
    for name in ESTIMATES:
        estimate = replay.report.estimates[name]
        if estimate.value is None:
            continue
        half = 0.0 if estimate.interval is None else (estimate.interval[1] - estimate.interval[0]) / 2
        if abs(estimate.value - mean) > hypot(half, _SIGMAS * error) + _ROUNDING:
            apart.append(name)
    return tuple(apart)


def _judged(replay: Replay, incumbent: str, reasons: list[Reason]) -> Replay:
    if reasons:
        verdict = Verdict(decision=Ruling.REFUSE, reasons=tuple(reasons), incumbent=incumbent)
    else:
        nothing = Reason("aa_passed", "The incumbent against itself: nothing was found, as it must be.")
        verdict = Verdict(decision=Ruling.WAIT, reasons=(nothing,), incumbent=incumbent)
    return replace(replay, report=msgspec.structs.replace(replay.report, verdict=verdict))
