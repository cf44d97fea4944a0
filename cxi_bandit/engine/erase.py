"""Erase: everything decided for a shopper, the models that learned it named, and a certificate that names nobody."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from cxi_bandit.domain.erasure import Certificate, Erasure, ErasureRecord, PolicyErasure
from cxi_bandit.domain.identifiers import DecisionId, ModelVersion, PolicyName
from cxi_bandit.domain.model import Model
from cxi_bandit.engine.ports import DecisionLog, OutcomeLog, Privacy, Rebuilds, Registry

ErasureStep = Callable[[bytes, datetime], Mapping[str, int]]
"""Removes what else is kept of a pseudonym up to a moment, safe to call again; says how many rows of which table."""

LATECOMERS: Final = timedelta(days=7)
"""For so long after an erasure, what was decided before it may still arrive from a spool."""


def erase(
    subject: bytes,
    at: datetime,
    decisions: DecisionLog,
    outcomes: OutcomeLog,
    privacy: Privacy,
    *,
    steps: Sequence[ErasureStep] = (),
) -> tuple[list[Erasure], dict[str, int]]:
    """Erases everything decided for a pseudonym until `at`, over all policies, and told of it. Safe to call again.

    The pseudonym is suppressed first: what was decided before and is still on its way is erased when it has arrived.

    Returns:
        The numbered erasures, one of each policy that had decisions, and the rows that the further steps removed.
    """
    privacy.suppress(subject, at)
    made = _erased(decisions.of_subject(subject, at), at, outcomes)
    other: dict[str, int] = {}
    for step in (outcomes.forget_shopper, *steps):
        for table, rows in step(subject, at).items():
            if rows:
                other[table] = other.get(table, 0) + rows
    return made, other


def forget_latecomers(now: datetime, decisions: DecisionLog, outcomes: OutcomeLog, privacy: Privacy) -> list[Erasure]:
    """Erases what was decided for a shopper before an erasure of the last days and has arrived since."""
    made = []
    for subject, erased_at in privacy.recently_suppressed(now - LATECOMERS).items():
        made += _erased(decisions.of_subject(subject, erased_at), now, outcomes)
        outcomes.forget_shopper(subject, erased_at)
    return made


def _erased(found: Mapping[PolicyName, Sequence[DecisionId]], at: datetime, outcomes: OutcomeLog) -> list[Erasure]:
    made = []
    for policy, names in sorted(found.items()):
        number = outcomes.erase(policy, names, at)
        made.append(outcomes.erasure(policy, number))
    return made


def affected(erasure: Erasure, models: Iterable[Model]) -> list[ModelVersion]:
    """The models that had learned something of what went, or were derived from one that had; by version."""
    found: set[ModelVersion] = set()
    for model in sorted(models, key=lambda model: model.lineage.version):
        lineage = model.lineage
        knew = lineage.erasure_cut >= erasure.number
        learned = any(lineage.after < position <= lineage.up_to for position in erasure.learnable)
        if lineage.parent in found or (learned and not knew):
            found.add(lineage.version)
    return sorted(found)


def certify(
    erasures: Sequence[Erasure],
    other: Mapping[str, int],
    reason: str,
    until: datetime,
    at: datetime,
    *,
    registry: Registry,
    rebuilds: Rebuilds,
    privacy: Privacy,
) -> Certificate:
    """Says what was erased, keeps that for good, and returns it.

    Made after the rebuild, it names the models that replaced those affected; made before, the request that waits.

    Args:
        until: Everything decided until then went.
    """
    record = ErasureRecord(
        issued_at=at,
        reason=reason,
        decided_until=until,
        policies=tuple(_policy(erasure, registry, rebuilds) for erasure in erasures),
        other=dict(other),
    )
    # Sorted and without spaces, so that whoever has parsed it can write the very text again and check the sum.
    document = msgspec.json.encode(record, order="sorted")
    certificate = Certificate(sha256=hashlib.sha256(document).hexdigest(), document=document.decode())
    privacy.file(certificate)
    return certificate


def _policy(erasure: Erasure, registry: Registry, rebuilds: Rebuilds) -> PolicyErasure:
    asked = f"erasure {erasure.number}"
    request = next(request for request in rebuilds.history(erasure.policy) if request.reason == asked)
    return PolicyErasure(
        policy=erasure.policy,
        erasure_number=erasure.number,
        decisions=erasure.removed.get("decisions", 0),
        removed=erasure.removed,
        models_affected=tuple(affected(erasure, registry.models(erasure.policy))),
        rebuild_request=request.request_id,
        replaced_by=request.models or (),
    )
