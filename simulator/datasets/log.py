"""A log to replay: its rounds as arrays, and beside them what a model needs to see of each row."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.policy.manifest import Manifest
from simulator.datasets.contexts import Contexts
from simulator.datasets.history import RewardHistory
from simulator.datasets.snapshot import Snapshot
from simulator.datasets.versions import LoggingVersions
from simulator.rounds import Bools, Float64s, Floats, Ints, LoggedRounds


@dataclass(frozen=True, eq=False, kw_only=True)
class Shown:
    """Which decisions were shown to their shopper, over everything that was answered, evaluated or not.

    Args:
        action: Index of the action drawn, shape (m,).
        logged_at: Decision time, epoch seconds, shape (m,).
        activated: Whether it was shown within its window, shape (m,).
    """

    action: Ints
    logged_at: Float64s
    activated: Bools

    def between(self, first: float, last: float) -> "Shown":
        """Those decided from `first` to `last`, epoch seconds."""
        kept = (self.logged_at >= first) & (self.logged_at <= last)
        return Shown(action=self.action[kept], logged_at=self.logged_at[kept], activated=self.activated[kept])


@dataclass(frozen=True, eq=False, kw_only=True)
class ReplayLog:
    """One log, whole, in decision order.

    Args:
        name: As given on the command line.
        reward_range: Declared (smallest, largest) reward, never the log's own.
        manifest: The encoding a reward model uses: the policy's own, or one laid over an imported log's columns.
        rescored: What the logging models give when asked again, shape (n, K), nan where they cannot be; None where the
            log does not know its models.
        smallest_propensity: Declared floor of the logging policy; None where none was declared.
        policy: Whose live log it is; None for an imported one.
        notes: What a reader of the report must know about this log, in sentences.
        snapshot: How far a live log was read; None for an imported one, which never changes.
        completed: Whether an event had arrived for the row, or its reward is the default, shape (n,).
        evidence: By how much events moved each row's reward, shape (n,); None where the log knows no events.
        shown: Activations over all answered decisions; None where none was ever reported.
        versions: Which version of the policy logged each row.
        history: The raw reward events, where they were read.
    """

    name: str
    rounds: LoggedRounds
    reward_range: tuple[float, float]
    contexts: Contexts
    manifest: Manifest
    rescored: Floats | None = None
    smallest_propensity: float | None = None
    policy: PolicyName | None = None
    notes: tuple[str, ...] = ()
    snapshot: Snapshot | None = None
    completed: Bools | None = None
    evidence: Float64s | None = None
    shown: Shown | None = None
    versions: LoggingVersions | None = None
    history: RewardHistory | None = None

    def __len__(self) -> int:
        return len(self.rounds)

    def take(self, rows: Ints) -> "ReplayLog":
        """The rows at `rows`, in that order."""
        return replace(
            self,
            rounds=self.rounds.take(rows),
            contexts=self.contexts.take(rows),
            rescored=None if self.rescored is None else self.rescored[rows],
            completed=None if self.completed is None else self.completed[rows],
            evidence=None if self.evidence is None else self.evidence[rows],
            versions=None if self.versions is None else self.versions.take(rows),
            history=None if self.history is None else self.history.take(rows),
        )

    def rewarded(self, reward: Float64s) -> "ReplayLog":
        """The same rows with other rewards, shape (n,)."""
        return replace(self, rounds=replace(self.rounds, reward=reward), contexts=self.contexts.rewarded(reward))

    def widened(self, actions: Sequence[str]) -> "ReplayLog":
        """The same log over a catalogue that also has `actions`, which it never logged: probability 0, not eligible."""
        known = self.rounds.actions
        added = tuple(name for name in actions if name not in known)
        if not added:
            return self
        rounds = self.rounds
        eligible = np.ones((len(rounds), len(known)), dtype=np.bool_) if rounds.eligible is None else rounds.eligible
        rounds = replace(
            rounds,
            actions=known + added,
            probabilities=None if rounds.probabilities is None else _padded(rounds.probabilities, len(added)),
            eligible=_padded(eligible, len(added)).astype(np.bool_),
        )
        rescored = None if self.rescored is None else _padded(self.rescored, len(added))
        return replace(self, rounds=rounds, rescored=rescored)


def _padded(matrix: Floats | np.ndarray[tuple[int, int], np.dtype[np.bool_]], columns: int) -> Floats:
    return np.pad(matrix, ((0, 0), (0, columns)))
