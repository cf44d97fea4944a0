"""The pages of evaluations: the reports that were filed, and one of them as its replay found it."""

from collections.abc import Sequence
from typing import Any, Final

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.plugins.htmx import HTMXRequest

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.access import Scope
from cxi_bandit.domain.errors import NotFound
from cxi_bandit.domain.evaluation import EvaluationReport, TrialRecord
from cxi_bandit.domain.gate import Reason, Ruling
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.engine.incumbent import incumbents_of
from cxi_bandit.engine.ports import FiledReport
from cxi_bandit.service.console.charts import Chart, Kind, Series
from cxi_bandit.service.console.pages import Pages, shown_to
from cxi_bandit.service.console.reading import number_asked

_MOST: Final = 100
_UNGATED: Final = "no_gate"


def evaluation_pages(engine: Engine, pages: Pages) -> list[HTTPRouteHandler]:
    """The handlers, closed over what they need."""

    @get("/evaluations", opt=shown_to(Scope.READ))
    async def list_evaluations(request: HTMXRequest) -> Response[str]:
        policy, before = request.query_params.get("policy"), number_asked(request, "before")
        return await pages.show(request, "evaluations.html", lambda: filed_reports(engine, policy, before))

    @get("/evaluations/{evaluation_id:int}", opt=shown_to(Scope.READ))
    async def read_evaluation(request: HTMXRequest, evaluation_id: FromPath[int]) -> Response[str]:
        return await pages.show(request, "evaluation.html", lambda: whole_report(engine, evaluation_id))

    return [list_evaluations, read_evaluation]


def filed_reports(engine: Engine, policy: str | None, before: int | None) -> dict[str, Any]:
    """The newest reports, of one policy or of all, a page at a time."""
    store = engine.store
    policies = [rollout.policy for rollout in store.releases.rollouts()]
    wanted = None if policy not in policies else PolicyName(policy)
    found = [
        filed for filed in reversed(store.evaluations.reports(wanted)) if before is None or filed.evaluation_id < before
    ]
    return {
        "policy": wanted,
        "policies": policies,
        "reports": found[:_MOST],
        "older": found[_MOST - 1].evaluation_id if len(found) > _MOST else None,
    }


def filed_report(engine: Engine, evaluation_id: int) -> FiledReport:
    """Raises NotFound."""
    if not 1 <= evaluation_id < 1 << 63:
        raise NotFound("evaluation", str(evaluation_id)[:64])
    return engine.store.evaluations.get(evaluation_id)


def whole_report(engine: Engine, evaluation_id: int) -> dict[str, Any]:
    """A report as its page names what it shows. Where the log refuses, no estimate is shown anywhere."""
    store = engine.store
    filed = filed_report(engine, evaluation_id)
    report = filed.report
    refused = report.verdict.decision is Ruling.REFUSE
    return {
        "filed": filed,
        "report": report,
        "refused": refused,
        "ungated": any(reason.code == _UNGATED for reason in report.verdict.reasons),
        "expired": expired(engine, filed),
        "version": candidate_version(engine, filed),
        "estimates": None if refused else estimates_chart(report),
        "evidence": None if report.trial is None else evidence_chart(report.trial),
        "promotions": [
            one for one in store.releases.promotions(filed.policy) if one.evaluation_id == filed.evaluation_id
        ],
    }


def candidate_version(engine: Engine, filed: FiledReport) -> int | None:
    """The version that a report is about; None where its candidate has no manifest that is installed."""
    versions = engine.store.registry.versions(filed.policy)
    found = [one.version for one in versions if one.manifest_sha == filed.manifest_sha]
    return found[-1] if found else None


def expired(engine: Engine, filed: FiledReport) -> tuple[Reason, ...]:
    """Why a verdict holds no more: another one is live than it was reached against. Empty while it holds."""
    if filed.report.verdict.decision is not Ruling.GO:
        return ()
    store = engine.store
    try:
        live = incumbents_of(store.registry, store.releases, engine.manifests, filed.policy, filed.report.defects)
    except NotFound:
        return ()
    verdicts = [filed.report.verdict.against(incumbent.name) for incumbent in live.values()]
    return next((verdict.reasons for verdict in verdicts if verdict.decision is not Ruling.GO), ())


def estimates_chart(report: EvaluationReport) -> Chart:
    """Every estimate within its interval, the headline first."""
    names = sorted(report.estimates, key=lambda name: name != report.headline)
    found = [report.estimates[name] for name in names]
    ends = [(None, None) if one.interval is None else one.interval for one in found]
    value = Series("estimate", [one.value for one in found], [low for low, _ in ends], [high for _, high in ends])
    return Chart(
        id="estimates",
        title="Mean reward per decision of the candidate, by estimator, with its interval",
        kind=Kind.INTERVALS,
        over="Estimator",
        x=names,
        series=[value],
        unit="reward",
    )


def evidence_chart(trial: TrialRecord) -> Chart:
    """How the evidence grew, and what it had to reach."""
    path = trial.path
    threshold: Sequence[float] = [trial.log_threshold] * len(path)
    return Chart(
        id="evidence",
        title="Evidence that the candidate is better, over the time of the log",
        kind=Kind.LINE,
        over="Until",
        x=[point.until for point in path],
        series=[Series("ln E", [point.log_e for point in path]), Series("needed for a go", threshold)],
    )
