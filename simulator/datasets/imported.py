"""An imported log from the store as a log to replay, and how its rows look to a policy's manifest."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Protocol
from uuid import UUID

import numpy as np
import polars as pl

from cxi_bandit.domain.decision import HOLD, Decision, Defect, Features, Situation, Stage
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.identifiers import DecisionId, InterventionId, ManifestSha
from cxi_bandit.domain.imported import ImportedLayout, ImportedLog
from cxi_bandit.domain.outcome import TrainingRow
from cxi_bandit.policy.eligibility import Eligibility
from cxi_bandit.policy.features import conform
from cxi_bandit.policy.manifest import Manifest
from cxi_bandit.store.postgres.imported_frames import contexts, vectors
from simulator.datasets.columns import AFFINITY, DEFECT, POSITION, laid_over, split_affinities
from simulator.datasets.contexts import Described
from simulator.datasets.log import ReplayLog
from simulator.rounds import Bools, Float64s, Ints, LoggedRounds


class ImportedShelf(Protocol):
    """Where imported logs are read from."""

    def find(self, name: str) -> ImportedLog:
        """Raises NotFound."""
        ...

    def read(self, name: str, rows: range | None = None) -> pl.DataFrame:
        """All rounds in the order they were imported, or those of consecutive numbers."""
        ...

    def layout(self, name: str) -> ImportedLayout:
        """What all of its rounds have."""
        ...


class ImportedContexts:
    """Rows of an imported log for a manifest whose interventions are `hold` and exactly the log's actions.

    The manifest declares one defect, which every row is given at severity and confidence 1; of the log's columns it
    sees those it declares under the same name, the slot as the category `position`, counted from 1, and a user's
    affinity to an action as the intervention feature `affinity`. Eligible is what the log could have drawn: `hold` only
    where it is one of the log's actions.
    """

    def __init__(self, log: ImportedLog, rounds: LoggedRounds, rows: Sequence[Features]) -> None:
        self._log = log
        self._rounds = rounds
        self._contexts = rows
        self._fitting: tuple[Manifest, Eligibility, tuple[InterventionId, ...]] | None = None

    def situation(self, row: int, manifest: Manifest) -> Situation:
        """See `Contexts`."""
        situation = self._logged(row, manifest)
        rules = self._fit(manifest)[1].resolve(situation.defect, situation.context, None).eligible
        eligible = tuple(name for name in situation.eligible if name in rules)
        if not eligible:
            raise InvalidInput("candidate", f"policy {manifest.name} leaves no action of the log eligible at row {row}")
        return Situation(
            defect=situation.defect, context=situation.context, eligible=eligible, offered=situation.offered
        )

    def training_row(self, row: int, manifest: Manifest) -> TrainingRow:
        """See `Contexts`. Everything of the decision that nobody logged is a stand-in that no learner reads."""
        rounds = self._rounds
        when = datetime.fromtimestamp(float(rounds.logged_at[row]), UTC)
        decision = Decision(
            decision_id=DecisionId(UUID(int=row)),
            decided_at=when,
            closes_at=when,
            policy=manifest.policy,
            policy_version=1,
            manifest_sha=ManifestSha(""),
            model_version=None,
            stage=Stage.CANDIDATE,
            surface=manifest.surface,
            subject=None,
            situation=self._logged(row, manifest),
            excluded={},
            probabilities=(),
            intervention=InterventionId(rounds.actions[rounds.action[row]]),
            propensity=float(rounds.propensity[row]),
            draw_key_id="",
            u=0.0,
        )
        return TrainingRow(position=row + 1, decision=decision, reward=float(rounds.reward[row]))

    def take(self, rows: Ints) -> "ImportedContexts":
        """See `Contexts`."""
        return ImportedContexts(self._log, self._rounds.take(rows), [self._contexts[row] for row in rows])

    def described(self, row: int) -> Described:
        """See `Contexts`. An imported log has one surface and one defect; its slot is the feature `position`."""
        plain, _ = split_affinities(self._contexts[row])
        if self._rounds.position is not None:
            plain[POSITION] = str(int(self._rounds.position[row]) + 1)
        return Described("imported", DEFECT, plain)

    def rewarded(self, reward: Float64s) -> "ImportedContexts":
        """See `Contexts`."""
        return ImportedContexts(self._log, replace(self._rounds, reward=reward), self._contexts)

    def _logged(self, row: int, manifest: Manifest) -> Situation:
        actions = self._fit(manifest)[2]
        plain, affinities = split_affinities(self._contexts[row])
        if self._rounds.position is not None:
            plain[POSITION] = str(int(self._rounds.position[row]) + 1)
        context, _ = conform(manifest.context, plain, f"/rows/{row}/context")
        offered: dict[InterventionId, Features] = {}
        if AFFINITY in manifest.intervention_features.features:
            for index, value in affinities.items():
                name = InterventionId(self._rounds.actions[index])
                features = {**manifest.intervention(name).features, AFFINITY: value}
                pointer = f"/rows/{row}/interventions/{name}"
                offered[name] = conform(manifest.intervention_features, features, pointer)[0]
        defect = Defect(type=next(iter(manifest.defects)), severity=1.0, confidence=1.0)
        return Situation(defect=defect, context=context, eligible=self._drawable(row, actions), offered=offered)

    def _drawable(self, row: int, actions: tuple[InterventionId, ...]) -> tuple[InterventionId, ...]:
        """Those that the log could have drawn at `row`; all of them where it does not say."""
        eligible = self._rounds.eligible
        if eligible is None:
            return actions
        known = {name for name, could in zip(self._rounds.actions, eligible[row], strict=True) if could}
        return tuple(name for name in actions if name in known)

    def _fit(self, manifest: Manifest) -> tuple[Manifest, Eligibility, tuple[InterventionId, ...]]:
        if self._fitting is None or self._fitting[0] is not manifest:
            self._fitting = (manifest, Eligibility(manifest), self._actions(manifest))
        return self._fitting

    def _actions(self, manifest: Manifest) -> tuple[InterventionId, ...]:
        """The log's actions in the manifest's order, once it is sure that the two fit."""
        catalogue, known = set(manifest.catalogue) - {HOLD}, set(self._log.actions) - {HOLD}
        if catalogue != known:
            example = min(catalogue ^ known)
            raise InvalidInput(
                "candidate",
                f"policy {manifest.name} does not fit log {self._log.name}: its interventions must be 'hold' and "
                f"exactly the log's {len(known)} actions ({self._log.actions[0]}, ...); {example!r} is in one only",
            )
        if len(manifest.defects) != 1:
            raise InvalidInput(
                "candidate", f"policy {manifest.name} must declare one defect to be asked about an imported log"
            )
        low, high = manifest.reward.min, manifest.reward.max
        if self._rounds.reward.min(initial=low) < low or self._rounds.reward.max(initial=high) > high:
            raise InvalidInput(
                "candidate", f"the log holds rewards outside policy {manifest.name}'s [{low:g}, {high:g}]"
            )
        return tuple(name for name in manifest.catalogue if name in self._log.actions)


READ_ROWS: Final = 16_384
"""Rounds of an imported log that are in memory at a time where it is read in parts."""


@dataclass(frozen=True, eq=False)
class ImportedParts:
    """An imported log, read part by part and never held whole.

    Args:
        shelf: Where it is read from.
        log: What is declared about it.
        layout: What all of its rounds have.
    """

    shelf: ImportedShelf
    log: ImportedLog
    layout: ImportedLayout

    def __len__(self) -> int:
        return self.log.rows

    @property
    def notes(self) -> tuple[str, ...]:
        """As `ReplayLog.notes`."""
        return _notes(self.layout)

    def read(self, rows: int = READ_ROWS) -> Iterator[ReplayLog]:
        """The log's rows in order, at most `rows` at a time, each part as a log of its own."""
        for start in range(0, len(self), rows):
            wanted = range(start, min(start + rows, len(self)))
            yield _log_of(self.log, self.shelf.read(self.log.name, wanted), self.layout, start)


