"""A manifest as candidate: trained by the real engine on the log's earlier part, judged on the later part alone."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from cxi_bandit.domain.decision import Stage
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.identifiers import ManifestSha, ModelVersion
from cxi_bandit.domain.model import Branch, Lineage, Model
from cxi_bandit.domain.release import PolicyVersion
from cxi_bandit.engine.decide import ServedPolicy
from cxi_bandit.engine.fingerprint import golden_vectors, sha256
from cxi_bandit.engine.learn import derive
from cxi_bandit.engine.ports import ModelRoom
from cxi_bandit.policy.manifest import Manifest, manifest_sha
from cxi_bandit.policy.parsing import parse_manifest
from cxi_bandit.settings import read_text
from simulator.candidates.bulk import Origin
from simulator.candidates.candidate import Prepared
from simulator.candidates.scoring import Scoring, score
from simulator.datasets.log import ReplayLog
from simulator.progress import Track

DEFAULT_TRAIN_FRACTION = 0.5


@dataclass(frozen=True, eq=False)
class ManifestCandidate:
    """`manifest:FILE.toml`.

    Args:
        train_fraction: Share of the log, from its start, that is learned and not evaluated; in (0, 1).
        until: Learns what was decided before this moment instead of a share; aware.
        scoring: How rows are scored; None takes the defaults.
    """

    spec: str
    manifest: Manifest
    sha: ManifestSha
    room: ModelRoom
    train_fraction: float = DEFAULT_TRAIN_FRACTION
    until: datetime | None = None
    scoring: Scoring | None = None
    by_row: bool = field(default=False, init=False)

    @classmethod
    def read(
        cls, spec: str, path: Path, room: ModelRoom, train_fraction: float, scoring: Scoring | None = None
    ) -> "ManifestCandidate":
        """Reads and checks the manifest.

        Raises:
            InvalidInput: The file cannot be read, or the fraction is not in (0, 1).
            ManifestInvalid: A key is wrong.
        """
        if not 0.0 < train_fraction < 1.0:
            raise InvalidInput("train_fraction", f"must lie between 0 and 1, got {train_fraction:g}")
        text = read_text(path, "candidate")
        return cls(spec, parse_manifest(text, path.name), manifest_sha(text), room, train_fraction, scoring=scoring)

    def prepare(self, log: ReplayLog, track: Track) -> Prepared:
        """Learns the first rows in segments as the learner would, then scores the rest with the last model."""
        split = int(len(log) * self.train_fraction)
        if self.until is not None:
            split = int(np.searchsorted(log.rounds.logged_at, self.until.timestamp(), side="left"))
        if not 0 < split < len(log):
            raise InvalidInput(
                "train_fraction", f"leaves no rows to train on or to evaluate on; the log has {len(log)}"
            )
        served, data = self._trained(log, split, track)
        later = log.take(np.arange(split, len(log)))
        prepared = score(later, served, track, Origin(data, self.room), self.scoring)
        until = datetime.fromtimestamp(float(log.rounds.logged_at[split - 1]), UTC)
        note = (
            f"trained on the first {split} rows of the log (until {until:%Y-%m-%d %H:%M:%S} UTC), evaluated on the "
            f"{len(later)} rows after them; no row is used for both"
        )
        return replace(prepared, notes=(note, *prepared.notes))

    def _trained(self, log: ReplayLog, split: int, track: Track) -> tuple[ServedPolicy, bytes]:
        manifest, room = self.manifest, self.room
        data = derive(room, manifest, None, [])
        with track("Training the candidate", split) as advance:
            for start in range(0, split, manifest.learning.segment_outcomes):
                end = min(start + manifest.learning.segment_outcomes, split)
                rows = [log.contexts.training_row(row, manifest).lesson for row in range(start, end)]
                data = derive(room, manifest, data, rows)
                advance(end - start)
        scorer = room.load(manifest, data)
        now = datetime.now(UTC)
        release = PolicyVersion(
            policy=manifest.policy, version=1, manifest_sha=self.sha, stage=Stage.CANDIDATE, created_at=now
        )
        lineage = Lineage(
            policy=manifest.policy,
            policy_version=1,
            version=ModelVersion(1),
            branch=Branch.MAIN,
            parent=None,
            manifest_sha=self.sha,
            vw_build=room.build,
            after=0,
            up_to=split,
            ledger_cut=0,
            erasure_cut=0,
            learned=split,
            learned_total=split,
        )
        golden = golden_vectors(manifest, scorer)
        model = Model(lineage=lineage, sha256=sha256(data), size_bytes=len(data), golden=golden, created_at=now)
        return ServedPolicy(release, manifest, model, scorer), data
