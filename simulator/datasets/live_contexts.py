"""The situations of a live log's decisions, as a policy's manifest sees them."""

from collections.abc import Mapping, Sequence

import msgspec

from cxi_bandit.domain.decision import Decision, Offer, Situation
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.identifiers import ManifestSha
from cxi_bandit.domain.outcome import TrainingRow
from cxi_bandit.policy.eligibility import NOTHING_WITHHELD, Eligibility, Withheld, less
from cxi_bandit.policy.features import conform
from cxi_bandit.policy.manifest import Manifest
from simulator.datasets.contexts import Described
from simulator.rounds import Float64s, Ints

_NOT_OFFERED = "not among the caller's candidates"


class LiveContexts:
    """The situations of logged decisions: as logged under the manifest that logged them, conformed under another."""

    def __init__(self, rows: Sequence[TrainingRow], manifests: Mapping[ManifestSha, Manifest]) -> None:
        self._rows = rows
        self._manifests = manifests
        self._rules: tuple[Manifest, Eligibility] | None = None
        self._own_rules: dict[ManifestSha, Eligibility] = {}

    def situation(self, row: int, manifest: Manifest) -> Situation:
        """The logged situation, or under another manifest the same context under that one's schema and rules.

        What a limit kept from being drawn then could not have been drawn by anyone.
        """
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
        found = self._eligibility(manifest).resolve(logged.defect, context, _offers(decision, manifest))
        eligible, _ = less(found, self._withheld(decision))
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

    def described(self, row: int) -> Described:
        """See `Contexts`."""
        decision = self._rows[row].decision
        return Described(decision.surface, decision.situation.defect.type, decision.situation.context)

    def rewarded(self, reward: Float64s) -> "LiveContexts":
        """See `Contexts`."""
        return self.with_rewards(reward.tolist())

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

    def _withheld(self, decision: Decision) -> Withheld:
        """What the rules of the decision's own manifest had left, and a limit took."""
        if not decision.excluded:
            return NOTHING_WITHHELD
        manifest, logged = self._manifests[decision.manifest_sha], decision.situation
        rules = self._own_rules.get(decision.manifest_sha)
        if rules is None:
            rules = self._own_rules[decision.manifest_sha] = Eligibility(manifest)
        ruled = rules.resolve(logged.defect, logged.context, _offers(decision, manifest)).eligible
        return {name: decision.excluded[name] for name in ruled if name in decision.excluded}

    def _eligibility(self, manifest: Manifest) -> Eligibility:
        # One candidate is asked about at a time: the last manifest's rules are enough to keep.
        if self._rules is None or self._rules[0] is not manifest:
            self._rules = (manifest, Eligibility(manifest))
        return self._rules[1]


def _offers(decision: Decision, manifest: Manifest) -> tuple[Offer, ...] | None:
    """What the caller allowed, as far as the row tells; None when it left the choice open."""
    if _NOT_OFFERED not in decision.excluded.values():
        return None
    barred = {name for name, rule in decision.excluded.items() if rule == _NOT_OFFERED}
    return tuple(Offer(id=name) for name in manifest.catalogue if name not in barred)


def _with_situation(decision: Decision, situation: Situation) -> Decision:
    return msgspec.structs.replace(decision, situation=situation)
