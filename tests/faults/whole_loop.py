"""The whole loop against a simple truth: decide, reward, amend, crash, restart, learn, erase, in any order there is.

Promotions and roll-backs are not in it yet: they belong here as soon as policies can be promoted.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from cxi_bandit.domain.errors import IdempotencyConflict
from cxi_bandit.domain.identifiers import DecisionId, RewardId, Source
from cxi_bandit.domain.reward import RewardEvent
from cxi_bandit.engine.audit import AuditVerdict, DecisionAudit, audit_models
from cxi_bandit.engine.audit_outcomes import audit_outcomes
from cxi_bandit.engine.decide import admit, decide
from cxi_bandit.engine.install import install
from cxi_bandit.engine.join import join
from cxi_bandit.engine.learn import Learner
from cxi_bandit.engine.ports import DecisionEntry, IdempotencyToken
from cxi_bandit.engine.rebuild import rebuild
from cxi_bandit.engine.record import record
from cxi_bandit.store.memory import MemoryStore
from tests.faults.proof import Losses, Proof, Tell
from tests.faults.truth import HORIZON, MANIFEST, Event, Truth
from tests.harness.ground import Ground

BEGIN = datetime(2026, 3, 1, 9, tzinfo=UTC)
SHOP = Source("shop")

KEYS = st.none() | st.sampled_from(["a", "b", "c"])
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
    events = Bundle("events")

    def __init__(self, open_store: Callable[[], Store]) -> None:
        super().__init__()
        self.store = open_store()
        self.truth = Truth()
        self.now = BEGIN
        self.names = iter(range(1_000_000))
        self.last: DecisionId | None = None
        install(self.store.registry, [("loop.toml", MANIFEST)], self.now, "test")
        self.version = self.store.registry.versions()[0]
        self.boot()

    def boot(self) -> None:
        """A new process over the same store: nothing is left of the one before."""
        self.engine = build_engine(self.store, lambda: self.now)
        self.engine.serving.refresh()
        self.learner = Learner(self.store.registry, self.store.outcomes, self.engine.manifests, self.engine.room)
        self.last = None

    def make(self, key: str | None, cart: float) -> Made:
        request = DecisionRequest("cart", Defect("coupon_failure", 0.5, 0.5), {"cart_value": cart})
        engine, served = self.engine, self.engine.serving.route(request)
        decision_id = engine.mint.mint(self.now)
        assert self.last is None or decision_id > self.last, "ids of one process never run backwards"
        self.last = decision_id
        drawn = decide(request, admit(request, served), served, decision_id, engine.draw_key, engine.subject_key)
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

    @rule(target=logged, key=KEYS, cart=CARTS)
    def decide(self, key: str | None, cart: float) -> Any:
        self.now += timedelta(seconds=1)
        return multiple(*self.append(self.make(key, cart)))

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
        self.engine.serving.refresh()
        self.truth.learn()

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
                self.truth.known[name].erasure is not None and self.truth.known[name].erasure > lineage.erasure_cut
                for name in self.truth.first_closes(lineage.up_to, lineage.after)
            )
            assert finding.verdict is (AuditVerdict.ERASED if clouded else AuditVerdict.IDENTICAL)
        standing = [known.decision for known in self.truth.known.values() if known.erasure is None]
        audit = DecisionAudit(store.registry, engine.manifests, store.keyring, engine.room)
        assert {audit.audit(decision).verdict for decision in standing} <= {AuditVerdict.IDENTICAL}
        settled = audit_outcomes(standing, store.ledger, store.outcomes, engine.manifests)
        assert {finding.verdict for finding in settled} <= {AuditVerdict.IDENTICAL}


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
