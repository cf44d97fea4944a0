"""A sitting: the bets that have matured are placed, the state is kept, the report is filed with its verdict."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from math import log

import msgspec

from cxi_bandit.domain.alpha_ledger import Spending
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.evaluation import GuardrailStanding, TrialRecord
from cxi_bandit.domain.gate import Reason
from cxi_bandit.domain.identifiers import ManifestSha
from cxi_bandit.engine.ports import Evaluations
from cxi_bandit.evidence.contrast import BoundExceeded
from simulator.gate.guardrails import standings
from simulator.gate.path import daily
from simulator.gate.trial import opened
from simulator.gate.verdict import refusal
from simulator.replay import Replay
from simulator.trials.docket import Docket, ProposalState, TrialState
from simulator.trials.weighing import Weighed


def close_sitting(
    docket: Docket, weighed: Sequence[Weighed], evaluations: Evaluations, now: datetime
) -> list[tuple[int, Replay]]:
    """Spends the proposal's share if it has none yet, hears all candidates, keeps the state, files the reports.

    The same rows heard in many sittings give the same evidence, bit for bit, as in one.

    Returns:
        For each candidate the id of its filed report, and the report with the gate's verdict and trial.

    Raises:
        EvidenceConflict: Another sitting was kept meanwhile; nothing but the spending was written.
        InvalidInput: The proposal has spent its share on other terms.
    """
    spending = docket.spending or evaluations.spend(
        docket.policy,
        docket.proposal,
        alpha=docket.rule.alpha,
        incumbent=docket.incumbent.name,
        candidates=len(weighed),
        at=now,
    )
    if spending.candidates != len(weighed):
        raise InvalidInput("candidate", f"{docket.proposal!r} is about {spending.candidates} candidates")
    heard = [_heard(docket, found, spending, now) for found in weighed]
    states = {found.name: state for found, (state, _) in zip(weighed, heard, strict=True)}
    if docket.sitting == 0 or states != docket.known:
        text = msgspec.json.encode(ProposalState(candidates=states, defects=docket.defects)).decode()
        evaluations.sit(docket.policy, docket.proposal, docket.sitting + 1, text, now)
    answers = []
    for found, (state, refusals) in zip(weighed, heard, strict=True):
        report = msgspec.structs.replace(
            found.replay.report,
            verdict=state.trial.verdict(docket.incumbent.name, refusals),
            trial=record(state, found.clipped),
            defects=docket.defects,
        )
        sha = found.prepared.manifest_sha
        number = evaluations.save(
            report,
            policy=docket.policy,
            manifest_sha=None if sha is None else ManifestSha(sha),
            model_version=found.model_version,
            at=now,
        )
        answers.append((number, replace(found.replay, report=report)))
    return answers


def _heard(docket: Docket, found: Weighed, spending: Spending, now: datetime) -> tuple[TrialState, tuple[Reason, ...]]:
    """The candidate's state after this sitting. Nothing is heard once the incumbent has changed, or of a bad log."""
    state = found.state or TrialState(
        trial=opened(
            docket.rule,
            spending,
            bounds=found.bounds,
            opened_at=found.opened_at,
            horizon_seconds=docket.incumbent.manifest.reward.horizon_seconds,
        ),
        manifest_sha=found.prepared.manifest_sha,
        model_sha=found.prepared.model_sha,
        judged_from=found.judged_from,
    )
    if found.rows is None or spending.expired(docket.incumbent.name):
        return state, found.refusals
    try:
        after = state.trial.hear(found.rows, min(now, docket.closed.through))
        path = daily(state.trial, after, found.rows)
    except BoundExceeded as error:
        return state, (*found.refusals, refusal(error))
    return msgspec.structs.replace(state, trial=after, path=(*state.path, *path)), found.refusals


def record(state: TrialState, clipped: int) -> TrialRecord:
    """The trial as the report keeps it."""
    trial = state.trial
    threshold = log(trial.spending.threshold)
    return TrialRecord(
        proposal=trial.spending.proposal,
        ordinal=trial.spending.ordinal,
        candidates=trial.spending.candidates,
        alpha=trial.spending.alpha,
        log_threshold=threshold,
        incumbent=trial.spending.incumbent,
        opened_at=trial.opened_at,
        heard_until=trial.heard_until,
        days=trial.days,
        units=trial.primary.end.units,
        anonymous=trial.anonymous,
        latecomers=trial.latecomers,
        clipped=clipped,
        log_e=trial.primary.log_e,
        guardrails=tuple(
            GuardrailStanding(
                metric=standing.metric, margin=standing.margin, log_e=standing.log_e, passed=standing.passed
            )
            for standing in standings(trial.rule.guardrails, trial.guardrails, threshold)
        ),
        path=state.path,
    )
