"""The whole loop against a simple truth: decide, reward, amend, promote, roll back, learn, crash, in any order."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from cxi_bandit.bootstrap import Store, build_engine
from cxi_bandit.domain.decision import Decision, DecisionRequest, Defect
from cxi_bandit.domain.errors import IdempotencyConflict, InvalidInput, WrongStep
from cxi_bandit.domain.gate import RefusedByGate
from cxi_bandit.domain.identifiers import DecisionId, InterventionId, RewardId, Source
from cxi_bandit.domain.override import Override
from cxi_bandit.domain.reward import RewardEvent
from cxi_bandit.engine.audit import AuditVerdict, DecisionAudit, audit_models
from cxi_bandit.engine.audit_outcomes import audit_outcomes
from cxi_bandit.engine.candidacy import Proposal
from cxi_bandit.engine.choose import Keys
from cxi_bandit.engine.install import install
from cxi_bandit.engine.join import join
from cxi_bandit.engine.learn import Learner
from cxi_bandit.engine.override import halt, lift, pin
from cxi_bandit.engine.ports import DecisionEntry, IdempotencyToken
from cxi_bandit.engine.promote import approve, go_live, next_step, propose
from cxi_bandit.engine.rebuild import rebuild
from cxi_bandit.engine.record import record
from cxi_bandit.engine.rollback import roll_back
from cxi_bandit.store.memory import MemoryStore
from tests.faults.proof import Losses, Proof, Tell
from tests.faults.rolled import Pin
from tests.faults.truth import COLD_OUTCOMES, COSTS, HORIZON, MANIFEST, SECOND, Event, Truth
from tests.harness.evidence import file_report
from tests.harness.ground import Ground

BEGIN = datetime(2026, 3, 1, 9, tzinfo=UTC)
SHOP = Source("shop")

KEYS = st.none() | st.sampled_from(["a", "b", "c"])
SUBJECT_KEY = b"the same in every life of a history, so that its shoppers are in the same arms"
SHOPPERS = st.none() | st.sampled_from([f"shopper {number}" for number in range(8)])
CARTS = st.sampled_from([10.0, 200.0])
METRICS = st.sampled_from(["purchase", "complaint"])
VALUES = st.sampled_from([0.0, 0.25, 0.5, 1.0, 1.5, 9.0])
OFFSETS = (st.integers(0, 65) | st.just(-7200)).map(lambda seconds: timedelta(seconds=seconds))
"""When an event happened, from its decision: mostly in the window of a minute, sometimes after it or long before."""


STEPS = 40
ON_POSTGRES = 4
"""One history in so many is lived on PostgreSQL, where it takes that much longer."""


class Died(Exception):
    """The process ended here, for the sake of the test."""


class Made(NamedTuple):
    """A decision that was drawn, and the request's key and body."""

    decision: Decision
    key: str | None
    body: bytes


