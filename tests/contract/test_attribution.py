"""Rewards that name only the shopper or the order: through record and join, the same end in every order of arrival."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cxi_bandit.domain.decision import HOLD, Decision, Defect, Situation, Stage
from cxi_bandit.domain.identifiers import DecisionIdMint, InterventionId, PolicyName, RewardId, Source, minted_at
from cxi_bandit.domain.outcome import Settlement
from cxi_bandit.domain.reward import RewardEvent, RewardStatus
from cxi_bandit.engine.audit import AuditVerdict
from cxi_bandit.engine.audit_outcomes import audit_outcomes
from cxi_bandit.engine.install import install
from cxi_bandit.engine.join import join
from cxi_bandit.engine.manifests import Manifests
from cxi_bandit.engine.ports import DecisionEntry
from cxi_bandit.engine.record import RewardReceipt, record
from cxi_bandit.store.memory import MemoryStore

START = datetime(2026, 11, 20, 12, tzinfo=UTC)
ACCEPTED, PARKED, QUARANTINED = RewardStatus.ACCEPTED, RewardStatus.PARKED, RewardStatus.QUARANTINED

POLICY = """
format = 1
name = "{name}"
surface = "{surface}"
[defects.slow]
[context]
[[interventions]]
id = "hold"
[[interventions]]
id = "wave"
[reward]
horizon_seconds = 60
min = -10
max = 10
{reward}
[reward.metrics.purchase]
weight = 1
min = 0
max = 1
aggregate = "max"
[reward.metrics.margin]
weight = 0.125
min = -100
max = 100
{rule}
"""
RULES = {
    "last": ("", '[reward.attribution]\ncredit = "last"\nmetrics = ["purchase"]'),
    "first": ("", '[reward.attribution]\ncredit = "first"\nwindow_seconds = 25'),
    "even": ("", '[reward.attribution]\ncredit = "even"'),
    "eager": ('closes_on = "first_reward"', '[reward.attribution]\ncredit = "last"'),
    "shown": ('counts_when = "activated"\ndiscards_unseen = true', '[reward.attribution]\ncredit = "last"'),
    "none": ("", ""),
}
_runs = itertools.count()


@dataclass
class Shop:
    """A store with one policy of each rule; names are its own, so that many shops may share a store."""

    store: Any
    tag: str = field(default_factory=lambda: f"run-{next(_runs)}")
    decisions: dict[str, Decision] = field(default_factory=dict)

    def __post_init__(self) -> None:
        texts = [
            (f"{name}.toml", POLICY.format(name=name, surface=name, reward=reward, rule=rule))
            for name, (reward, rule) in RULES.items()
        ]
        install(self.store.registry, texts, START, "test")
        self.manifests = Manifests(self.store.registry)
        self._versions = {version.policy: version for version in self.store.registry.versions()}

    def hmac(self, name: str) -> bytes:
        return f"{self.tag}/{name}".encode()

    def decide(self, name: str, policy: str, at: float, subject: str | None = "ann") -> Decision:
        """A decision, not logged yet, known by `name` from now on."""
        version = self._versions[PolicyName(policy)]
        decision_id = DecisionIdMint().mint(START + timedelta(seconds=at))
        decided_at = minted_at(decision_id)
        self.decisions[name] = decision = Decision(
            decision_id=decision_id,
            decided_at=decided_at,
            closes_at=decided_at + timedelta(seconds=60),
            policy=version.policy,
            policy_version=version.version,
            manifest_sha=version.manifest_sha,
            model_version=None,
            stage=Stage.LIVE,
            surface=policy,
            subject=None if subject is None else self.hmac(subject),
            situation=Situation(defect=Defect("slow", 0.5, 0.5), context={}, eligible=(HOLD, InterventionId("wave"))),
            excluded={},
            probabilities=(0.5, 0.5),
            intervention=HOLD,
            propensity=0.5,
            draw_key_id="draw-1",
            u=0.25,
        )
        return decision

    def log(self, name: str, *, shown: bool = False) -> None:
        decision = self.decisions[name]
        self.store.decisions.append([DecisionEntry(decision)])
        if shown:
            self.store.decisions.activate(decision.decision_id, decision.decided_at + timedelta(seconds=1))

    def logged(self, name: str, policy: str, at: float, subject: str | None = "ann", *, shown: bool = False) -> None:
        self.decide(name, policy, at, subject)
        self.log(name, shown=shown)

    def event(self, name: str, at: float, value: float | None = 1.0, **told: Any) -> RewardEvent:
        """An event of `decision`, `subject` or `order`; amendments by `corrects` and `retracts`, all by name."""
        decision = told.get("decision")
        named = {key: self.hmac(told[key]) for key in ("subject", "order") if told.get(key)}
        amended = {key: RewardId(f"{self.tag}/{told[key]}") for key in ("corrects", "retracts") if told.get(key)}
        return RewardEvent(
            source=Source(told.get("source", "till")),
            reward_id=RewardId(f"{self.tag}/{name}"),
            decision_id=None if decision is None else self.decisions[decision].decision_id,
            metric=told.get("metric", "purchase"),
            value=value,
            occurred_at=START + timedelta(seconds=at),
            **named,
            **amended,
        )

    def record(self, *events: RewardEvent) -> list[RewardReceipt]:
        return record(events, START + timedelta(hours=1), self.store.decisions, self.store.ledger, self.manifests)

    def report(self, name: str, at: float, value: float | None = 1.0, **told: Any) -> RewardStatus:
        return self.record(self.event(name, at, value, **told))[0].status

    def join(self, at: float = 86_400.0) -> None:
        join(self.store.outcomes, self.manifests, START + timedelta(seconds=at), timedelta(0))

    def shares(self, name: str) -> dict[str, int]:
        """The events that a decision has, by name, with the parts they are divided into."""
        entries = self.store.ledger.history(self.decisions[name].decision_id)
        return {entry.event.reward_id.removeprefix(f"{self.tag}/"): entry.parts for entry in entries}

    def settlements(self, name: str) -> list[Settlement]:
        return [row.settlement for row in self.store.outcomes.revisions(self.decisions[name].decision_id)]

    def rewards(self, name: str) -> list[float]:
        return [settlement.reward for settlement in self.settlements(name)]

    def audited(self) -> set[AuditVerdict]:
        rows = [row for row in self.decisions.values() if self.store.decisions.find([row.decision_id])]
        findings = audit_outcomes(rows, self.store.ledger, self.store.outcomes, self.manifests)
        return {finding.verdict for finding in findings}


def test_a_reward_that_names_the_shopper_reaches_the_decision_and_is_audited(store: Any) -> None:
    shop = Shop(store)
    shop.logged("a", "last", 0)
    shop.logged("b", "last", 10)
    assert shop.report("paid", 20, subject="ann") is ACCEPTED
    assert shop.report("paid", 20, subject="ann") is RewardStatus.DUPLICATE
    assert shop.report("paid", 20, subject="bob") is RewardStatus.CONFLICT
    shop.join()
    assert (shop.rewards("a"), shop.rewards("b")) == ([0.0], [1.0])
    assert (shop.shares("a"), shop.shares("b")) == ({}, {"paid": 1})
    assert shop.audited() == {AuditVerdict.IDENTICAL}


def test_a_late_a_corrected_and_a_retracted_reward_append_revisions(store: Any) -> None:
    shop = Shop(store)
    shop.logged("a", "even", 0)
    shop.logged("b", "even", 10)
    shop.join()
    shop.report("paid", 20, 0.8, subject="ann", order="o-1")
    shop.join(30 * 86_400)
    shop.report("fix", 50, 0.4, order="o-1", corrects="paid")
    shop.join(30 * 86_400)
    shop.report("back", 900, None, subject="ann", retracts="paid")
    shop.join(30 * 86_400)
    assert shop.rewards("a") == shop.rewards("b") == [0.0, 0.4, 0.2, 0.0]
    assert shop.shares("a") == {"paid": 2, "fix": 2, "back": 2}
    assert shop.audited() == {AuditVerdict.IDENTICAL}


def test_an_order_goes_where_the_event_did_that_tied_it(store: Any) -> None:
    shop = Shop(store)
    shop.logged("a", "even", 0)
    shop.logged("b", "even", 10)
    assert shop.report("early", 12, 30.0, order="o-1", metric="margin") is PARKED
    assert shop.report("paid", 20, decision="b", order="o-1") is ACCEPTED
    assert shop.report("margin", 30, 40.0, order="o-1", metric="margin", source="returns") is ACCEPTED
    shop.join()
    assert shop.rewards("a") == [0.0]
    assert shop.rewards("b") == [9.75]
    assert shop.shares("b") == {"paid": 1, "early": 1, "margin": 1}


def test_an_order_may_be_tied_to_several_decisions_by_several_events(store: Any) -> None:
    shop = Shop(store)
    for name, policy, at in (("a", "even", 0), ("b", "even", 10), ("c", "last", 12), ("d", "none", 14)):
        shop.logged(name, policy, at)
        shop.report(f"seen-{name}", 20, decision=name, order="o-1")
    shop.report("paid", 30, order="o-1")
    shop.join()
    assert [shop.shares(name).get("paid") for name in "abcd"] == [2, 2, 1, None]


def test_a_retraction_by_the_order_reaches_an_event_that_named_its_decision(store: Any) -> None:
    shop = Shop(store)
    shop.logged("a", "last", 0, None)
    shop.report("paid", 20, decision="a", order="o-1")
    shop.join()
    assert shop.report("back", 9000, None, order="o-1", retracts="paid") is ACCEPTED
    shop.join()
    assert shop.rewards("a") == [1.0, 0.0]
    assert shop.audited() == {AuditVerdict.IDENTICAL}


def test_without_a_rule_only_decisions_that_are_named_have_rewards(store: Any) -> None:
    shop = Shop(store)
    shop.logged("a", "none", 0)
    assert shop.report("paid", 20, subject="ann", order="o-1") is PARKED
    assert shop.report("direct", 20, 0.5, decision="a", order="o-1") is ACCEPTED
    assert shop.report("more", 30, order="o-1") is PARKED
    shop.join()
    assert shop.rewards("a") == [0.5]


def test_what_is_out_of_range_or_not_listed_is_said_and_not_counted(store: Any) -> None:
    shop = Shop(store)
    shop.logged("a", "last", 0)
    assert shop.report("wild", 20, 7.0, subject="ann") is QUARANTINED
    assert shop.report("margin", 20, 7.0, subject="ann", metric="margin") is PARKED, "not among the rule's metrics"
    assert shop.report("fixed", 30, 0.5, subject="ann", corrects="wild") is ACCEPTED
    shop.join()
    assert shop.rewards("a") == [0.5]


def test_events_of_one_delivery_know_of_each_other(store: Any) -> None:
    shop = Shop(store)
    shop.logged("a", "last", 0)
    receipts = shop.record(
        shop.event("paid", 20, subject="ann", order="o-1"),
        shop.event("again", 30, 0.5, order="o-1"),
        shop.event("back", 40, None, order="o-1", retracts="paid"),
        shop.event("both", 30, decision="a", subject="ann"),
        shop.event("nobody", 30),
    )
    rejected = RewardStatus.REJECTED
    assert [receipt.status for receipt in receipts] == [ACCEPTED, ACCEPTED, ACCEPTED, rejected, rejected]


def test_a_reward_waits_a_week_for_a_decision_and_then_counts(store: Any) -> None:
    shop = Shop(store)
    decision = shop.decide("a", "last", 0)
    assert shop.report("paid", 20, subject="ann", order="o-1") is PARKED
    assert shop.report("again", 30, 0.5, order="o-1") is PARKED
    for day in range(9):
        shop.join(day * 86_400)
    shop.log("a")
    shop.join(9 * 86_400)
    assert shop.settlements("a")[0].counted == 2
    assert store.ledger.known_at([decision.decision_id], store.outcomes.ledger_cut()).keys() == {decision.decision_id}


def test_a_decision_that_is_logged_late_takes_over_what_is_its_own(store: Any) -> None:
    shop = Shop(store)
    shop.logged("a", "last", 0)
    shop.decide("b", "last", 10)
    shop.report("paid", 20, subject="ann", order="o-1")
    shop.report("more", 30, 0.5, order="o-1")
    shop.join()
    cut = store.outcomes.ledger_cut()
    assert shop.rewards("a") == [1.0]
    shop.log("b")
    shop.join()
    assert (shop.rewards("a"), shop.rewards("b")) == ([1.0, 0.0], [1.0])
    assert (shop.shares("a"), shop.shares("b")) == ({}, {"paid": 1, "more": 1})
    names = [row.decision_id for row in shop.decisions.values()]
    assert store.ledger.known_at(names, cut).keys() == {names[0]}, "as it was known then"
    assert store.ledger.known_at(names, store.outcomes.ledger_cut()).keys() == {names[1]}
    assert shop.audited() == {AuditVerdict.IDENTICAL}


def test_an_order_may_be_tied_to_a_decision_that_is_not_logged_yet(store: Any) -> None:
    shop = Shop(store)
    shop.decide("a", "last", 0, None)
    assert shop.report("paid", 20, 0.5, decision="a", order="o-1") is PARKED
    assert shop.report("more", 30, order="o-1") is PARKED
    shop.join()
    shop.log("a")
    shop.join()
    assert shop.rewards("a") == [1.0]


def test_a_decision_that_was_set_aside_takes_nothing_away(store: Any) -> None:
    shop = Shop(store)
    for name, at in (("a", 0), ("b", 10), ("c", 12)):
        shop.logged(name, "last", at)
    abandoned = [shop.decisions[name].decision_id for name in "bc"]
    store.decisions.abandon(abandoned[:1])
    shop.report("paid", 20, subject="ann")
    shop.join(21)
    assert [shop.shares(name) for name in "abc"] == [{}, {}, {"paid": 1}]
    store.decisions.abandon(abandoned[1:])
    shop.join()
    assert [shop.shares(name) for name in "abc"] == [{"paid": 1}, {}, {}]


def test_a_first_reward_closes_early_on_what_its_shopper_was_known_for(store: Any) -> None:
    shop = Shop(store)
    shop.decide("a", "eager", 0)
    shop.report("parked", 5, 0.25, subject="ann", metric="purchase")
    shop.join(6)
    shop.log("a")
    shop.report("paid", 20, 0.5, subject="ann")
    shop.join(21)
    assert [settlement.counted for settlement in shop.settlements("a")] == [2]
    assert shop.audited() == {AuditVerdict.IDENTICAL}


def test_amendments_may_be_chained_and_ring_and_arrive_before_what_they_amend(store: Any) -> None:
    shop = Shop(store)
    shop.logged("a", "last", 0)
    shop.record(
        shop.event("c", 50, 0.25, subject="ann", corrects="b"),
        shop.event("b", 40, 0.5, subject="ann", corrects="paid"),
        shop.event("y", 40, 0.5, subject="ann", corrects="x"),
        shop.event("x", 40, 0.5, subject="ann", corrects="y"),
    )
    shop.join()
    shop.report("paid", 20, subject="ann")
    shop.join()
    assert shop.rewards("a") == [0.0, 0.25]
    assert shop.shares("a") == {"c": 1, "b": 1, "paid": 1}


def test_a_shopper_s_decisions_before_the_event_are_bounded(store: Any) -> None:
    shop = Shop(store)
    for index in range(120):
        shop.logged(f"d{index}", "even", index / 100)
    shop.report("paid", 50, subject="ann")
    shop.join()
    assert [shop.shares(f"d{index}") for index in (19, 20, 119)] == [{}, {"paid": 100}, {"paid": 100}]


def test_what_stands_for_no_order_ties_nothing_however_it_grew(store: Any) -> None:
    ends = []
    for batch in (1, 60, 200):
        shop = Shop(store)
        shop.logged("a", "last", 0)
        shop.report("tie", 20, 0.5, decision="a", order="none")
        shop.report("early", 21, order="none")
        shop.join()
        assert shop.shares("a") == {"tie": 1, "early": 1}
        events = [shop.event(f"r{index}", 22, order="none") for index in range(99)]
        for start in range(0, len(events), batch):
            shop.record(*events[start : start + batch])
            shop.join()
        ends.append((shop.shares("a"), shop.rewards("a")[-1]))
        shop.report("late", 23, order="none")
        shop.join()
        ends.append((shop.shares("a"), shop.rewards("a")[-1]))
        assert shop.audited() == {AuditVerdict.IDENTICAL}
    assert ends == [({"tie": 1}, 0.5)] * 6


@pytest.mark.parametrize("events_first", [True, False])
def test_forgetting_a_shopper_leaves_no_event_and_no_other_shopper_s_behind(store: Any, *, events_first: bool) -> None:
    shop = Shop(store)
    shop.logged("a", "last", 0)
    shop.logged("b", "last", 0, "bob")
    shop.logged("c", "even", 1)
    shop.logged("d", "even", 2, "bob")
    shop.logged("e", "first", 3)
    shop.report("paid", 20, subject="ann", order="o-1")
    shop.report("order", 30, order="o-1")
    shop.report("fix", 31, 0.5, order="o-1", corrects="order")
    shop.report("bob", 20, subject="bob")
    for name, order in (("c", "o-2"), ("d", "o-2"), ("e", "o-3")):
        shop.report(f"direct-{name}", 20, decision=name, order=order)
    shop.report("joint", 30, order="o-2")
    shop.report("lone", 30, order="o-3")
    shop.join()
    shop.report("untaken", 30, subject="ann")
    assert (shop.shares("c")["joint"], shop.shares("d")["joint"], shop.shares("e")["lone"]) == (2, 2, 1)
    ann, received = shop.hmac("ann"), START + timedelta(hours=1)
    assert store.outcomes.forget_shopper(ann, START) == {"reward_ledger": 0, "credits": 0}, "nothing had come by then"
    if events_first:
        assert store.outcomes.forget_shopper(ann, received) == {"reward_ledger": 5, "credits": 10}
    for policy, name in (("last", "a"), ("even", "c"), ("first", "e")):
        store.outcomes.erase(PolicyName(policy), [shop.decisions[name].decision_id], START)
    assert store.outcomes.forget_shopper(ann, received)["reward_ledger"] == (0 if events_first else 4)
    shop.join()
    assert [shop.shares(name) for name in "ace"] == [{}, {}, {}]
    assert [shop.shares(name) for name in "bd"] == [{"bob": 1}, {"direct-d": 1, "bob": 1, "joint": 2}]
    assert shop.audited() == {AuditVerdict.IDENTICAL}
    assert shop.report("paid", 20, subject="ann", order="o-1") is RewardStatus.DUPLICATE
    kept = [RewardId(f"{shop.tag}/{name}") for name in ("paid", "order", "fix", "untaken", "lone", "joint", "bob")]
    with store.ledger.addresses() as addresses:
        left = addresses.amended([(Source("till"), name) for name in kept])
    assert sorted(event.reward_id for event in left) == sorted(kept[-2:])


@pytest.mark.parametrize("events_first", [True, False])
def test_forgetting_a_shopper_changes_nobody_else_s_outcome(store: Any, *, events_first: bool) -> None:
    shop = Shop(store)
    shop.logged("c", "even", 1)
    shop.logged("d", "even", 2, "bob")
    for name in "cd":
        shop.report(f"tie-{name}", 20, 0.0, decision=name, order="o-2")
    shop.report("joint", 30, order="o-2")
    shop.report("own", 21, subject="bob")
    shop.report("ann's order", 22, 0.0, decision="c", order="o-3")
    shop.join()
    shop.report("joint back", 40, None, subject="ann", retracts="joint")
    shop.report("own less", 41, 0.5, order="o-3", corrects="own")
    shop.join()
    before = shop.rewards("d")
    assert shop.shares("d").keys() >= {"joint", "joint back", "own", "own less"}
    ann, received = shop.hmac("ann"), START + timedelta(hours=1)
    if events_first:
        store.outcomes.forget_shopper(ann, received)
    store.outcomes.erase(PolicyName("even"), [shop.decisions["c"].decision_id], START)
    store.outcomes.forget_shopper(ann, received)
    shop.join()
    assert shop.audited() == {AuditVerdict.IDENTICAL}
    shop.report("more", 42, 0.75, subject="bob")
    shop.join()
    assert before[-1] == 0.5
    assert shop.rewards("d")[-1] == 0.75, "and not 1.0, what the amended ones were worth"
    assert shop.audited() == {AuditVerdict.IDENTICAL}


def test_credits_go_with_the_days_of_their_decisions(postgres_store: Any, postgres_dsn: str) -> None:
    shop = Shop(postgres_store)
    shop.logged("a", "even", 0)
    shop.logged("b", "even", 10)
    shop.report("paid", 20, subject="ann")
    shop.join()
    for day in (97, 150):  # beyond the days after which what nobody has is looked at for the last time
        postgres_store.retention.drop(START + timedelta(days=day), timedelta(days=140), timedelta(days=7), seconds=30)
        with psycopg.connect(postgres_dsn) as connection:
            rows = connection.execute(
                "SELECT (SELECT count(*) FROM credits), (SELECT count(*) FROM reward_ledger), "
                "(SELECT count(*) FROM reward_keys)"
            ).fetchone()
            assert rows == ((2, 1, 1) if day == 97 else (0, 0, 0))


def test_a_direct_reward_asks_nothing_about_addresses(store: Any) -> None:
    shop = Shop(store)
    shop.logged("a", "last", 0)
    shop.report("direct", 20, decision="a")
    with store.ledger.addresses() as addresses:
        assert addresses.amended([(Source("till"), RewardId(f"{shop.tag}/direct"))]) == []
        assert addresses.linking([shop.decisions["a"].decision_id]) == []


# What the property below permutes: decisions of two shoppers under every rule, and events of every kind about them.
DECISIONS = [
    ("a1", "last", 0.0, "ann"),
    ("a2", "last", 10.0, "ann"),
    ("b1", "even", 1.0, "ann"),
    ("b2", "even", 11.0, "ann"),
    ("b3", "even", 12.0, "bob"),
    ("c1", "first", 2.0, "ann"),
    ("c2", "first", 12.0, "ann"),
    ("e1", "eager", 3.0, "ann"),
    ("e2", "eager", 13.0, "ann"),
    ("s1", "shown", 4.0, "ann"),
    ("s2", "shown", 14.0, "ann"),
    ("n1", "none", 5.0, "ann"),
]
EVENTS: list[tuple[str, float, float | None, dict[str, str]]] = [
    ("paid", 20.0, 0.75, {"subject": "ann", "order": "o-1"}),
    ("later", 61.0, 0.5, {"subject": "ann"}),
    ("bob", 20.0, 0.5, {"subject": "bob", "order": "o-1"}),
    ("direct", 25.0, 0.25, {"decision": "b1", "order": "o-2"}),
    ("tie", 26.0, 0.125, {"decision": "b3", "order": "o-2"}),
    ("lone", 30.0, 30.0, {"order": "o-1", "metric": "margin"}),
    ("lone-2", 40.0, 50.0, {"order": "o-2", "metric": "margin", "source": "returns"}),
    ("fix", 70.0, 0.25, {"order": "o-1", "corrects": "paid"}),
    ("fix-fix", 80.0, 1.0, {"subject": "ann", "corrects": "fix"}),
    ("wild", 35.0, 7.0, {"subject": "ann"}),
    ("tamed", 45.0, 0.9, {"subject": "ann", "corrects": "wild"}),
    ("back", 90.0, None, {"order": "o-2", "retracts": "direct"}),
    ("back-lone", 95.0, None, {"order": "o-1", "retracts": "lone"}),
]
SHOWN = {"s1"}


def finally_(store: Any, arrivals: Sequence[Any], subset: Callable[[str], bool]) -> tuple[Any, Any]:
    """How all decisions stand once everything has arrived in this order, with passes in between."""
    shop = Shop(store)
    for name, policy, at, subject in DECISIONS:
        shop.decide(name, policy, at, subject)
    names = [row.decision_id for row in shop.decisions.values()]
    readings = []
    for step in arrivals:
        if step in ("open", "closed"):
            shop.join(19.0 if step == "open" else 86_400.0)
            cut = store.outcomes.ledger_cut()
            readings.append((cut, store.ledger.known_at(names, cut)))
        elif not subset(step[0]):
            continue
        elif len(step) == 4 and isinstance(step[3], dict):
            shop.report(step[0], step[1], step[2], **step[3])
        else:
            shop.log(step[0], shown=step[0] in SHOWN)
    for _ in range(2):
        shop.join()
    assert shop.audited() == {AuditVerdict.IDENTICAL}
    assert [store.ledger.known_at(names, cut) for cut, _ in readings] == [known for _, known in readings]
    logged = [name for name, *_ in DECISIONS if subset(name)]
    return {name: shop.settlements(name)[-1] for name in logged}, {name: shop.shares(name) for name in logged}


def test_the_property_s_events_come_to_what_the_rules_say(store: Any) -> None:
    settled, shares = finally_(store, [*DECISIONS, *EVENTS], lambda _: True)
    about_paid, about_lone, wild = {"paid", "fix", "fix-fix"}, {"lone", "back-lone"}, {"wild", "tamed"}
    assert {name: set(shares[name]) for name in shares} == {
        "a1": set(),
        "a2": {"later"} | about_paid | wild,  # margins are not among its rule's metrics
        "b1": {"later", "direct", "back", "lone-2"} | about_paid | about_lone | wild,
        "b2": {"later"} | about_paid | about_lone | wild,
        "b3": {"bob", "tie", "lone-2"} | about_lone,
        "c1": about_paid | about_lone,
        "c2": wild,  # by then the first was made too long before
        "e1": set(),
        "e2": {"later"} | about_paid | about_lone | wild,
        "s1": {"later"} | about_paid | about_lone | wild,
        "s2": set(),  # never shown
        "n1": set(),
    }
    assert {parts for name in ("a2", "c1", "c2", "e2", "s1") for parts in shares[name].values()} == {1}
    assert shares["b1"] == dict.fromkeys(about_paid | wild, 2) | dict.fromkeys(about_lone, 3) | {
        "later": 2,
        "direct": 1,
        "back": 1,
        "lone-2": 2,
    }
    assert settled["a2"].metrics == {"purchase": 1.0}
    assert settled["b1"].metrics == settled["b3"].metrics | {"purchase": 0.5} == {"purchase": 0.5, "margin": 25.0}
    assert settled["b2"].metrics == {"purchase": 0.5}


ARRIVALS = st.permutations([*DECISIONS, *EVENTS, *EVENTS[::3], "open", "open", "closed", "closed"])
MISSING = st.sets(st.sampled_from([name for name, *_ in [*DECISIONS, *EVENTS]]), max_size=6)


def same_whatever_the_order(store: Any, arrivals: Sequence[Any], without: set[str]) -> None:
    for name, *_, told in EVENTS:
        if told.get("decision") in without:
            without = without | {name}
    in_order = finally_(store, [*DECISIONS, *EVENTS], lambda name: name not in without)
    assert finally_(store, arrivals, lambda name: name not in without) == in_order


def many(examples: int) -> settings:
    slow = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(deadline=None, max_examples=examples, suppress_health_check=slow)


@many(150)
@given(ARRIVALS, MISSING)
def test_every_order_in_which_decisions_and_events_arrive_ends_the_same_in_memory(
    arrivals: Sequence[Any], without: set[str]
) -> None:
    same_whatever_the_order(MemoryStore(), arrivals, without)


@many(10)
@given(ARRIVALS, MISSING)
def test_every_order_in_which_decisions_and_events_arrive_ends_the_same(
    postgres_store: Any, arrivals: Sequence[Any], without: set[str]
) -> None:
    same_whatever_the_order(postgres_store, arrivals, without)


def test_the_first_event_of_a_shopper_is_found_in_the_pass_that_takes_it(store: Any, make: Any, noon: datetime) -> None:
    named = make.entry(None, "first", subject=b"shopper")
    tied = make.entry(make.decision().decision_id, "second", order=b"order")
    around = {b"shopper": (noon, noon + timedelta(hours=1))}

    def found(sequencing: Any) -> tuple[list[RewardEvent], list[RewardEvent]]:
        addresses = sequencing.addresses
        return addresses.naming_shoppers(around), addresses.linking([tied.event.decision_id])

    with store.outcomes.sequencing() as sequencing:
        assert found(sequencing) == ([], [])
        store.ledger.append([named])
        assert found(sequencing) == ([], []), "it has no position yet"
        sequencing.take_rewards(10)
        assert found(sequencing) == ([named.event], [])
    store.ledger.append([tied])
    with store.outcomes.sequencing() as sequencing:
        assert found(sequencing) == ([named.event], [])
        sequencing.take_rewards(10)
        assert found(sequencing) == ([named.event], [tied.event])
