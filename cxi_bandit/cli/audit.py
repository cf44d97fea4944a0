"""`cxi-bandit audit`: models derived again, decisions executed again, outcomes settled again, compared bit for bit."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import rich_click as click

from cxi_bandit.bootstrap import Engine, build_engine
from cxi_bandit.bootstrap.database import open_store
from cxi_bandit.cli.options import show_json, show_table
from cxi_bandit.cli.progress import Track, bars
from cxi_bandit.cli.rebuild import known_policy
from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.identifiers import DecisionId, PolicyName
from cxi_bandit.engine.audit import AuditVerdict, DecisionAudit, audit_models
from cxi_bandit.engine.audit_outcomes import audit_outcomes
from cxi_bandit.settings import read_settings

_CHUNK: Final = 2000
_REFUSED: Final = 1


class ModelAudit(msgspec.Struct, frozen=True, kw_only=True):
    """One model version: what its lineage says, and whether its bytes follow from it."""

    policy: PolicyName
    version: int
    branch: str
    segment: tuple[int, int]
    ledger_cut: int
    learned: int
    sha256: str
    verdict: AuditVerdict


class PolicyAudit(msgspec.Struct, frozen=True, kw_only=True):
    """What the audit found of one policy: its models one by one, its decisions and outcomes counted by verdict."""

    policy: PolicyName
    models: list[ModelAudit]
    decisions: dict[AuditVerdict, int]
    different_decisions: list[DecisionId]
    outcomes: dict[AuditVerdict, int]
    different_outcomes: list[int]


class AuditReport(msgspec.Struct, frozen=True):
    """The whole audit. It passes when nothing is `different`; what is unverifiable says why."""

    passed: bool
    policies: list[PolicyAudit]


def audit(policy: str | None, most: int, all_decisions: bool, as_json: bool, **options: Any) -> int:  # noqa: ANN401 - settings of any type
    """The work of `cxi-bandit audit`."""
    track = bars(as_json=as_json)
    with open_store(read_settings(**options)) as store:
        engine = build_engine(store)
        names = sorted({version.policy for version in store.registry.versions()})
        if policy is not None:
            names = [known_policy(engine, policy)]
        found = [_audited(engine, name, None if all_decisions else most, track) for name in names]
    report = AuditReport(all(_passed(entry) for entry in found), found)
    if as_json:
        show_json(report)
    else:
        _show(report)
    return 0 if report.passed else _REFUSED


def _audited(engine: Engine, policy: PolicyName, most: int | None, track: Track) -> PolicyAudit:
    store = engine.store
    models = store.registry.models(policy)
    audited = []
    with track(f"{policy}: models", len(models)) as advance:
        for finding in audit_models(models, store.registry, store.outcomes, engine.manifests, engine.room):
            lineage = finding.model.lineage
            audited.append(
                ModelAudit(
                    policy=policy,
                    version=lineage.version,
                    branch=lineage.branch.value,
                    segment=(lineage.after, lineage.up_to),
                    ledger_cut=lineage.ledger_cut,
                    learned=lineage.learned,
                    sha256=finding.model.sha256,
                    verdict=finding.verdict,
                )
            )
            advance(1)
    judge = DecisionAudit(store.registry, store.releases, engine.manifests, store.keyring, engine.room, store.outcomes)
    verdicts: Counter[AuditVerdict] = Counter()
    settled: Counter[AuditVerdict] = Counter()
    different: list[DecisionId] = []
    otherwise: list[int] = []
    with track(f"{policy}: decisions", most) as advance:
        for decision in _decisions(engine, policy, most):
            verdict = judge.audit(decision).verdict
            verdicts[verdict] += 1
            if verdict is AuditVerdict.DIFFERENT:
                different.append(decision.decision_id)
            for outcome in audit_outcomes([decision], store.ledger, store.outcomes, engine.manifests):
                settled[outcome.verdict] += 1
                if outcome.verdict is AuditVerdict.DIFFERENT:
                    otherwise.append(outcome.revision.position)
            advance(1)
        advance(0, verdicts.total())
    return PolicyAudit(
        policy=policy,
        models=audited,
        decisions=dict(verdicts),
        different_decisions=different,
        outcomes=dict(settled),
        different_outcomes=otherwise,
    )


def _decisions(engine: Engine, policy: PolicyName, most: int | None) -> Iterator[Decision]:
    """The latest `most` decisions, newest last; all of them when `most` is None."""
    if most is not None:
        yield from engine.store.decisions.latest(policy, most)
        return
    after = None
    while chunk := engine.store.decisions.scan(policy, after, _CHUNK):
        yield from chunk
        after = chunk[-1].decision_id


def _passed(entry: PolicyAudit) -> bool:
    if entry.different_decisions or entry.different_outcomes:
        return False
    return all(model.verdict is not AuditVerdict.DIFFERENT for model in entry.models)


def _show(report: AuditReport) -> None:
    rows = []
    for entry in report.policies:
        models = Counter(model.verdict for model in entry.models)
        learned = sum(model.learned for model in entry.models)
        again = [_counted(Counter(found)) for found in (models, entry.decisions, entry.outcomes)]
        rows.append((entry.policy, learned, *again))
    columns = ("policy", "outcomes learned", "models derived", "decisions executed", "outcomes settled")
    show_table("Audit, done again: nothing differs" if report.passed else "Audit: DIFFERENCES FOUND", columns, rows)
    for entry in report.policies:
        for model in entry.models:
            if model.verdict is AuditVerdict.DIFFERENT:
                click.echo(f"model {entry.policy}@{model.version} is not what its lineage gives", err=True)
        for decision in entry.different_decisions:
            click.echo(f"decision {decision} is not what its row gives", err=True)
        for position in entry.different_outcomes:
            click.echo(f"outcome {entry.policy}/{position} is not what the ledger gives", err=True)


def _counted(verdicts: Counter[AuditVerdict]) -> str:
    return ", ".join(f"{number} {verdict.value}" for verdict, number in sorted(verdicts.items())) or "none"
