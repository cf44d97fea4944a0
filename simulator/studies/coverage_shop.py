"""Cases of the coverage study from the shopping world's scenarios: the cart, with its own costs, rewards and reports.

A block of encounters *is* the population: what each of these shoppers would do after each intervention is settled once,
so the candidate's value is a plain mean and carries no error. A log then draws encounters from the block.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import numpy as np

from cxi_bandit.domain.identifiers import DecisionId, RewardId, Source
from cxi_bandit.domain.reward import LedgerEntry, RewardEvent
from cxi_bandit.policy.manifest import Manifest
from cxi_bandit.policy.settlement import settle
from simulator.manifests import by_surface, shipped_texts
from simulator.rounds import Bools, Float64s, Ints
from simulator.studies.coverage_measure import Case
from simulator.studies.coverage_premises import Premise
from simulator.studies.coverage_site import Site
from simulator.world.feedback import Report, Reporter
from simulator.world.outcomes import roles
from simulator.world.scenarios import SCENARIOS, Feedback, Scenario
from simulator.world.shopping import Encounter, ShoppingWorld

ROWS: Final = 2_000
_SURFACE: Final = "cart"
_SEED: Final = 7
_BLOCK: Final = 4_000
_START: Final = datetime(2026, 1, 5, tzinfo=UTC)
_DECISION: Final = DecisionId(UUID(int=0))
_FLAWLESS: Final = Feedback(delay=0.0, late=0.0, duplicate=0.0, early=0.0, missing=0.0, corrected=0.0, retracted=0.0)
_STEPS: Final = 50  # steps that the reward range is divided into: few distinct rewards make resampling fast


@dataclass(frozen=True, eq=False)
class Settled:
    """What each encounter is worth after each intervention: in truth and as the log has it, each of shape (X, K)."""

    expected: Float64s
    known: Float64s

    def draw(self, rng: np.random.Generator, context: Ints, action: Ints) -> Float64s:  # noqa: ARG002 - an Outcomes
        """As the log has it; chance decided when the population was drawn."""
        return self.known[context, action]


def shopping_cases(only: str = "") -> Iterator[Case]:
    """One case for each of the world's scenarios, and more where the same log can be asked two questions.

    Args:
        only: Leave out, unmade, those whose name does not contain this.
    """
    manifest = by_surface(shipped_texts())[_SURFACE]
    for name, scenario in SCENARIOS.items():
        ordinary = scenario.feedback == Feedback()
        # Where a scenario is not about feedback, rewards are as they stand once all of them are known.
        plain = (f"the shop: {name}", _FLAWLESS if ordinary else scenario.feedback, False)
        at_close = (f"the shop: {name}, ordinary feedback", scenario.feedback, False)
        at_the_end = (f"the shop: {name}, last tenth sought", _FLAWLESS, True)
        asked = [plain, *([at_close] if name == "shopping" else []), *([at_the_end] if scenario.drift else [])]
        for title, feedback, last in asked:
            if only in title:
                site = _site(manifest, scenario, feedback)
                breaks = _breaks(scenario, feedback)
                if last:
                    site, breaks = replace(site, target=_value_in_last_tenth(site)), breaks | {Premise.WINDOW}
                yield Case(name=title, rows=ROWS, site=site, breaks=breaks)


def _breaks(scenario: Scenario, feedback: Feedback) -> frozenset[Premise]:
    found = set()
    if feedback != _FLAWLESS:
        found.add(Premise.OUTCOMES)
    if scenario.logger == "adaptive":
        found.add(Premise.FIXED_LOGGER)
    if scenario.logger == "without_support":
        found.add(Premise.SUPPORT)
    return frozenset(found)


def _value_in_last_tenth(site: Site) -> float:
    worth = np.einsum("xk,xk->x", site.candidate, site.outcomes.expected)
    return float(worth[-(len(worth) // 10) :].mean())


def _site(manifest: Manifest, scenario: Scenario, feedback: Feedback) -> Site:
    world = ShoppingWorld({_SURFACE: manifest}, _SEED, scenario, length=_BLOCK)
    encounters = list(world.encounters(_BLOCK))
    truth = _settled(manifest, encounters, _FLAWLESS)
    known = truth if feedback == _FLAWLESS else _settled(manifest, encounters, feedback)
    eligible = np.array([encounter.eligible for encounter in encounters])
    kind = np.array([list(manifest.defects).index(encounter.request.defect.type) for encounter in encounters])
    return Site(
        logger=_logger(scenario, eligible),
        candidate=0.85 * _favourite(scenario, encounters, eligible, kind) + 0.15 * _hold(eligible),
        outcomes=Settled(truth, known),
        reward_range=(manifest.reward.min, manifest.reward.max),
        view=None if scenario.reward_model == "misspecified" else kind,
        greed=0.7 if scenario.logger == "adaptive" else None,
        in_time_order=scenario.drift > 0.0,
    )


def _logger(scenario: Scenario, eligible: Bools) -> Float64s:
    """Two fifths on doing nothing and the rest evenly, unless the scenario is about the logger."""
    drawable = eligible.copy()
    if scenario.logger == "without_support":
        drawable[:, -1] = False
    even: Float64s = drawable / drawable.sum(axis=1, keepdims=True)
    if scenario.logger in {"uniform", "adaptive"}:
        return even
    mixed: Float64s = 0.4 * _hold(eligible) + 0.6 * even
    return mixed


def _hold(eligible: Bools) -> Float64s:
    """Nothing is done, which is always eligible and first in the catalogue, shape (X, K)."""
    hold: Float64s = np.eye(eligible.shape[1])[np.zeros(len(eligible), dtype=np.intp)]
    return hold


def _favourite(scenario: Scenario, encounters: Sequence[Encounter], eligible: Bools, kind: Ints) -> Float64s:
    """All on the eligible intervention that is best for the defect, shape (X, K); without support, on the last one."""
    worth = np.array([encounter.expected for encounter in encounters])
    if scenario.logger == "without_support":
        score = np.tile(np.arange(worth.shape[1], dtype=np.float64), (len(worth), 1))
    else:
        score = np.stack([worth[kind == code].mean(axis=0) for code in range(int(kind.max()) + 1)])[kind]
    chosen: Float64s = np.eye(worth.shape[1])[np.where(eligible, score, -np.inf).argmax(axis=1)]
    return chosen


def _settled(manifest: Manifest, encounters: Sequence[Encounter], feedback: Feedback) -> Float64s:
    """The reward of each encounter after each intervention from what has been reported by the close, shape (X, K)."""
    reporter, metric_of = Reporter(feedback, _SEED), roles(manifest)
    r_lo, r_hi = manifest.reward.min, manifest.reward.max
    closes = _START + timedelta(seconds=manifest.reward.horizon_seconds)
    found = np.empty((len(encounters), len(manifest.catalogue)))
    for row, encounter in enumerate(encounters):
        for arm, intervention in enumerate(manifest.catalogue):
            reports = reporter.reports(encounter.index, encounter.happening.after(arm), metric_of)
            # A reward is delivered again under the id it had; the ledger takes it once.
            events = {report.reward_id: _event(report, closes) for report in reports if report.delivered <= 1.0}
            entries = [
                LedgerEntry(event=event, received_at=closes, position=position)
                for position, event in enumerate(events.values())
            ]
            found[row, arm] = settle(manifest, intervention, (_START, closes), entries).reward
    step = (r_hi - r_lo) / _STEPS
    rounded: Float64s = (np.round((found - r_lo) / step) * step + r_lo).clip(r_lo, r_hi)
    return rounded


def _event(report: Report, closes: datetime) -> RewardEvent:
    return RewardEvent(
        source=Source("shop"),
        reward_id=RewardId(report.reward_id),
        decision_id=_DECISION,
        metric=report.metric,
        value=report.value,
        occurred_at=_START + report.occurred * (closes - _START),
        corrects=None if report.corrects is None else RewardId(report.corrects),
        retracts=None if report.retracts is None else RewardId(report.retracts),
    )
