"""Reports filed by hand: what a gate would say, without the weeks that it needs to say it."""

from datetime import datetime

from cxi_bandit.domain.evaluation import Diagnostics, Estimate, EvaluationReport, Provenance
from cxi_bandit.domain.gate import Reason, Ruling, Verdict
from cxi_bandit.domain.identifiers import ModelVersion, PolicyName
from cxi_bandit.engine.incumbent import incumbent_of
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.ports import Evaluations, Registry, Releases


def file_report(
    stores: tuple[Registry, Releases, Evaluations],
    policy: PolicyName,
    version: int,
    model: int | None,
    *,
    at: datetime,
    ruling: Ruling = Ruling.GO,
    defects: tuple[str, ...] = (),
) -> int:
    """Files a report about a version with a model, against what is live now; returns its id."""
    registry, releases, evaluations = stores
    sha = next(known.manifest_sha for known in registry.versions(policy) if known.version == version)
    known_model = None if model is None else registry.model(policy, ModelVersion(model))
    incumbent = incumbent_of(registry, releases, Manifests(registry), policy, next(iter(defects), None))
    reasons = () if ruling is Ruling.GO else (Reason("few_units", "9 shoppers are too few"),)
    estimate = Estimate(
        value=0.31, interval=(0.2, 0.4), interval_method="t", confidence=0.95, target="value", assumptions="none"
    )
    report = EvaluationReport(
        log=policy,
        candidate=f"version {version}",
        headline="dr",
        estimates={"dr": estimate},
        diagnostics=Diagnostics(n=9),
        verdict=Verdict(decision=ruling, reasons=reasons, incumbent=incumbent.name),
        provenance=Provenance(
            log_from=None,
            log_to=None,
            manifest_sha=sha,
            model_sha=None if known_model is None else known_model.sha256,
            seed=0,
            code_version="test",
        ),
        defects=defects,
    )
    return evaluations.save(
        report, policy=policy, manifest_sha=sha, model_version=None if model is None else ModelVersion(model), at=at
    )