class WholeLoop(RuleBasedStateMachine):
    """Rules act on the engine and on the truth alike; invariants hold one against the other."""

    held = Bundle("held")
    logged = Bundle("logged")
    promoted = Bundle("promoted")
    events = Bundle("events")

    def __init__(self, open_store: Callable[[], Store]) -> None:
        super().__init__()
        self.store = open_store()
        self.truth = Truth()
        self.now = BEGIN
        self.names = iter(range(1_000_000))
        self.visitors = iter(range(1_000_000))
        self.last: DecisionId | None = None
        for text in (MANIFEST, SECOND):
            install(self.store.registry, [("loop.toml", text)], self.now, "test")
        self.version = self.store.registry.versions()[0]
        self.boot()

    def boot(self) -> None:
        """A new process over the same store: nothing is left of the one before."""
        self.engine = build_engine(self.store, lambda: self.now)
        self.engine.serving.refresh()
        self.learner = Learner(self.store.registry, self.store.outcomes, self.engine.manifests, self.engine.room)
        self.last = None

    def make(self, key: str | None, cart: float, shopper: str | None = None) -> Made:
        defect = Defect("coupon_failure", 0.5, 0.5)
        shopper = shopper or f"shopper {next(self.visitors) % 16}"
        request = DecisionRequest("cart", defect, {"cart_value": cart}, subject=shopper)
        engine = self.engine
        decision_id = engine.mint.mint(self.now)
        assert self.last is None or decision_id > self.last, "ids of one process never run backwards"
        self.last = decision_id
        serving, keys = engine.serving, Keys(engine.draw_key, SUBJECT_KEY)
        drawn = serving.rollout_for(request).choose(request, serving.overrides, decision_id, keys).decision
        self.truth.drawn(drawn, cart)
        return Made(drawn, key, hashlib.sha256(msgspec.json.encode(cart)).digest())

    def append(self, *made: Made) -> list[DecisionId]:
        """Appends one batch; the answers must be those of the truth. Returns what is new in the log."""
        entries = [
            DecisionEntry(each.decision, None if each.key is None else IdempotencyToken("shop", each.key, each.body))
            for each in made
        ]
        answers = self.store.decisions.append(entries)
        expected = [self.truth.stands(each.key, each.body, each.decision) for each in made]
        told = [None if isinstance(answer, IdempotencyConflict) else answer.decision_id for answer in answers]
        assert told == expected
        return [each.decision.decision_id for each in made if each.decision.decision_id in expected]

    @initialize(target=logged)
    def first(self) -> Any:
        return multiple(*self.append(self.make(None, 10.0)))

    @rule(target=logged, key=KEYS, cart=CARTS, shopper=SHOPPERS)
    def decide(self, key: str | None, cart: float, shopper: str | None) -> Any:
        self.now += timedelta(seconds=1)
        return multiple(*self.append(self.make(key, cart, shopper)))

    @rule(target=logged, asked=st.lists(st.tuples(KEYS, CARTS), min_size=2, max_size=6))
    def decide_in_one_batch(self, asked: list[tuple[str | None, float]]) -> Any:
        return multiple(*self.append(*(self.make(key, cart) for key, cart in asked)))

    @rule(target=held, key=KEYS, cart=CARTS)
    def decide_but_commit_later(self, key: str | None, cart: float) -> Made:
        self.now += timedelta(seconds=1)
        return self.make(key, cart)

    @rule(target=logged, made=consumes(held))
    def commit_late(self, made: Made) -> Any:
        if made.decision.decision_id in self.truth.known:
            return multiple()
        return multiple(*self.append(made))

    @rule(target=logged, made=held)
    def commit_twice(self, made: Made) -> Any:
        """The first answer was lost on its way, and the batch is sent again."""
        if made.decision.decision_id in self.truth.known:
            return multiple()
        fresh = self.append(made)
        if fresh:
            again = self.store.decisions.append([DecisionEntry(made.decision)])
            assert [answer.decision_id for answer in again] == fresh
        return multiple(*fresh)

    @rule(target=events, decision=logged, metric=METRICS, value=VALUES, after=OFFSETS)
    def reward(self, decision: DecisionId, metric: str, value: float, after: timedelta) -> Any:
        return self.observe(self.truth.known[decision].decision, metric, value, after)

    @rule(target=events, made=held, value=VALUES, after=OFFSETS)
    def reward_before_its_decision_is_logged(self, made: Made, value: float, after: timedelta) -> Any:
        return self.observe(made.decision, "purchase", value, after)

    @rule(target=events, amended=events, value=st.none() | VALUES, metric=METRICS, after=OFFSETS)
    def amend(self, amended: Event, value: float | None, metric: str, after: timedelta) -> Any:
        """Corrects, or without a value retracts; sometimes under another metric, sometimes an amendment itself."""
        amending = {"retracts" if value is None else "corrects": amended.name}
        return self.send(amended.decision, metric, value, amended.occurred_at + after, **amending)

    def observe(self, decision: Decision, metric: str, value: float, after: timedelta) -> Any:
        return self.send(decision.decision_id, metric, value, decision.decided_at + after)

    def send(self, decision: DecisionId, metric: str, value: float | None, at: datetime, **amending: str) -> Any:
        if self.erased(decision):
            return multiple()
        event = Event(f"r{next(self.names)}", decision, metric, value, at, **amending)
        self.deliver(event)
        return event

    @rule(event=events, times=st.integers(1, 3))
    def deliver_again(self, event: Event, times: int) -> None:
        if not self.erased(event.decision):
            for _ in range(times):
                self.deliver(event)

    @rule(event=events)
    def deliver_another_under_the_same_name(self, event: Event) -> None:
        if not self.erased(event.decision) and event.value is not None:
            self.deliver(Event(event.name, event.decision, event.metric, event.value + 1, event.occurred_at))

    def deliver(self, event: Event) -> None:
        sent = RewardEvent(
            source=SHOP,
            reward_id=RewardId(event.name),
            decision_id=event.decision,
            metric=event.metric,
            value=event.value,
            occurred_at=event.occurred_at,
            corrects=event.corrects and RewardId(event.corrects),
            retracts=event.retracts and RewardId(event.retracts),
        )
        engine = self.engine
        [receipt] = record([sent], self.now, self.store.decisions, self.store.ledger, engine.manifests)
        assert receipt.status == self.truth.deliver(event), receipt

    def erased(self, decision: DecisionId) -> bool:
        known = self.truth.known.get(decision)
        return known is not None and known.erasure is not None

    @rule(seconds=st.sampled_from([1.0, 30.0, 61.0, 3600.0, -3600.0]))
    def time_goes_by_or_the_clock_jumps(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    @rule()
    def join(self) -> None:
        join(self.store.outcomes, self.engine.manifests, self.now, timedelta(0))
        self.truth.sequence(self.now)

    @rule()
    def let_windows_close(self) -> None:
        self.now += HORIZON + timedelta(seconds=1)
        self.join()

    @rule()
    def join_and_die(self) -> None:
        """A pass that ends with its process just before the commit leaves no trace."""

        class Mortal:
            @contextmanager
            def sequencing(_) -> Iterator[Any]:  # noqa: N805 - the machine is self
                with self.store.outcomes.sequencing() as sequencing:
                    yield sequencing
                    raise Died

        try:
            join(Mortal(), self.engine.manifests, self.now, timedelta(0))
        except Died:
            self.boot()

    @rule()
    def restart(self) -> None:
        self.boot()

    @rule()
    def learn(self) -> None:
        while self.learner.step(self.version, self.now) is not None:
            pass
        self.truth.learn()
        self.take_up()

    @rule(target=logged, shoppers=st.lists(SHOPPERS, min_size=6, max_size=6))
    def a_busy_hour(self, shoppers: list[str | None]) -> Any:
        """As much as it takes for a model to choose, decided, closed and learned."""
        made = []
        for shopper in shoppers:
            self.now += timedelta(seconds=1)
            made += self.append(self.make(None, 10.0, shopper))
        self.let_windows_close()
        self.learn()
        return multiple(*made)

    @rule()
    def learn_and_die(self) -> None:
        """A learner that ends before its publication commits, and the one that comes after it."""
        registry = self.store.registry

        class Mortal:
            def __getattr__(self, name: str) -> Any:
                return getattr(registry, name)

            def publish(self, *_: object, **__: object) -> None:
                raise Died

        mortal = Learner(Mortal(), self.store.outcomes, self.engine.manifests, self.engine.room)
        try:
            mortal.step(self.version, self.now)
        except Died:
            self.boot()

    @precondition(lambda self: self.truth.learned_up_to > 0)
    @rule()
    def rebuild(self) -> None:
        parts = (self.store.registry, self.store.outcomes, self.engine.manifests, self.engine.room)
        for _ in rebuild(self.version, self.now, *parts):
            pass
        self.truth.rebuild()
        self.take_up()

    def take_up(self) -> None:
        """Workers hear of what is new; the newest model of the first version chooses once it has learned enough."""
        self.engine.serving.refresh()
        head = self.store.registry.head(self.version.policy, self.version.version)
        warm = head is not None and self.truth.learned_total >= COLD_OUTCOMES
        self.truth.rolled.head = head.lineage.version if head is not None and warm else None

    @rule(target=promoted, version=st.sampled_from([1, 2]))
    def propose(self, version: int) -> Any:
        number = self.propose_it(version)
        return multiple() if number is None else number

    def propose_it(self, version: int) -> int | None:
        """On a report filed by hand, which says go for exactly this pair against what is live."""
        policy, ports, rolled = self.version.policy, self.engine.promoting, self.truth.rolled
        number = file_report(ports[:3], policy, version, rolled.candidate(version).model, at=self.now)
        asked = Proposal(policy=policy, version=version, model=None, evaluation_id=number, author="ann")
        if not rolled.propose(version):
            with refusal(InvalidInput):
                propose(asked, ports, self.now)
            return None
        made = propose(asked, ports, self.now).promotion_id
        rolled.proposed(made, version)
        return made

    @rule(number=promoted)
    def approve(self, number: int) -> None:
        self.approve_it(number)

    def approve_it(self, number: int) -> None:
        answers = {"wrong": WrongStep, "refused": RefusedByGate}
        error = answers.get(self.truth.rolled.approve(number))
        with refusal(error):
            approve(number, "bob", self.engine.promoting, self.now)
        self.take_up()

    @precondition(lambda self: self.truth.rolled.canary is not None)
    @rule()
    def next_step(self) -> None:
        self.step_on(self.truth.rolled.canary)

    def step_on(self, number: int) -> None:
        rules = self.engine.manifests.by_sha(self.version.manifest_sha).rollout
        seen, told = self.store.releases.promotion(number), {"by": "watch", "at": self.now, "reason": "enough"}
        with refusal(None if self.truth.rolled.grow(number) else WrongStep):
            next_step(seen, rules, self.store.releases, **told)
        self.take_up()

    @precondition(lambda self: self.truth.rolled.canary is not None)
    @rule()
    def go_live(self) -> None:
        self.take_over(self.truth.rolled.canary)

    @rule(number=promoted)
    def go_live_from_wherever_it_is(self, number: int) -> None:
        self.step_on(number)
        self.take_over(number)

    def take_over(self, number: int) -> None:
        seen, told = self.store.releases.promotion(number), {"by": "watch", "at": self.now, "reason": "it won"}
        with refusal(None if self.truth.rolled.go_live(number) else WrongStep):
            go_live(seen, self.store.registry, self.store.releases, self.engine.manifests, **told)
        self.take_up()

    @rule(target=promoted, version=st.sampled_from([1, 2]))
    def propose_and_approve(self, version: int) -> Any:
        number = self.propose_it(version)
        if number is None:
            return multiple()
        self.approve_it(number)
        return number

    @rule()
    def roll_back(self) -> None:
        told = {"by": "eve", "at": self.now, "reason": "complaints"}
        with refusal(None if self.truth.rolled.roll_back() else WrongStep):
            roll_back(self.store.releases.rollout(self.version.policy), None, self.store.releases, **told)
        self.take_up()

    @rule(intervention=st.sampled_from(sorted(COSTS)), cart=st.none() | CARTS, minutes=st.sampled_from([0.5, 60.0]))
    def pin(self, intervention: str, cart: float | None, minutes: float) -> None:
        asked = Override(
            intervention=InterventionId(intervention),
            author="ann",
            reason="a wrong feed",
            made_at=self.now,
            expires_at=self.now + timedelta(minutes=minutes),
            policy=self.version.policy,
            segment={} if cart is None else {"cart_value": cart},
        )
        made = pin(asked, self.store.registry, self.store.releases, self.engine.manifests)
        self.truth.rolled.pins[made.override_id] = Pin(intervention, cart, made.expires_at)
        self.take_up()

    @rule(everything=st.booleans())
    def halt(self, everything: bool) -> None:
        policy = None if everything else self.version.policy
        made = halt(policy, "eve", "the shop is down", self.store.releases, self.now)
        self.truth.rolled.pins[made.override_id] = Pin("hold")
        self.take_up()

    @precondition(lambda self: self.truth.rolled.pins)
    @rule(data=st.data())
    def lift(self, data: st.DataObject) -> None:
        pins = self.truth.rolled.pins
        number = data.draw(st.sampled_from(sorted(pins)))
        with refusal(WrongStep if pins[number].lifted else None):
            lift(number, "eve", self.store.releases, self.now)
        pins[number] = replace(pins[number], lifted=True)
        self.take_up()

    @rule(decision=logged)
    def erase(self, decision: DecisionId) -> None:
        if not self.erased(decision):
            self.store.outcomes.erase(self.version.policy, [decision], self.now)
            self.truth.forget(decision)

    @invariant()
    def what_was_acknowledged_is_in_the_log_once(self) -> None:
        standing = {name: known.decision for name, known in self.truth.known.items() if known.erasure is None}
        scanned = self.store.decisions.scan(self.version.policy, None, 10_000)
        assert scanned == [standing[name] for name in sorted(standing)]

    @invariant()
    def outcomes_are_the_truth_s(self) -> None:
        assert self.store.outcomes.head(self.version.policy) == len(self.truth.log)
        for name, expected in self.truth.expected.items():
            revisions = self.store.outcomes.revisions(name)
            if self.erased(name):
                assert revisions == []
                continue
            assert [revision.position for revision in revisions] == self.truth.positions(name)
            assert [revision.revision for revision in revisions] == list(range(len(revisions)))
            last = revisions[-1].settlement
            assert (last.reward, last.metrics, last.counted) == (expected.reward, expected.metrics, expected.counted)

    @invariant()
    def what_was_learned_is_the_truth_s(self) -> None:
        head = self.store.registry.head(self.version.policy, self.version.version)
        found = (0, 0) if head is None else (head.lineage.learned_total, head.lineage.up_to)
        assert found == (self.truth.learned_total, self.truth.learned_up_to)

    @invariant()
    def promotions_are_as_far_as_in_the_truth(self) -> None:
        releases, rolled = self.store.releases, self.truth.rolled
        assert {one.promotion_id: (one.step, one.canary_step) for one in releases.promotions()} == {
            number: (way.step, way.canary_step) for number, way in rolled.ways.items()
        }
        rollout, live = releases.rollout(self.version.policy), rolled.pile[-1].pair
        assert (rollout.live.version, rollout.live.model, rollout.live.follows_head) == (
            live.version,
            live.model,
            live.follows,
        )
        assert [one.revision for one in releases.history(self.version.policy)] == [*range(1, rolled.ever + 1)]
        assert {one.override_id for one in releases.overrides()} == {
            number for number, pin in rolled.pins.items() if not pin.lifted
        }

    def teardown(self) -> None:
        try:
            self.audit()
        finally:
            self.store.close()

    def audit(self) -> None:
        """Every model, every decision and every outcome is derived again; only an erasure may stand in the way."""
        store, engine = self.store, self.engine
        parts = (store.registry, store.outcomes, engine.manifests, engine.room)
        for finding in audit_models(store.registry.models(self.version.policy), *parts):
            lineage = finding.model.lineage
            clouded = any(
                self.truth.teaches[name]
                and self.truth.known[name].erasure is not None
                and self.truth.known[name].erasure > lineage.erasure_cut
                for name in self.truth.first_closes(lineage.up_to, lineage.after)
            )
            assert finding.verdict is (AuditVerdict.ERASED if clouded else AuditVerdict.IDENTICAL)
        standing = [known.decision for known in self.truth.known.values() if known.erasure is None]
        audit = DecisionAudit(store.registry, store.releases, engine.manifests, store.keyring, engine.room)
        assert {audit.audit(decision).verdict for decision in standing} <= {AuditVerdict.IDENTICAL}
        settled = audit_outcomes(standing, store.ledger, store.outcomes, engine.manifests)
        assert {finding.verdict for finding in settled} <= {AuditVerdict.IDENTICAL}


@contextmanager
def refusal(error: type[Exception] | None) -> Iterator[None]:
    """What is called in it must be refused so; with None, it must not be refused."""
    if error is None:
        yield
        return
    try:
        yield
    except error:
        return
    raise AssertionError(f"it was not refused as {error.__name__}")


def prove(trials: int, ground: Ground, tell: Tell, *, derandomize: bool = False) -> Proof:
    """`trials` histories of up to 40 steps, most of them in memory, the others on PostgreSQL.

    Args:
        derandomize: The same histories every time.
    """
    on_postgres = max(trials // ON_POSTGRES, 1)
    in_memory = max(trials - on_postgres, 1)
    return live(MemoryStore, in_memory, tell, derandomize=derandomize) + live(
        ground.stores(), on_postgres, lambda done: tell(in_memory + done), derandomize=derandomize
    )


def live(
    open_store: Callable[[], Store], histories: int, tell: Tell, *, derandomize: bool = False, shrink: bool = True
) -> Proof:
    """Histories on one kind of store. The first that goes wrong is told in its shortest form, and ends it."""
    losses = Losses()
    lived = 0

    def begin() -> WholeLoop:
        nonlocal lived
        lived += 1
        tell(lived)
        return WholeLoop(open_store)

    chosen = settings(
        max_examples=histories,
        stateful_step_count=STEPS,
        deadline=None,
        derandomize=derandomize,
        database=None,
        print_blob=False,
        phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(begin, settings=chosen)
    except Exception as error:  # noqa: BLE001 - whatever went wrong in a history is what was looked for
        losses.add("\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())]))
    return losses.proof(lived)