def imported_parts(shelf: ImportedShelf, name: str) -> ImportedParts | None:
    """The log in parts, or None where its rounds were not imported in time order: sorting takes all of them.

    Raises:
        NotFound: No such log.
    """
    log, layout = shelf.find(name), shelf.layout(name)
    return ImportedParts(shelf, log, layout) if layout.in_time_order else None


def read_imported(shelf: ImportedShelf, name: str) -> ReplayLog:
    """An imported log by its time stamps, rows of the same moment in the order they were imported.

    Raises:
        NotFound: No such log.
    """
    log, frame = shelf.find(name), shelf.read(name)
    layout = ImportedLayout(
        clock=frame["logged_at"].null_count() == 0,
        positions=frame["position"].null_count() == 0,
        subjects=frame["subject"].null_count() == 0,
        vectors=frame["probabilities"].null_count() == 0,
        in_time_order=True,
    )
    if layout.clock:
        frame = frame.sort("logged_at", maintain_order=True)
    return _log_of(log, frame, layout, 0)


def _log_of(log: ImportedLog, frame: pl.DataFrame, layout: ImportedLayout, first_row: int) -> ReplayLog:
    """Rounds from `first_row` on of a log whose rounds all have what `layout` says."""
    count = np.arange(first_row, first_row + len(frame), dtype=float)
    probabilities, eligible = _vectors(frame) if layout.vectors else (None, None)
    rounds = LoggedRounds(
        actions=log.actions,
        action=frame["action"].to_numpy(),
        propensity=frame["propensity"].to_numpy(),
        reward=frame["reward"].to_numpy(),
        logged_at=frame["logged_at"].dt.epoch("us").to_numpy() / 1e6 if layout.clock else count,
        # Files count slots from 1, arrays from 0.
        position=frame["position"].to_numpy() - 1 if layout.positions else None,
        subject=frame["subject"].to_numpy() if layout.subjects else None,
        probabilities=probabilities,
        eligible=eligible,
    )
    rows = contexts(frame)
    return ReplayLog(
        name=log.name,
        rounds=rounds,
        reward_range=(log.reward_min, log.reward_max),
        smallest_propensity=log.smallest_propensity,
        contexts=ImportedContexts(log, rounds, rows),
        manifest=laid_over(log, rows),
        notes=_notes(layout),
    )


def _notes(layout: ImportedLayout) -> tuple[str, ...]:
    return () if layout.clock else ("the log has no clock; its order is that of its rows",)


def _vectors(frame: pl.DataFrame) -> tuple[Float64s | None, Bools | None]:
    """The logged vectors and what could be drawn, both of shape (n, K); None where the log has propensities only."""
    found = vectors(frame)
    if found is None:
        return None, None
    matrix = np.array(found, dtype=np.float64)
    eligible: Bools = ~np.isnan(matrix)
    return np.where(eligible, matrix, 0.0), eligible
