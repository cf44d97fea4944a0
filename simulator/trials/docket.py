"""The docket: all that is read from the store before a sitting, so that the weighing needs no database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Protocol

import msgspec

from cxi_bandit.domain.alpha_ledger import Spending
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.evaluation import EvidencePoint
from cxi_bandit.domain.gate import GateRule
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.engine.decide import ServedPolicy
from cxi_bandit.engine.incumbent import Incumbent, incumbent_of, serve
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.ports import Evaluations, ModelRoom, OutcomeLog, Registry, Releases
from cxi_bandit.policy.gate import gate_rule
from simulator.candidates import ActionTable, Candidate, ManifestCandidate
from simulator.datasets.closed_log import ClosedLog, at_close, live, read_closes
from simulator.datasets.log import ReplayLog
from simulator.gate.trial import Trial
from simulator.progress import Track, silent

_SHOWN = 12


class Shelves(Protocol):
    """The ports that a trial reads and writes."""

    @property
    def registry(self) -> Registry:
        """Manifests, versions, models."""
        ...

    @property
    def releases(self) -> Releases:
        """Roll-outs."""
        ...

    @property
    def outcomes(self) -> OutcomeLog:
        """The outcome log."""
        ...

    @property
    def evaluations(self) -> Evaluations:
        """Reports, the alpha ledger, trials between sittings."""
        ...


class TrialState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One candidate's trial between sittings.

    Attributes:
        manifest_sha: Of the candidate, where it has one; a trial goes on only with the very same candidate.
        model_sha: Likewise.
        judged_from: The first decision it may be judged on: what was decided before may have been learned.
        path: ln E day by day so far.
    """

    trial: Trial
    manifest_sha: str | None
    model_sha: str | None
    judged_from: datetime
    path: tuple[EvidencePoint, ...] = ()


class ProposalState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All candidates of a proposal between sittings, by identity: they share its line on the alpha ledger."""

    candidates: dict[str, TrialState]


@dataclass(frozen=True, eq=False, kw_only=True)
class Docket:
    """What a sitting starts from.

    Args:
        proposal: The line on the policy's alpha ledger.
        spending: That line; None before the first sitting.
        spent: How many lines the ledger has.
        sitting: Number of the last sitting, 0 before the first.
        known: The candidates' trials after it, by identity.
    """

    policy: PolicyName
    closed: ClosedLog
    incumbent: Incumbent
    served: ServedPolicy
    rule: GateRule
    proposal: str
    spending: Spending | None
    spent: int
    sitting: int
    known: dict[str, TrialState]


def identity(candidate: Candidate) -> str:
    """A candidate's SPEC, with a digest where what it names can change under the name."""
    match candidate:
        case ManifestCandidate():
            return f"{candidate.spec}@{candidate.sha[:_SHOWN]}"
        case ActionTable():
            return f"{candidate.spec}@{sha256(candidate.table.tobytes()).hexdigest()[:_SHOWN]}"
        case _:
            return candidate.spec


def read_docket(
    shelves: Shelves,
    room: ModelRoom,
    log: ReplayLog,
    candidates: Sequence[Candidate],
    *,
    proposal: str | None = None,
    track: Track = silent,
) -> Docket:
    """Reads what a sitting starts from.

    Args:
        log: The live log of the policy whose place the candidates would take.
        proposal: None names it after its candidates: asking again goes on with the same trial.

    Raises:
        InvalidInput: The log is no live one, two candidates are the same, or the proposal is about other candidates.
        NotFound: No version of the policy is live.
    """
    live(log)
    policy = PolicyName(log.name) if log.policy is None else log.policy
    names = [identity(candidate) for candidate in candidates]
    if len(set(names)) < len(names):
        raise InvalidInput("candidate", "is given twice")
    title = proposal or " + ".join(sorted(names))
    manifests = Manifests(shelves.registry)
    incumbent = incumbent_of(shelves.registry, shelves.releases, manifests, policy)
    spendings = shelves.evaluations.spendings(policy)
    kept = shelves.evaluations.sitting(policy, title)
    sitting, known = 0, dict[str, TrialState]()
    if kept is not None:
        sitting, known = kept[0], msgspec.json.decode(kept[1], type=ProposalState).candidates
        if names and set(known) != set(names):
            raise InvalidInput(
                "proposal", f"{title!r} is about {', '.join(known)}; other candidates are another proposal"
            )
    return Docket(
        policy=policy,
        closed=at_close(log, read_closes(policy, shelves.outcomes, track)),
        incumbent=incumbent,
        served=serve(incumbent, shelves.registry, room),
        rule=gate_rule(incumbent.manifest),
        proposal=title,
        spending=next((spending for spending in spendings if spending.proposal == title), None),
        spent=len(spendings),
        sitting=sitting,
        known=known,
    )
