"""Guardrails: harms that must be *shown* not to grow. No news is not good news."""

from collections.abc import Mapping

import msgspec

from cxi_bandit.domain.gate import Guardrail
from cxi_bandit.evidence.bets import Evidence
from cxi_bandit.evidence.contrast import Bounds


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """One guardrail at one look: ln E against ln of the threshold."""

    metric: str
    margin: float
    log_e: float
    log_threshold: float

    @property
    def passed(self) -> bool:
        """Whether the harm was shown to grow by less than the margin."""
        return self.log_e >= self.log_threshold


def guardrail_evidence(guardrail: Guardrail, bounds: Bounds) -> Evidence:
    """An empty e-process on r = 1 - harm with δ = -m.

    It grows when the candidate's harm exceeds the incumbent's by less than m.
    """
    return Evidence(bounds=bounds, delta=-guardrail.margin)


def standings(
    guardrails: tuple[Guardrail, ...], evidence: Mapping[str, Evidence], log_threshold: float
) -> tuple[Standing, ...]:
    """Every guardrail's standing, each at the whole alpha_j.

    No correction for their number: a go needs all of them, so a false one needs *the* broken one to pass, which has
    probability alpha_j at most (an intersection-union test; Berger 1982).
    """
    return tuple(
        Standing(
            metric=guardrail.metric,
            margin=guardrail.margin,
            log_e=evidence[guardrail.metric].log_e,
            log_threshold=log_threshold,
        )
        for guardrail in guardrails
    )
