"""Which version of the policy logged each row, and what every one of them would have drawn on every row."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cxi_bandit.domain.decision import Decision, Fallback
from cxi_bandit.domain.errors import InvalidInput, ModelInvalid, NotFound
from cxi_bandit.engine.audit import DecisionAudit
from cxi_bandit.engine.decide import ServedPolicy, distribution
from simulator.datasets.contexts import Contexts
from simulator.mixture import mixture_propensity
from simulator.progress import Track
from simulator.rounds import Float64s, Ints

POOLING_BUDGET = 200_000
"""Scorings (versions x rows) that are done unasked: some ten seconds."""

_REPORT_EVERY = 256
_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False, kw_only=True)
class LoggingVersions:
    """The versions that logged a log.

    Args:
        names: `policy version/model version`, or `policy version/cold start` where no model spoke.
        of_row: Index into `names`, shape (n,).
        of_action: Probability each version gives every row's logged action, shape (V, n); None where not computed.
        why_not: Why not, in a sentence's middle; empty where it is computed.
    """

    names: tuple[str, ...]
    of_row: Ints
    of_action: Float64s | None = None
    why_not: str = ""

    def take(self, rows: Ints) -> "LoggingVersions":
        """The versions of those rows; a version without a row left keeps its index."""
        of_action = None if self.of_action is None else self.of_action[:, rows]
        return replace(self, of_row=self.of_row[rows], of_action=of_action)

    @property
    def shares(self) -> Float64s:
        """Share of the rows that each version logged, shape (V,)."""
        counts = np.bincount(self.of_row, minlength=len(self.names)).astype(np.float64)
        shares: Float64s = counts / max(counts.sum(), 1.0)
        return shares

    @property
    def present(self) -> int:
        """How many versions logged at least one row."""
        return int(np.count_nonzero(self.shares))

    def mixture(self) -> Float64s | None:
        """Probability of each logged action under the mixture of the versions at their shares; None where unknown."""
        return None if self.of_action is None else np.minimum(mixture_propensity(self.of_action, self.shares), 1.0)


def logging_versions(decisions: Sequence[Decision]) -> LoggingVersions:
    """Who logged what, from the rows alone."""
    codes: dict[tuple[int, int | None], int] = {}
    of_row = [codes.setdefault((row.policy_version, row.model_version), len(codes)) for row in decisions]
    names = tuple(f"{policy}/{'cold start' if model is None else model}" for policy, model in codes)
    return LoggingVersions(names=names, of_row=np.array(of_row, dtype=np.intp), why_not="nobody asked for it")


def pooled(
    versions: LoggingVersions,
    decisions: Sequence[Decision],
    contexts: Contexts,
    audit: DecisionAudit,
    track: Track,
    budget: float = POOLING_BUDGET,
) -> LoggingVersions:
    """Scores every row with every version; where one cannot be, says why and leaves `of_action` out.

    Args:
        budget: Most scorings to do.
    """
    work = len(versions.names) * len(decisions)
    if work > budget:
        return replace(versions, why_not=f"it takes {work} scorings (--pool-versions does them)")
    if any(decision.fallback is Fallback.MODEL_REFUSED for decision in decisions):
        return replace(versions, why_not="some rows do not say which model was refused")
    first = [int(np.argmax(versions.of_row == version)) for version in range(len(versions.names))]
    of_action = np.zeros((len(versions.names), len(decisions)))
    with track("Scoring every row with every logging version", work) as advance:
        for version, example in enumerate(first):
            try:
                served = audit.serving(decisions[example])
                if served is None:
                    return replace(versions, why_not=f"the model of version {versions.names[version]} was thinned away")
                for row, decision in enumerate(decisions):
                    of_action[version, row] = _probability(served, contexts, row, decision)
                    if row % _REPORT_EVERY == _REPORT_EVERY - 1:
                        advance(_REPORT_EVERY)
                advance(len(decisions) % _REPORT_EVERY)
            except (InvalidInput, ModelInvalid, NotFound) as error:
                return replace(versions, why_not=f"version {versions.names[version]} cannot score every row: {error}")
    own = of_action[versions.of_row, np.arange(len(decisions))]
    if np.abs(own - [decision.propensity for decision in decisions]).max() > _TOLERANCE:
        return replace(versions, why_not="some rows, executed again, do not give their own logged propensity")
    return replace(versions, of_action=of_action, why_not="")


def _probability(served: ServedPolicy, contexts: Contexts, row: int, decision: Decision) -> float:
    situation = contexts.situation(row, served.manifest)
    if decision.intervention not in situation.eligible:
        return 0.0
    return distribution(served, situation).probabilities[situation.eligible.index(decision.intervention)]
