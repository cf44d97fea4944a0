"""The outlook: how large an effect a trial can see in how many days. No reward of the candidate's is looked at."""

import msgspec
import numpy as np

from cxi_bandit.domain.alpha_ledger import share_of_alpha
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.gate import BetUnit, GateRule, Guardrail
from cxi_bandit.evidence.bets import GRID
from cxi_bandit.evidence.contrast import Bounds
from simulator.candidates import Candidate
from simulator.gate.planner import plan, predicted_variance, visible_effect
from simulator.gate.unit import Rows, units
from simulator.progress import Track, silent
from simulator.trials.bets import declared, rows_of, vectors
from simulator.trials.docket import Docket, identity

WEEKS = (1, 2, 4, 8, 13, 26)
_DAY_US = 86_400_000_000
_COIN = 0.25  # rate(1 - rate) at one half
_TINY = 1e-12  # a harm that was never reported has no variance, and its trial is as short as bets allow


class Visible(msgspec.Struct, frozen=True, kw_only=True):
    """The least effect worth waiting `days` for: scaled to [0, 1], in the reward's units, beside the incumbent's value.

    Attributes:
        relative: Share of the log's mean reward; None where that is not above 0.
    """

    days: int
    effect: float
    reward: float
    relative: float | None


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """Whole weeks until a harm that does not change at all is shown to grow by less than its margin: (low, high)."""

    metric: str
    margin: float
    days: tuple[int, int]


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """What a trial of this candidate could show.

    Attributes:
        alpha: alpha_j of the policy's next proposal, over k candidates.
        threshold: k/alpha_j.
        units_per_day: New bets a day: shoppers, not decisions.
        weight_variance: E[(g - w_i)²], from the vectors alone.
        reward_variance: Var(r) on the log, whoever was drawn, r scaled to [0, 1].
        variance: Var(X) a unit: the product, a shopper's decisions taken as independent.
        floor_days: Whole weeks that the rule asks for in any case.
    """

    candidate: str
    incumbent: str
    ordinal: int
    candidates: int
    alpha: float
    threshold: float
    units_per_day: float
    weight_variance: float
    reward_variance: float
    variance: float
    floor_days: int
    visible: tuple[Visible, ...]
    guardrails: tuple[Wait, ...]


def outlook(docket: Docket, candidate: Candidate, *, candidates: int = 1, track: Track = silent) -> Outlook:
    """Plans a trial: n ≈ 3·ln(k/alpha_j)·Var(X)/Δ², Var(X) ≈ E[(g - w_i)²]·Var(r).

    Only vectors and the spread of the log's rewards go in; nothing tells how good the candidate is, so planning costs
    no alpha and may be repeated.

    Args:
        candidates: k, how many will be tried on the same rows.

    Raises:
        InvalidInput: The log is shorter than a day, or rewards on it never differ.
        IncumbentUnsupported: The log never draws something that the incumbent does.
    """
    prepared = candidate.prepare(docket.closed.log, track)
    found = vectors(prepared, docket.incumbent, docket.served, track)
    rule = docket.rule
    rows, _ = rows_of(docket.closed, found, docket.incumbent, rule, declared(rule, found))
    days = float(rows.decided_at[-1] - rows.decided_at[0]) / _DAY_US
    if days < 1.0:
        raise InvalidInput("log", f"{docket.closed.log.name} spans {days:.2g} days; a plan needs one at least")
    number = len(units(rows, rule).first_exposure)
    squares = _squares(rule, found.logged, found.incumbent, found.candidate)
    spread = float(np.var(rows.reward))
    ordinal = docket.spent + 1 if docket.spending is None else docket.spending.ordinal
    alpha = share_of_alpha(rule.alpha, ordinal) / candidates
    # A shopper's bet is (1/k) of the sum over m decisions: its variance m/k² and its mean m/k of a single row's.
    filled = _filled(rule, len(rows.reward) / number)
    shrink = filled / rule.decisions_per_unit**2
    lift = filled / rule.decisions_per_unit
    variance = squares * spread * shrink
    if not variance > 0.0:
        raise InvalidInput(
            "candidate", "acts just like the incumbent, or rewards never differ: there is no effect to see"
        )
    low, high = docket.incumbent.manifest.reward.min, docket.incumbent.manifest.reward.max
    mean = float(found.log.rounds.reward.mean())
    visible = []
    for weeks in WEEKS:
        effect = visible_effect(7 * weeks, variance=variance, alpha=alpha, units_per_day=number / days) / lift
        effect += rule.minimum_improvement
        reward = effect * (high - low)
        visible.append(
            Visible(days=7 * weeks, effect=effect, reward=reward, relative=reward / mean if mean > 0.0 else None)
        )
    return Outlook(
        candidate=identity(candidate),
        incumbent=docket.incumbent.name,
        ordinal=ordinal,
        candidates=candidates,
        alpha=alpha,
        threshold=1.0 / alpha,
        units_per_day=number / days,
        weight_variance=squares,
        reward_variance=spread,
        variance=variance,
        floor_days=7 * -(-rule.minimum_days // 7),
        visible=tuple(visible),
        guardrails=tuple(
            _until_shown(
                guardrail,
                rows,
                declared(rule, found),
                lift=lift,
                squares=squares * shrink,
                alpha=alpha,
                units_per_day=number / days,
            )
            for guardrail in rule.guardrails
        ),
    )


def _until_shown(
    guardrail: Guardrail,
    rows: Rows,
    bounds: Bounds,
    *,
    lift: float,
    squares: float,
    alpha: float,
    units_per_day: float,
) -> Wait:
    harm = rows.harms[guardrail.metric]
    variance = max(squares * float(np.var(harm)), _TINY)
    scale = float(bounds.scale(np.array([1.0 - float(harm.mean())]), 0.0)[0])

    def days(share: float) -> tuple[int, int]:
        return plan(
            guardrail.margin * lift, variance=variance, alpha=share, units_per_day=units_per_day, scale=scale
        ).days

    # Harm is rare, so the best λ is the largest there is, and one of the grid's 24 gamblers has to earn for all.
    return Wait(metric=guardrail.metric, margin=guardrail.margin, days=(days(alpha)[0], days(alpha / len(GRID))[1]))


def _squares(
    rule: GateRule,
    logged: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    incumbent: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    candidate: np.ndarray[tuple[int, int], np.dtype[np.float64]],
) -> float:
    """E[(g - w_i)²]: the predicted variance of a coin's rewards, over the coin's own."""
    at_half = predicted_variance(
        logged=logged, incumbent=incumbent, candidate=candidate, weight_cap=rule.weight_cap, rate=0.5
    )
    return at_half / _COIN


def _filled(rule: GateRule, decisions_a_shopper: float) -> float:
    """About how many of the k decisions a bet takes in."""
    return 1.0 if rule.unit is BetUnit.FIRST_DECISION else min(decisions_a_shopper, float(rule.decisions_per_unit))
