"""The live decision log of a policy, joined with its outcomes, as a log to replay."""

from collections.abc import Mapping, Sequence

import numpy as np

from cxi_bandit.domain.decision import Decision
from cxi_bandit.domain.errors import ModelInvalid, NotFound
from cxi_bandit.domain.identifiers import ManifestSha, PolicyName
from cxi_bandit.domain.outcome import AsOf, LoggedOutcome, OutcomeStanding, TrainingRow
from cxi_bandit.engine.audit import DecisionAudit
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.ports import OutcomeLog, RewardLedger
from cxi_bandit.policy.manifest import Manifest
from simulator.datasets.history import evidence, read_history
from simulator.datasets.live_contexts import LiveContexts
from simulator.datasets.log import ReplayLog, Shown
from simulator.datasets.snapshot import Reach, stood
from simulator.datasets.versions import POOLING_BUDGET, logging_versions, pooled
from simulator.progress import Track, silent
from simulator.rounds import Floats, LoggedRounds

BATCH = 5000


def read_live_log(
    policy: PolicyName,
    outcomes: OutcomeLog,
    manifests: Manifests,
    audit: DecisionAudit | None,
    track: Track = silent,
    *,
    reach: Reach | None = None,
    ledger: RewardLedger | None = None,
    pooling: float = POOLING_BUDGET,
) -> ReplayLog:
    """Every closed decision of a policy with its reward as known at a cut, in decision order.

    Args:
        audit: Executes each decision again, for the check that the log tells the truth, and scores every row with every
            logging version; None leaves both out.
        reach: How far to read; None reads as far as there is.
        ledger: Brings the raw reward events along, for relabelling and other horizons; None leaves them out.
        pooling: Most scorings (versions x rows) done for `balanced`.

    Raises:
        NotFound: The policy has no closed decision yet.
        InvalidInput: `reach` names what there is not yet.
    """
    snapshot = stood(policy, outcomes, reach)
    closes = _closes(policy, outcomes, snapshot.as_of, track)
    rows = [close for close in closes if close.standing is OutcomeStanding.LEARNABLE]
    if not rows:
        raise NotFound("log", policy)
    decisions = [row.decision for row in rows]
    by_sha = {decision.manifest_sha: manifests.by_sha(decision.manifest_sha) for decision in decisions}
    newest = by_sha[decisions[-1].manifest_sha]
    # Closes that do not count may have been drawn under a manifest that no row that counts was.
    every = [newest, *by_sha.values(), *(manifests.by_sha(close.decision.manifest_sha) for close in closes)]
    actions = tuple(dict.fromkeys(name for manifest in every for name in manifest.catalogue))
    contexts = LiveContexts([_training_row(row) for row in rows], by_sha)
    versions = logging_versions(decisions)
    if audit is not None:
        versions = pooled(versions, decisions, contexts, audit, track, pooling)
    lows, highs = zip(*((manifest.reward.min, manifest.reward.max) for manifest in by_sha.values()), strict=True)
    cut = snapshot.as_of.ledger_cut, snapshot.taken_at
    return ReplayLog(
        name=policy,
        rounds=_rounds(rows, actions),
        reward_range=(min(lows), max(highs)),
        contexts=contexts,
        manifest=newest,
        rescored=None if audit is None else _rescored(decisions, actions, audit, track),
        smallest_propensity=min(manifest.exploration.lowest_floor for manifest in by_sha.values()),
        policy=policy,
        notes=_notes(closes, rows),
        snapshot=snapshot,
        completed=np.array([row.completed for row in rows]),
        evidence=evidence([(row.decision, row.reward, row.completed) for row in rows], by_sha),
        shown=_shown(closes, actions, by_sha),
        versions=versions,
        history=None if ledger is None else read_history(decisions, by_sha, ledger, cut, track),
    )


