"""Weighing: a candidate met with the trial's window, its estimates, and the bets it comes to. Needs no database."""

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.evaluation import Level
from cxi_bandit.domain.gate import Reason
from cxi_bandit.domain.identifiers import ModelVersion
from cxi_bandit.domain.model import Model
from cxi_bandit.evidence.contrast import BoundExceeded, Bounds, IncumbentUnsupported
from simulator.candidates import Candidate, ManifestCandidate, ModelCandidate, Prepared
from simulator.datasets.closed_log import live
from simulator.gate.unit import Rows
from simulator.gate.verdict import refusal
from simulator.progress import Track, silent
from simulator.replay import Replay, ReplaySettings, assess
from simulator.trials.bets import declared, earliest_opening, objections, rows_of, since, vectors
from simulator.trials.docket import Docket, TrialState, identity


@dataclass(frozen=True, eq=False, kw_only=True)
class Weighed:
    """A candidate ready for a sitting.

    Args:
        replay: Estimates and diagnostics over the window (over the whole log while the window is empty).
        rows: The bets; None where there are none to place.
        refusals: Why the log, or the diagnostics, forbid a verdict on it.
        judged_from: The first decision the candidate may be judged on.
        model_version: The candidate's model, where it is one of this policy's.
    """

    name: str
    prepared: Prepared
    replay: Replay
    opened_at: datetime
    bounds: Bounds
    rows: Rows | None
    clipped: int
    refusals: tuple[Reason, ...]
    judged_from: datetime
    model_version: ModelVersion | None
    state: TrialState | None


def weigh(
    docket: Docket,
    candidate: Candidate,
    settings: ReplaySettings | None = None,
    *,
    opening: datetime | None = None,
    track: Track = silent,
) -> Weighed:
    """Meets a candidate with the trial's window.

    Args:
        opening: Start of the window, aware; None opens a new trial as early as neither policy has learned from it.

    Raises:
        InvalidInput: The candidate is not the one the trial was opened with, or the opening lies in what was learned.
    """
    name = identity(candidate)
    state = docket.known.get(name)
    prepared = _frozen(candidate, state, opening).prepare(docket.closed.log, track)
    if state is not None and (state.manifest_sha, state.model_sha) != (prepared.manifest_sha, prepared.model_sha):
        raise InvalidInput(
            "candidate",
            f"{name} is not the one that this trial was opened with (its model differs); propose it under a new id",
        )
    own_model = candidate.served.model if isinstance(candidate, ModelCandidate) else None
    opened_at = _opening(docket, prepared, own_model, state, opening)
    window = since(prepared.log, opened_at)
    refusals: list[Reason] = []
    rows: Rows | None = None
    clipped = 0
    judged = _taken(prepared, window) if len(window) else prepared
    found = vectors(_taken(prepared, window), docket.incumbent, docket.served, track)
    bounds = declared(docket.rule, found) if state is None else state.trial.bounds
    refusals += objections(docket.closed, found, docket.incumbent, opened_at)
    if len(window) and not refusals:
        try:
            rows, clipped = rows_of(docket.closed, found, docket.incumbent, docket.rule, bounds)
        except (IncumbentUnsupported, BoundExceeded) as error:
            refusals.append(refusal(error))
    replay = assess(judged, candidate.spec, settings, track)
    # A log that the diagnostics refuse is heard all the same: E stays what it is, only nothing is said on it now.
    refusals += replay.report.diagnostics.reasons(Level.REFUSE) if len(window) else ()
    return Weighed(
        name=name,
        prepared=prepared,
        replay=replace(replay, notes=(*replay.notes, *_notes(docket, rows, opened_at))),
        opened_at=opened_at,
        bounds=bounds,
        rows=rows,
        clipped=clipped,
        refusals=tuple(refusals),
        judged_from=live(prepared.log).rows[0].decision.decided_at,
        model_version=own_model.lineage.version if _of(docket, own_model) and own_model is not None else None,
        state=state,
    )


def _frozen(candidate: Candidate, state: TrialState | None, opening: datetime | None) -> Candidate:
    """A manifest learns what was decided before the trial, and in later sittings exactly that again."""
    if not isinstance(candidate, ManifestCandidate):
        return candidate
    until = opening if state is None else state.judged_from
    return candidate if until is None else replace(candidate, until=until)


def _opening(
    docket: Docket, prepared: Prepared, own_model: Model | None, state: TrialState | None, opening: datetime | None
) -> datetime:
    if state is not None:
        if opening not in (None, state.trial.opened_at):
            raise InvalidInput("since", f"this trial was opened at {state.trial.opened_at.isoformat()}, and stays so")
        return state.trial.opened_at
    models = [docket.incumbent.model, own_model if _of(docket, own_model) else None]
    earliest = earliest_opening(prepared.log, docket.closed.rows, models)
    if opening is None:
        return earliest
    if opening < earliest and opening < live(prepared.log).rows[-1].decision.decided_at:
        raise InvalidInput(
            "since", f"must be {earliest.isoformat()} or later: what was decided before has been learned"
        )
    return opening


def _of(docket: Docket, model: Model | None) -> bool:
    return model is not None and model.lineage.policy == docket.policy


def _taken(prepared: Prepared, window: np.ndarray[tuple[int], np.dtype[np.intp]]) -> Prepared:
    return replace(prepared, log=prepared.log.take(window), probabilities=prepared.probabilities[window])


def _notes(docket: Docket, rows: Rows | None, opened_at: datetime) -> list[str]:
    window = (
        f"the trial's window opened at {opened_at:%Y-%m-%d %H:%M:%S} UTC; rewards are those known when each window "
        "closed, later corrections left out"
    )
    notes = [window, f"tried against {docket.incumbent.name}"]
    if docket.defects:
        notes.append(f"about decisions on {', '.join(docket.defects)} alone, and good for a promotion of exactly these")
    if rows is not None and (nobody := sum(subject is None for subject in rows.subject)):
        notes.append(
            f"{nobody} decisions name no shopper and are bets of their own; if they hide repeat shoppers, the bound "
            "is not proved"
        )
    if docket.incumbent.model is not None and docket.incumbent.manifest.learning.updates == "continuous":
        notes.append(
            "the policy learns continuously: this trial expires with its next model, unless learning is paused"
        )
    return notes
