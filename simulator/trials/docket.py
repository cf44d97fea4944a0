"""The docket: all that is read from the store before a sitting, so that the weighing needs no database."""

from collections.abc import Collection, Sequence
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
from cxi_bandit.engine.incumbent import Incumbent, incumbent_of, incumbents_of, serve
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
    """All candidates of a proposal between sittings, by identity: they share its line on the alpha ledger.

    Attributes:
        defects: The defect types whose decisions they are tried on; empty for all.
    """

    candidates: dict[str, TrialState]
    defects: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class Docket:
    """What a sitting starts from.

    Args:
        defects: The defect types whose decisions the log holds, and whose incumbent this is; empty for all.
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
    defects: tuple[str, ...]
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
    defects: Collection[str] = (),
    proposal: str | None = None,
    track: Track = silent,
) -> Docket:
    """Reads what a sitting starts from.

    Args:
        log: The live log of the policy whose place the candidates would take.
        defects: The defect types that the trial is about; empty for all.
        proposal: None names it after its candidates and defect types: asking again goes on with the same trial.

    Raises:
        InvalidInput: The log is no live one, two candidates are the same, the proposal is about other candidates or
            defect types, one of these is not known, or not all of them have the same incumbent.
        NotFound: No version of the policy is live.
    """
    live(log)
    policy = PolicyName(log.name) if log.policy is None else log.policy
    names = [identity(candidate) for candidate in candidates]
    if len(set(names)) < len(names):
        raise InvalidInput("candidate", "is given twice")
    manifests = Manifests(shelves.registry)
    about, incumbent = _tried_against(shelves, manifests, policy, defects)
    title = proposal or " + ".join(sorted(names)) + (f" on {', '.join(about)}" if about else "")
    spendings = shelves.evaluations.spendings(policy)
    kept = shelves.evaluations.sitting(policy, title)
    sitting, known = 0, dict[str, TrialState]()
    if kept is not None:
        state = msgspec.json.decode(kept[1], type=ProposalState)
        sitting, known = kept[0], state.candidates
        if set(state.defects) != set(about):
            raise InvalidInput(
                "proposal",
                f"{title!r} is about the defect types {', '.join(state.defects) or 'all'}; others are another proposal",
            )
        if names and set(known) != set(names):
            raise InvalidInput(
                "proposal", f"{title!r} is about {', '.join(known)}; other candidates are another proposal"
            )
    closed = at_close(log, read_closes(policy, shelves.outcomes, track))
    return Docket(
        policy=policy,
        closed=closed.about(about) if about else closed,
        incumbent=incumbent,
        served=serve(incumbent, shelves.registry, room),
        rule=gate_rule(incumbent.manifest),
        defects=about,
        proposal=title,
        spending=next((spending for spending in spendings if spending.proposal == title), None),
        spent=len(spendings),
        sitting=sitting,
        known=known,
    )


def _tried_against(
    shelves: Shelves, manifests: Manifests, policy: PolicyName, defects: Collection[str]
) -> tuple[tuple[str, ...], Incumbent]:
    """The defect types in the live manifest's order, empty when it is all of them, and their one incumbent."""
    known = incumbent_of(shelves.registry, shelves.releases, manifests, policy).manifest.defects
    for name in defects:
        if name not in known:
            raise InvalidInput("defect", f"{name!r} is not one that the live version knows: {', '.join(known)}")
    about = () if set(defects) == set(known) else tuple(name for name in known if name in defects)
    live_for = incumbents_of(shelves.registry, shelves.releases, manifests, policy, about)
    if len({incumbent.name for incumbent in live_for.values()}) > 1:
        told = "; ".join(f"{name or 'the others'}: {incumbent.name}" for name, incumbent in live_for.items())
        raise InvalidInput(
            "defect", f"these are answered by different incumbents ({told}): hold one trial for each, with --defect"
        )
    return about, next(iter(live_for.values()))
