"""A curriculum: which rows of a segment a model learns, and how those of other manifests are put into its terms."""

from datetime import timedelta

import msgspec

from cxi_bandit.domain.decision import Features, Situation
from cxi_bandit.domain.identifiers import ManifestSha, minted_at
from cxi_bandit.domain.model import Lineage
from cxi_bandit.domain.outcome import Lesson
from cxi_bandit.domain.reward import LedgerEntry
from cxi_bandit.engine.ports import Segment
from cxi_bandit.policy.manifest import Manifest, Schema
from cxi_bandit.policy.settlement import settle


class Curriculum:
    """What a model of a manifest learns of a segment.

    The rows decided under the very same manifest as they stand; those of other manifests, which have other catalogues
    and reward ranges, only where the lineage names them, and then settled anew by the manifest's own rules.
    """

    def __init__(self, manifest: Manifest, sha: ManifestSha, taught_from: tuple[ManifestSha, ...] = ()) -> None:
        self.taught_from = taught_from
        self._manifest = manifest
        self._sha = sha
        self._others = frozenset(taught_from)
        self._catalogue = {name: place for place, name in enumerate(manifest.catalogue)}
        self._horizon = timedelta(seconds=manifest.reward.horizon_seconds)

    @classmethod
    def of(cls, lineage: Lineage, manifest: Manifest) -> "Curriculum":
        """That of a model."""
        return cls(manifest, lineage.manifest_sha, lineage.taught_from)

    @property
    def settles(self) -> bool:
        """Whether it needs the reward events of a segment."""
        return bool(self._others)

    def admits(self, row: Lesson) -> bool:
        """Whether a row is learned: a defect or an intervention that the manifest does not know cannot be."""
        if row.manifest_sha == self._sha:
            return True
        return (
            row.manifest_sha in self._others
            and row.situation.defect.type in self._manifest.defects
            and self._catalogue.keys() >= set(row.situation.eligible)
        )

    def lessons(self, segment: Segment) -> list[Lesson]:
        """What is learned of a segment, in order; the segment holds what was heard where `settles` asks for it."""
        return [
            row if row.manifest_sha == self._sha else self._converted(row, segment.heard.get(row.decision_id, []))
            for row in segment.rows
            if self.admits(row)
        ]

    def _converted(self, row: Lesson, heard: list[LedgerEntry]) -> Lesson:
        """In the manifest's own order, as another one gives a model other bytes, with the reward that it would give."""
        manifest, seen = self._manifest, row.situation
        decided_at = minted_at(row.decision_id)
        settlement = settle(manifest, row.intervention, (decided_at, decided_at + self._horizon), heard)
        described = manifest.intervention_features
        situation = Situation(
            defect=seen.defect,
            context=_ordered(manifest.context, seen.context),
            eligible=tuple(sorted(seen.eligible, key=self._catalogue.__getitem__)),
            offered={name: _ordered(described, features) for name, features in seen.offered.items()},
        )
        return msgspec.structs.replace(row, situation=situation, reward=settlement.reward)


def _ordered(schema: Schema, features: Features) -> Features:
    return {name: features[name] for name in schema.features if name in features}
