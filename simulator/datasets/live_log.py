"""The live decision log of a policy, joined with its outcomes, as a log to replay."""

from collections.abc import Sequence

import msgspec
import numpy as np

from cxi_bandit.domain.decision import Decision, Offer, Situation
from cxi_bandit.domain.errors import InvalidInput, ModelInvalid, NotFound
from cxi_bandit.domain.identifiers import ManifestSha, PolicyName
from cxi_bandit.domain.outcome import TrainingRow
from cxi_bandit.engine.audit import DecisionAudit
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.ports import OutcomeLog
from cxi_bandit.policy.eligibility import Eligibility
from cxi_bandit.policy.features import conform
from cxi_bandit.policy.manifest import Manifest
from simulator.datasets.log import ReplayLog
from simulator.progress import Track, silent
from simulator.rounds import Floats, Ints, LoggedRounds

BATCH = 5000
_NOT_OFFERED = "not among the caller's candidates"


class LiveContexts:
    """The situations of logged decisions: as logged under the manifest that logged them, conformed under another."""

    def __init__(self, rows: Sequence[TrainingRow], manifests: dict[ManifestSha, Manifest]) -> None:
        self._rows = rows
        self._manifests = manifests
        self._rules: tuple[Manifest, Eligibility] | None = None

    def situation(self, row: int, manifest: Manifest) -> Situation:
        """The logged situation, or under another manifest the same context under that one's schema and rules."""
        decision = self._rows[row].decision
        logged = decision.situation
        if self._manifests[decision.manifest_sha] == manifest:
            return logged
        if logged.defect.type not in manifest.defects:
            raise InvalidInput(
                "candidate", f"policy {manifest.name} knows no defect {logged.defect.type!r}; the log does"
            )
        context, _ = conform(manifest.context, logged.context, f"/rows/{row}/context")
        offered = {
            name: conform(manifest.intervention_features, features, f"/rows/{row}/interventions/{name}")[0]
            for name, features in logged.offered.items()
            if name in manifest.catalogue
        }
        eligible, _ = self._eligibility(manifest).resolve(logged.defect, context, _offers(decision, manifest))
        return Situation(defect=logged.defect, context=context, eligible=eligible, offered=offered)

    def training_row(self, row: int, manifest: Manifest) -> TrainingRow:
        """The row itself; under another manifest with the context conformed and what was eligible left as it was."""
        training = self._rows[row]
        decision = training.decision
        if self._manifests[decision.manifest_sha] == manifest:
            return training
        for name in decision.situation.eligible:
            if name not in manifest.catalogue:
                raise InvalidInput(
                    "candidate", f"policy {manifest.name} has no intervention {name!r}; the log drew from it"
                )
        seen = self.situation(row, manifest)
        situation = Situation(
            defect=seen.defect, context=seen.context, eligible=decision.situation.eligible, offered=seen.offered
        )
        return TrainingRow(
            position=training.position, decision=_with_situation(decision, situation), reward=training.reward
        )

    def take(self, rows: Ints) -> "LiveContexts":
        """The contexts of those rows."""
        return LiveContexts([self._rows[row] for row in rows], self._manifests)

    @property
    def rows(self) -> Sequence[TrainingRow]:
        """The rows as they were logged."""
        return self._rows

    def manifest_of(self, row: int) -> Manifest:
        """The manifest that logged the row."""
        return self._manifests[self._rows[row].decision.manifest_sha]

    def with_rewards(self, rewards: Sequence[float]) -> "LiveContexts":
        """The same rows with other rewards, one a row."""
        rows = [msgspec.structs.replace(row, reward=reward) for row, reward in zip(self._rows, rewards, strict=True)]
        return LiveContexts(rows, self._manifests)

    def _eligibility(self, manifest: Manifest) -> Eligibility:
        # One candidate is asked about at a time: the last manifest's rules are enough to keep.
        if self._rules is None or self._rules[0] is not manifest:
            self._rules = (manifest, Eligibility(manifest))
        return self._rules[1]


def read_live_log(
    policy: PolicyName,
    outcomes: OutcomeLog,
    manifests: Manifests,
    audit: DecisionAudit | None,
    track: Track = silent,
) -> ReplayLog:
    """Every closed decision of a policy with its reward as known now, in decision order.

    Args:
        audit: Executes each decision again, for the check that the log tells the truth; None leaves the check out.

    Raises:
        NotFound: The policy has no closed decision yet.
    """
    rows = _rows(policy, outcomes, track)
    if not rows:
        raise NotFound("log", policy)
    by_sha = {row.decision.manifest_sha: manifests.by_sha(row.decision.manifest_sha) for row in rows}
    newest = by_sha[rows[-1].decision.manifest_sha]
    actions = tuple(dict.fromkeys(name for manifest in [newest, *by_sha.values()] for name in manifest.catalogue))
    rounds = _rounds(rows, actions)
    rescored = None if audit is None else _rescored(rows, actions, audit, track)
    lows, highs = zip(*((manifest.reward.min, manifest.reward.max) for manifest in by_sha.values()), strict=True)
    return ReplayLog(
        name=policy,
        rounds=rounds,
        reward_range=(min(lows), max(highs)),
        contexts=LiveContexts(rows, by_sha),
        manifest=newest,
        rescored=rescored,
        smallest_propensity=min(_floor(manifest) for manifest in by_sha.values()),
        policy=policy,
        notes=_notes(rows),
    )


def _floor(manifest: Manifest) -> float:
    return min(manifest.exploration.floor, manifest.exploration.hold_floor)


def _rows(policy: PolicyName, outcomes: OutcomeLog, track: Track) -> list[TrainingRow]:
    rows: list[TrainingRow] = []
    with track("Reading the decision log", outcomes.head(policy)) as advance:
        while batch := outcomes.scan(policy, rows[-1].position if rows else 0, BATCH):
            rows += batch
            advance(len(batch))
    return sorted(rows, key=lambda row: row.decision.decision_id)


def _rounds(rows: Sequence[TrainingRow], actions: tuple[str, ...]) -> LoggedRounds:
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


def _rescored(rows: Sequence[TrainingRow], actions: tuple[str, ...], audit: DecisionAudit, track: Track) -> Floats:
    index = {name: column for column, name in enumerate(actions)}
    matrix = np.zeros((len(rows), len(actions)))
    with track("Executing the log's decisions again", len(rows)) as advance:
        for number, row in enumerate(rows):
            try:
                again = audit.audit(row.decision).probabilities
            except (ModelInvalid, NotFound):
                again = None
            if again is None:
                matrix[number] = np.nan
            else:
                matrix[number, [index[name] for name in row.decision.situation.eligible]] = again
            advance(1)
    return matrix


def _offers(decision: Decision, manifest: Manifest) -> tuple[Offer, ...] | None:
    """What the caller allowed, as far as the row tells; None when it left the choice open."""
    if _NOT_OFFERED not in decision.excluded.values():
        return None
    barred = {name for name, rule in decision.excluded.items() if rule == _NOT_OFFERED}
    return tuple(Offer(id=name) for name in manifest.catalogue if name not in barred)


def _with_situation(decision: Decision, situation: Situation) -> Decision:
    return msgspec.structs.replace(decision, situation=situation)


def _notes(rows: Sequence[TrainingRow]) -> tuple[str, ...]:
    anonymous = sum(row.decision.subject is None for row in rows)
    if not anonymous:
        return ()
    return (f"{anonymous} of {len(rows)} decisions name no shopper; each of them counts as a shopper of its own",)