def _closes(policy: PolicyName, outcomes: OutcomeLog, as_of: AsOf, track: Track) -> list[LoggedOutcome]:
    rows: list[LoggedOutcome] = []
    with track("Reading the decision log", as_of.position) as advance:
        while batch := outcomes.scan(policy, rows[-1].position if rows else 0, BATCH, as_of, unlearnable=True):
            rows += batch
            advance(len(batch))
    return sorted(rows, key=lambda row: row.decision.decision_id)


def _training_row(row: LoggedOutcome) -> TrainingRow:
    return TrainingRow(position=row.position, decision=row.decision, reward=row.reward)


def _shown(
    closes: Sequence[LoggedOutcome], actions: tuple[str, ...], by_sha: Mapping[ManifestSha, Manifest]
) -> Shown | None:
    """Activations, unless nobody reports any and no manifest asks for them."""
    asked = any(manifest.reward.counts_when == "activated" for manifest in by_sha.values())
    if not asked and not any(close.activated for close in closes):
        return None
    index = {name: column for column, name in enumerate(actions)}
    return Shown(
        action=np.array([index[close.decision.intervention] for close in closes], dtype=np.intp),
        logged_at=np.array([close.decision.decided_at.timestamp() for close in closes]),
        activated=np.array([close.activated for close in closes]),
    )


def _rounds(rows: Sequence[LoggedOutcome], actions: tuple[str, ...]) -> LoggedRounds:
    index = {name: column for column, name in enumerate(actions)}
    probabilities = np.zeros((len(rows), len(actions)))
    eligible = np.zeros((len(rows), len(actions)), dtype=np.bool_)
    for number, row in enumerate(rows):
        columns = [index[name] for name in row.decision.situation.eligible]
        probabilities[number, columns] = row.decision.probabilities
        eligible[number, columns] = True
    decisions = [row.decision for row in rows]
    anonymous = all(decision.subject is None for decision in decisions)
    return LoggedRounds(
        actions=actions,
        action=np.array([index[decision.intervention] for decision in decisions], dtype=np.intp),
        propensity=np.array([decision.propensity for decision in decisions]),
        reward=np.array([row.reward for row in rows]),
        logged_at=np.array([decision.decided_at.timestamp() for decision in decisions]),
        subject=None if anonymous else np.array([_code(decision) for decision in decisions], dtype=np.int64),
        probabilities=probabilities,
        eligible=eligible,
    )


def _code(decision: Decision) -> int:
    """64 bits of the shopper's pseudonym, or where none is known of the decision's id: such a row is its own unit."""
    source = decision.decision_id.bytes[8:] if decision.subject is None else decision.subject[:8]
    return int.from_bytes(source, "big", signed=True)


def _rescored(decisions: Sequence[Decision], actions: tuple[str, ...], audit: DecisionAudit, track: Track) -> Floats:
    index = {name: column for column, name in enumerate(actions)}
    matrix = np.zeros((len(decisions), len(actions)))
    with track("Executing the log's decisions again", len(decisions)) as advance:
        for number, decision in enumerate(decisions):
            try:
                again = audit.audit(decision).probabilities
            except (ModelInvalid, NotFound):
                again = None
            if again is None:
                matrix[number] = np.nan
            else:
                matrix[number, [index[name] for name in decision.situation.eligible]] = again
            advance(1)
    return matrix


def _notes(closes: Sequence[LoggedOutcome], rows: Sequence[LoggedOutcome]) -> tuple[str, ...]:
    notes = []
    if anonymous := sum(row.decision.subject is None for row in rows):
        notes.append(
            f"{anonymous} of {len(rows)} decisions name no shopper; each of them counts as a shopper of its own"
        )
    if left_out := len(closes) - len(rows):
        notes.append(
            f"{left_out} of {len(closes)} closed decisions do not count under their manifest (never activated, or "
            "overridden) and are left out; what is estimated is the reward of those that count"
        )
    return tuple(notes)
