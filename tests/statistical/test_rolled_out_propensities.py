"""With every arm, a growing canary, caps and a pin at once, what was logged is still what was drawn from.

Given the log before it, each draw is a coin of known bias, so sums of (drawn - p) are martingales, and so is w·r less
the live policy's true value, with w = live(a)/p(a). Seeds are fixed, but the level is stated: a right engine would fail
this file, under other seeds, once in a thousand.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

import msgspec
import numpy as np
import pytest
from scipy import stats

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.decision import HOLD, Decision
from cxi_bandit.domain.identifiers import InterventionId, ModelVersion
from cxi_bandit.domain.outcome import OutcomeStanding
from cxi_bandit.domain.override import Override
from cxi_bandit.domain.promotion import Promotion
from cxi_bandit.engine.audit import AuditVerdict, DecisionAudit
from cxi_bandit.engine.decide import ServedPolicy, distribution
from cxi_bandit.engine.override import lift, pin
from cxi_bandit.engine.promote import go_live, next_step
from cxi_bandit.policy.arms import shares
from simulator.candidates import ModelCandidate
from simulator.lifecycle import KEEN, Calendar, Met, Shop, terms
from simulator.manifests import with_value
from simulator.world.scenarios import Feedback, Scenario
from tests.harness.evidence import file_report

pytestmark = pytest.mark.statistical

SEED, SHOPPERS, PINNED = 3, 700, "slow_results"
SHARES = (0.2, 0.5)
LEVEL = 1e-3 / 100
LIMITS = """
hold_share = 0.1
[limits]
caps = [
  { interventions = ["live_chat", "welcome_voucher"], most = 1, seconds = 259200 },
  { most = 2, seconds = 345600 },
]
"""
WORLD = replace(KEEN, feedback=Feedback(late=0.0, missing=0.0, corrected=0.0, retracted=0.0))


class FewShoppers(Shop):
    """So few that they come back and meet their caps."""

    def becomes(self, scenario: Scenario) -> None:
        super().becomes(scenario)
        self._encounters = (
            replace(one, request=msgspec.structs.replace(one.request, subject=f"shopper-{one.index * 7919 % SHOPPERS}"))
            for one in self._encounters
        )


class Rolled(NamedTuple):
    """The shop after its last day, and what it met while all arms were there."""

    shop: Shop
    met: list[Met]


def approved(shop: Shop, model: ModelVersion) -> Promotion:
    report = file_report(shop.ports[:3], shop.policy, 1, model, at=shop.now)
    return shop.approved(shop.proposed(model, report))


@pytest.fixture(scope="module")
def rolled() -> Rolled:
    text = terms() + LIMITS
    # The watch is to leave it all as it is.
    for key, value in {"previous_share": "0.15", "canary_hours": "2000", "alarm_at": "1e12"}.items():
        text = with_value(text, key, value)
    shop = FewShoppers(text, SEED, WORLD, Calendar(decisions=700, passes=4))
    registry, releases, _, manifests = shop.ports
    shop.open(1)
    first = approved(shop, shop.learned())
    go_live(first, registry, releases, manifests, by="ann", at=shop.now, reason="for the test")
    shop.open(1)
    canary = approved(shop, shop.learned())
    since = len(shop.met)
    shop.open(1.5)
    asked = Override(
        policy=shop.policy,
        intervention=InterventionId("similar_products"),
        defect=PINNED,
        author="eve",
        reason="the pages are slow today",
        made_at=shop.now,
        expires_at=shop.now + timedelta(days=30),
    )
    pinned = pin(asked, registry, releases, manifests)
    shop.engine.turn(shop.now, learning=False)
    shop.open(1)
    next_step(canary, shop.manifest.rollout, releases, by="ann", at=shop.now, reason="for the test")
    shop.engine.turn(shop.now, learning=False)
    shop.open(1)
    lift(pinned.override_id, "eve", releases, shop.now)
    shop.engine.turn(shop.now, learning=False)
    shop.open(1.5)
    met, after = shop.met[since:], len(shop.met)
    shop.open(1)
    return Rolled(shop, met[: after - since])


def drawn_by_arm(met: Iterable[Met]) -> dict[Arm, list[Decision]]:
    found: dict[Arm, list[Decision]] = defaultdict(list)
    for one in met:
        if one.decision.assignment is not None:
            found[one.decision.assignment.arm].append(one.decision)
    return found


def surprises(decisions: Iterable[Decision]) -> dict[str, float]:
    """The z of each intervention: how often it was drawn against what the log says."""
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for decision in decisions:
        for name, probability in zip(decision.situation.eligible, decision.probabilities, strict=True):
            sums[name][0] += (name == decision.intervention) - probability
            sums[name][1] += probability * (1.0 - probability)
    return {name: off / math.sqrt(variance) for name, (off, variance) in sums.items() if variance > 5.0}


def likely(z: float) -> bool:
    return 2.0 * stats.norm.sf(abs(z)) > LEVEL


def test_every_arm_was_there_and_caps_and_the_pin_bit(rolled: Rolled) -> None:
    arms = drawn_by_arm(rolled.met)
    assert min(len(decisions) for decisions in arms.values()) > 250
    assert set(arms) == set(Arm)
    for arm in (Arm.LIVE, Arm.CANARY, Arm.PREVIOUS):
        # No rule of the manifest is about this one: only a cap withholds it.
        assert sum("similar_products" in decision.excluded for decision in arms[arm]) > 20
        assert len({decision.probabilities for decision in arms[arm]}) > 3
    assert sum(one.decision.override_id is not None for one in rolled.met) > 60
    # Where caps leave nothing but `hold`, no model is asked.
    asked = [decision for arm in (Arm.LIVE, Arm.CANARY) for decision in arms[arm] if len(decision.probabilities) > 1]
    assert len({decision.model_version for decision in asked}) == 2


@pytest.mark.parametrize("arm", [Arm.LIVE, Arm.CANARY, Arm.PREVIOUS, None])
def test_draws_are_as_frequent_as_logged(rolled: Rolled, arm: Arm | None) -> None:
    arms = drawn_by_arm(rolled.met)
    decisions = arms[arm] if arm is not None else [decision for each in arms.values() for decision in each]
    found = surprises(decisions)
    assert len(found) >= 5
    assert all(likely(z) for z in found.values()), found


def test_who_is_left_alone_or_pinned_had_no_choice(rolled: Rolled) -> None:
    for one in rolled.met:
        decision = one.decision
        assert (
            decision.propensity
            == dict(zip(decision.situation.eligible, decision.probabilities, strict=True))[decision.intervention]
        )
        if decision.override_id is not None:
            assert (decision.intervention, decision.propensity) == ("similar_products", 1.0)
            assert decision.situation.defect.type == PINNED
        elif decision.assignment is not None and decision.assignment.arm is Arm.HOLD:
            assert (decision.intervention, decision.propensity) == (HOLD, 1.0)


def test_arms_have_their_shares_of_the_shoppers(rolled: Rolled) -> None:
    by_revision: dict[int, dict[bytes, Arm]] = defaultdict(dict)
    for one in rolled.met:
        decision = one.decision
        if decision.assignment is not None and decision.subject is not None:
            by_revision[decision.assignment.revision][decision.subject] = decision.assignment.arm
    revisions = {one.revision: one for one in rolled.shop.ports.releases.history(rolled.shop.policy)}
    assert [revisions[number].canary.split.share for number in sorted(by_revision)] == list(SHARES)
    for number, arms in by_revision.items():
        expected = shares(revisions[number], "zero_results")
        counted = Counter(arms.values())
        chi = sum((counted[arm] - share * len(arms)) ** 2 / (share * len(arms)) for arm, share in expected.items())
        assert stats.chi2.sf(chi, len(expected) - 1) > LEVEL
    for one in rolled.met:
        if (assignment := one.decision.assignment) is not None:
            known = shares(revisions[assignment.revision], one.decision.situation.defect.type)
            assert assignment.share == pytest.approx(known[assignment.arm], abs=1e-12)


def test_nobody_changes_arm_but_from_live_into_a_larger_canary(rolled: Rolled) -> None:
    course: dict[bytes, list[tuple[int, Arm]]] = defaultdict(list)
    for one in rolled.met:
        if one.decision.assignment is not None and one.decision.subject is not None:
            course[one.decision.subject].append((one.decision.assignment.revision, one.decision.assignment.arm))
    assert sum(len(each) > 2 for each in course.values()) > SHOPPERS / 2
    moved = 0
    for each in course.values():
        first, last = each[0], each[-1]
        for revision in {number for number, _ in each}:
            assert len({arm for number, arm in each if number == revision}) == 1
        if first[1] is not last[1]:
            assert (first[1], last[1]) == (Arm.LIVE, Arm.CANARY)
            moved += 1
    assert moved > 50


def vector_of(decision: Decision, arm: Arm) -> Mapping[str, float] | None:
    """What an arm drew from, or would have drawn from."""
    assignment = decision.assignment
    if assignment is None:
        return None
    if assignment.arm is arm:
        return dict(zip(decision.situation.eligible, decision.probabilities, strict=True))
    for other in assignment.beside:
        if other.place == arm.value:
            return dict(zip(other.eligible or decision.situation.eligible, other.probabilities, strict=True))
    return None


def test_every_vector_is_the_one_of_its_own_arms_model(rolled: Rolled) -> None:
    shop = rolled.shop
    revisions = {one.revision: one for one in shop.ports.releases.history(shop.policy)}
    served: dict[ModelVersion | None, ServedPolicy] = {
        None: ServedPolicy(shop.ports.registry.versions(shop.policy)[0], shop.manifest, None, None)
    }
    checked: Counter[tuple[Arm, Arm]] = Counter()
    for one in rolled.met[::4]:
        decision = one.decision
        if decision.assignment is None or decision.assignment.arm is Arm.HOLD:
            continue
        rollout = revisions[decision.assignment.revision]
        assert rollout.canary is not None
        assert rollout.previous is not None
        stands = {Arm.LIVE: rollout.live, Arm.CANARY: rollout.canary.stand, Arm.PREVIOUS: rollout.previous.stand}
        for arm, stand in stands.items():
            if stand.model not in served and stand.model is not None:
                spec = f"model:{shop.policy}@{stand.model}"
                loaded = ModelCandidate.load(spec, shop.policy, stand.model, shop.ports.registry, shop.engine.room)
                served[stand.model] = loaded.served
            own = distribution(served[stand.model], decision.situation).probabilities
            logged = vector_of(decision, arm)
            assert logged is not None
            assert tuple(logged.values()) == own, (decision.assignment.arm, arm)
            checked[decision.assignment.arm, arm] += 1
    assert len(checked) == 9
    assert min(checked.values()) > 30


@pytest.mark.parametrize("sought", [Arm.LIVE, Arm.CANARY, Arm.PREVIOUS])
def test_ips_of_an_arms_policy_is_its_value_whoever_answered(rolled: Rolled, sought: Arm) -> None:
    shop = rolled.shop
    rows = shop.engine.store.outcomes.scan(shop.policy, 0, 100_000, unlearnable=True)
    reward = {row.decision.decision_id: row.reward for row in rows}
    catalogue = shop.manifest.catalogue
    weighted: dict[Arm, list[tuple[float, float]]] = defaultdict(list)
    for one in rolled.met:
        decision = one.decision
        vector = vector_of(decision, sought)
        if vector is None or decision.assignment is None or decision.decision_id not in reward:
            continue
        truth = dict(zip(catalogue, one.encounter.expected.tolist(), strict=True))
        value = math.fsum(probability * truth[name] for name, probability in vector.items())
        weight = vector.get(decision.intervention, 0.0) / decision.propensity
        weighted[decision.assignment.arm].append((weight * reward[decision.decision_id], value))
    assert set(weighted) == {Arm.LIVE, Arm.CANARY, Arm.PREVIOUS}
    for arm, pairs in weighted.items():
        off = np.array([estimate - value for estimate, value in pairs])
        assert likely(off.mean() / (off.std() / math.sqrt(len(off)))), (arm, off.mean())
    own = np.array([estimate for estimate, _ in weighted[sought]])
    others = np.array([estimate for arm, pairs in weighted.items() if arm is not sought for estimate, _ in pairs])
    apart = own.mean() - others.mean()
    assert likely(apart / math.sqrt(own.var() / len(own) + others.var() / len(others)))


def test_what_had_no_choice_is_not_learned(rolled: Rolled) -> None:
    shop = rolled.shop
    rows = shop.engine.store.outcomes.scan(shop.policy, 0, 100_000, unlearnable=True)
    for row in rows:
        decision = row.decision
        left_alone = decision.assignment is not None and decision.assignment.arm is Arm.HOLD
        wanted = OutcomeStanding.HELD_BACK if left_alone else OutcomeStanding.LEARNABLE
        assert row.standing is (OutcomeStanding.OVERRIDDEN if decision.override_id is not None else wanted)
    learnable = sum(row.standing is OutcomeStanding.LEARNABLE for row in rows)
    assert learnable < len(rows) - 500
    shop.learned()
    head = shop.ports.registry.head(shop.policy, 1)
    assert head is not None
    assert head.lineage.learned_total == learnable


def test_all_of_it_executes_again(rolled: Rolled) -> None:
    ports, engine = rolled.shop.ports, rolled.shop.engine
    audit = DecisionAudit(ports.registry, ports.releases, engine.manifests, engine.keyring, engine.room)
    assert {audit.audit(one.decision).verdict for one in rolled.met[::5]} == {AuditVerdict.IDENTICAL}
