"""Every interval around every estimate on one log, and how often it covers over many."""

from collections.abc import Iterator
from typing import Final
from zlib import crc32

import msgspec
import numpy as np

from simulator.estimators import DoublyRobust, Ips, Snips
from simulator.estimators.estimator import Estimator
from simulator.intervals import (
    Bootstrap,
    ConfidenceSequence,
    CressieRead,
    Interval,
    ScoreBound,
    clopper_pearson,
    empirical_bernstein,
    gaussian,
)
from simulator.progress import Advance
from simulator.rounds import ScoredRounds
from simulator.studies.coverage_premises import MINIMUM_REWARD_ESS, Premise, broken
from simulator.studies.coverage_site import Site

NOMINAL: Final = 0.95
REQUIRED: Final = 0.93
_RESAMPLES: Final = 300
_SEED: Final = 20_270
_UNIT_RANGE: Final = (0.0, 1.0)


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario at one size.

    Attributes:
        breaks: Premises broken by construction; a lack of rewards or failures is added by `breaks_at`.
    """

    name: str
    rows: int
    site: Site
    breaks: frozenset[Premise] = frozenset()

    def breaks_at(self) -> frozenset[Premise]:
        """All premises broken in this case, at this size."""
        found = set(self.breaks)
        rewarded, failed = self.site.ess_shares
        if self.rows * rewarded < MINIMUM_REWARD_ESS:
            found.add(Premise.PLENTY)
        if self.rows * failed < MINIMUM_REWARD_ESS:
            found.add(Premise.FAILURES)
        if not np.array_equal(self.site.candidate, self.site.logger):
            found.add(Premise.EQUAL_WEIGHTS)
        return frozenset(found)


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One interval around one estimate in one case.

    Attributes:
        coverage: Share of replications whose interval held the truth; one without ends did not.
        error: Monte-Carlo standard error of `coverage`.
        width: Mean width in shares of the declared reward range.
        below: Share of replications whose whole interval lay below the truth.
        above: Share whose whole interval lay above it.
        broken: Premises that do not hold here, in words; empty where the interval claims its coverage.
        mark: `ok` or `miss` where coverage is claimed, else `-`.
    """

    scenario: str
    rows: int
    replications: int
    interval: str
    estimator: str
    nominal: float
    coverage: float
    error: float
    width: float
    below: float
    above: float
    broken: tuple[str, ...]
    mark: str


def intervals_on(site: Site, batch: ScoredRounds, seed: int) -> Iterator[tuple[str, Interval]]:
    """Every interval that is defined, with the name of the estimator it is around."""
    ips, snips, robust = Ips(), Snips(), DoublyRobust()
    estimators: tuple[Estimator, ...] = (ips, snips, robust)
    for estimator in estimators:
        estimator.update(batch)
        yield estimator.name, gaussian(estimator.result(), NOMINAL)
        bootstrap = Bootstrap(estimator)
        bootstrap.update(batch)
        yield estimator.name, bootstrap.result(NOMINAL, _RESAMPLES, seed)
    for mean in (ips, robust):
        bound = ScoreBound(site.reward_range, None if mean is ips else batch.q_range)
        yield mean.name, empirical_bernstein(mean, bound.over(site.weight_range.hi), NOMINAL)
        cressie_read = CressieRead(mean, site.weight_range, site.reward_range)
        cressie_read.update(batch)
        yield mean.name, cressie_read.result(NOMINAL)
    sequence = ConfidenceSequence(site.reward_range)
    sequence.update(batch)
    yield ips.name, sequence.result(NOMINAL)
    if site.reward_range == _UNIT_RANGE:
        yield ips.name, clopper_pearson(ips, float(batch.weight.max()), NOMINAL)


def measured(case: Case, replications: int, heard: Advance) -> list[Finding]:
    """Run one case. Reproducible: replication i of a case is the same log, however many there are."""
    site, code = case.site, crc32(f"{case.name}/{case.rows}".encode())
    ends: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for replication in range(replications):
        rng = np.random.default_rng((_SEED, code, replication))
        batch = site.log(case.rows, rng)
        for estimator, interval in intervals_on(site, batch, replication):
            ends.setdefault((interval.name, estimator), []).append((interval.lo, interval.hi))
        heard(1)
    breaks = case.breaks_at()
    return [_finding(case, key, np.array(rows), broken(key[0], breaks)) for key, rows in ends.items()]


def _finding(
    case: Case, key: tuple[str, str], ends: np.ndarray[tuple[int, ...], np.dtype[np.float64]], why: tuple[Premise, ...]
) -> Finding:
    lo, hi = ends.T
    truth, (r_lo, r_hi) = case.site.truth, case.site.reward_range
    # Sums of floats may miss a truth at an end of the range by rounding alone; nan compares as not covering.
    slack = 1e-12 * (r_hi - r_lo)
    coverage = float(((lo <= truth + slack) & (truth - slack <= hi)).mean())
    width = (hi - lo)[np.isfinite(hi - lo)]
    return Finding(
        scenario=case.name,
        rows=case.rows,
        replications=len(ends),
        interval=key[0],
        estimator=key[1],
        nominal=NOMINAL,
        coverage=coverage,
        error=float(np.sqrt(coverage * (1.0 - coverage) / len(ends))),
        width=float(width.mean() / (r_hi - r_lo)) if width.size else float("nan"),
        below=float((hi < truth - slack).mean()),
        above=float((lo > truth + slack).mean()),
        broken=tuple(str(premise) for premise in why),
        mark="-" if why else ("ok" if coverage >= REQUIRED else "miss"),
    )
