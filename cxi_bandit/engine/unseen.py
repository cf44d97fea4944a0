"""Unseen: whether a policy's decisions that were never shown may be left out of learning, by the outcome log so far."""

from typing import Final

import msgspec

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.errors import RolloutConflict
from cxi_bandit.domain.identifiers import ManifestSha, PolicyName
from cxi_bandit.domain.outcome import LoggedOutcome, OutcomeStanding
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.ports import OutcomeLog, Releases
from cxi_bandit.policy.unseen import Discards

WATCH: Final = "unseen"
_CHUNK: Final = 2000
_KEPT_EVERY: Final = 1000
"""Positions until what was found is kept again: whoever takes over reads so many once more."""


class _State(msgspec.Struct):
    """How far the log has been read, and what was found, by manifest."""

    position: int = 0
    found: dict[ManifestSha, Discards] = {}


class Unseen:
    """Reads each policy's log on.

    What it says is a function of the log up to where it ends, whoever asks and however often: what is kept between
    processes only saves reading.

    Args:
        releases: Where what was found is kept; without it, a new one reads the log from its beginning.
    """

    def __init__(self, outcomes: OutcomeLog, manifests: Manifests, releases: Releases | None = None) -> None:
        self._outcomes = outcomes
        self._manifests = manifests
        self._releases = releases
        self._states: dict[PolicyName, _State] = {}
        self._kept: dict[PolicyName, tuple[int, int]] = {}

    def may_be_dropped(self, policy: PolicyName, sha: ManifestSha) -> bool:
        """Whether the manifest declares that discarding looks at no intervention, and the log does not deny it."""
        if not self._manifests.by_sha(sha).reward.drops_unseen:
            return False
        found = self._read_on(policy).found.get(sha)
        return found is None or not found.depend

    def denied(self) -> set[tuple[PolicyName, ManifestSha]]:
        """The manifests whose declaration the log denies, as far as it has been read."""
        read = self._states.items()
        return {(policy, sha) for policy, state in read for sha, found in state.found.items() if found.depend}

    def _read_on(self, policy: PolicyName) -> _State:
        state = self._states.get(policy) or self._taken_up(policy)
        while rows := self._outcomes.scan(policy, state.position, _CHUNK, unlearnable=True):
            for row in rows:
                if self._discarded(row):
                    state.found.setdefault(row.decision.manifest_sha, Discards()).add(row.decision)
            state.position = rows[-1].position
        self._keep(policy, state)
        return state

    def _discarded(self, row: LoggedOutcome) -> bool:
        decision, assignment = row.decision, row.decision.assignment
        return (
            not row.activated
            and row.standing in (OutcomeStanding.LEARNABLE, OutcomeStanding.UNACTIVATED)
            and decision.override_id is None
            and (assignment is None or assignment.arm is not Arm.HOLD)
            and self._manifests.by_sha(decision.manifest_sha).reward.drops_unseen
        )

    def _taken_up(self, policy: PolicyName) -> _State:
        kept = None if self._releases is None else self._releases.watch(policy, WATCH)
        state = _State() if kept is None else msgspec.json.decode(kept[1], type=_State)
        self._states[policy] = state
        self._kept[policy] = (0 if kept is None else kept[0], state.position)
        return state

    def _keep(self, policy: PolicyName, state: _State) -> None:
        sitting, position = self._kept[policy]
        if self._releases is None or state.position < position + _KEPT_EVERY:
            return
        try:
            self._releases.keep_watch(policy, WATCH, sitting + 1, msgspec.json.encode(state).decode())
        except RolloutConflict:
            # Another sequencer kept what it found meanwhile: the same, as it read the same log.
            del self._states[policy]
        else:
            self._kept[policy] = (sitting + 1, state.position)
