"""Leases and permits on every store: exact, one after the other and all at once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.decision import HOLD
from cxi_bandit.domain.identifiers import DecisionIdMint, InterventionId, PolicyName, lowest_id_at
from cxi_bandit.engine.ports import DecisionEntry, LeaseRequest, PermitRequest, Unspent
from cxi_bandit.policy.budgets import EXPLORING, Amount, Bound, Line
from cxi_bandit.policy.caps import Caps, Rule
from cxi_bandit.store.postgres import PostgresStore
from cxi_bandit.store.postgres.permits import _USES

CART = PolicyName("cart")
COUPON, RETRY = InterventionId("apply_coupon"), InterventionId("retry")
TODAY = date(2026, 11, 26)
SHOPPER, OTHER = b"s" * 32, b"o" * 32
RACERS = 8


def line(per_day: int, part: float = 1.0, name: InterventionId = COUPON, price: int = 2_000_000) -> Line:
    bound = Bound(int(per_day * part), None)
    return Line(name=name, unit=Amount(1, price), least=1, part=bound, whole=Bound(per_day, None), words="")


def ask(units: int, of: Line, arm: Arm = Arm.LIVE, day: date = TODAY) -> LeaseRequest:
    return LeaseRequest(CART, arm, day, of, units)


def leased(store: Any, day: date = TODAY) -> dict[Arm, int]:
    return {arm: amount.uses for (_, arm), amount in store.budgets.leased(CART, day).items()}


def test_leases_get_smaller_as_a_budget_ends_and_never_exceed_it(store: Any) -> None:
    grants = [store.budgets.lease([ask(1000, line(20))])[0] for _ in range(20)]
    assert grants[:4] == [3, 3, 2, 2]
    assert sum(grants) == 20
    assert grants[-1] == 0
    assert store.budgets.leased(CART, TODAY) == {(COUPON, Arm.LIVE): Amount(20, 40_000_000)}


def test_several_requests_of_one_call_know_of_each_other(store: Any) -> None:
    assert store.budgets.lease([ask(3, line(4)), ask(3, line(4, price=5_000_000)), ask(1, line(9), day=date.max)]) == [
        1,
        1,
        1,
    ]
    assert store.budgets.leased(CART, TODAY) == {(COUPON, Arm.LIVE): Amount(2, 7_000_000)}


def test_an_arm_has_its_part_and_all_together_the_whole(store: Any) -> None:
    for _ in range(20):
        store.budgets.lease([ask(1, line(10, 0.2), Arm.CANARY), ask(1, line(10, 0.8))])
    assert leased(store) == {Arm.CANARY: 2, Arm.LIVE: 8}
    # A ramp in the middle of the day: the canary's part grows, but what the others took of the whole is gone.
    for _ in range(20):
        store.budgets.lease([ask(1, line(11, 0.5), Arm.CANARY)])
    assert leased(store) == {Arm.CANARY: 3, Arm.LIVE: 8}


def test_what_is_given_back_may_be_leased_again(store: Any) -> None:
    (units,) = store.budgets.lease([ask(5, line(40))])
    assert units == 5
    store.budgets.give_back([Unspent(CART, Arm.LIVE, TODAY, COUPON, Amount(1, 2_000_000), 2)])
    assert store.budgets.leased(CART, TODAY) == {(COUPON, Arm.LIVE): Amount(3, 6_000_000)}


def test_what_exploring_costs_is_leased_in_money(store: Any) -> None:
    exploring = Line(
        name=EXPLORING,
        unit=Amount(0, 1),
        least=3_000_000,
        part=Bound(None, 7_500_000),
        whole=Bound(None, 7_500_000),
        words="",
    )
    assert [store.budgets.lease([ask(3_000_000, exploring)])[0] for _ in range(4)] == [
        3_000_000,
        3_000_000,
        1_500_000,
        0,
    ]


def test_days_are_apart_and_old_ones_go(store: Any) -> None:
    tomorrow = TODAY + timedelta(days=1)
    store.budgets.lease([ask(1, line(8)), ask(1, line(8), day=tomorrow)])
    store.budgets.prune(tomorrow)
    assert (leased(store), leased(store, tomorrow)) == ({}, {Arm.LIVE: 1})


def test_racing_leases_never_exceed_the_budget(store: Any) -> None:
    def race(number: int) -> int:
        arm, part = ((Arm.CANARY, 0.25), (Arm.LIVE, 0.75))[number % 2]
        lines = [line(40, part, name) for name in ((COUPON, RETRY) if number % 3 else (RETRY, COUPON))]
        taken = 0
        for _ in range(25):
            units = store.budgets.lease([ask(1 + number % 3, one, arm) for one in lines])
            taken += sum(units)
            if number % 4 == 1 and units[0]:
                store.budgets.give_back([Unspent(CART, arm, TODAY, lines[0].name, lines[0].unit, units[0])])
                taken -= units[0]
        return taken

    with ThreadPoolExecutor(RACERS) as pool:
        taken = sum(pool.map(race, range(RACERS)))
    out = store.budgets.leased(CART, TODAY)
    assert sum(amount.uses for amount in out.values()) == taken
    for name in (COUPON, RETRY):
        assert out[name, Arm.CANARY].uses <= 10
        assert out[name, Arm.LIVE].uses == 30


class Asking:
    """Permit requests of one shopper unless told otherwise, a millisecond apart."""

    def __init__(self, noon: datetime, most: int = 2, seconds: float = 3600.0) -> None:
        self._mint = DecisionIdMint()
        self.now = noon
        about = frozenset({COUPON, RETRY})
        window = timedelta(seconds=seconds)
        self.caps = Caps((Rule(about, most, window, "enough"),), about, window, counts_nobody=False)

    def __call__(self, subject: bytes = SHOPPER, *, keep: bool = True, after: float = 0.001) -> PermitRequest:
        self.now += timedelta(seconds=after)
        return PermitRequest(self._mint.mint(self.now), CART, subject, self.now, self.caps, frozenset({COUPON}), keep)


@pytest.fixture
def asking(noon: datetime) -> Asking:
    return Asking(noon)


def log(store: Any, make: Any, asked: PermitRequest, intervention: InterventionId) -> None:
    named = {"decision_id": asked.decision_id, "decided_at": asked.at, "subject": asked.subject}
    store.decisions.append([DecisionEntry(make.decision(intervention=intervention, **named))])


REFUSED = {COUPON: "enough"}


def test_permits_that_are_out_count_as_uses(store: Any, asking: Asking) -> None:
    assert [store.permits.take([asking()])[0] for _ in range(3)] == [{}, {}, REFUSED]
    assert store.permits.take([asking(OTHER)]) == [{}]


def test_several_of_one_call_know_of_each_other(store: Any, asking: Asking) -> None:
    assert store.permits.take([asking(), asking(OTHER), asking(), asking(), asking(OTHER)]) == [{}, {}, {}, REFUSED, {}]


def test_a_decision_in_the_log_counts_for_what_it_was(store: Any, make: Any, asking: Asking) -> None:
    held, first, second = asking(), asking(), asking()
    store.permits.take([held, first])
    log(store, make, held, HOLD)
    log(store, make, first, COUPON)
    # Their permits were never released, and count for nothing beside the log.
    assert store.permits.take([second]) == [{}]
    log(store, make, second, RETRY)
    store.permits.release([held.decision_id, first.decision_id, second.decision_id])
    assert store.permits.take([asking()]) == [REFUSED]


def test_uses_leave_the_window(store: Any, make: Any, asking: Asking) -> None:
    first, second = asking(), asking(after=1800.0)
    store.permits.take([first, second])
    log(store, make, first, COUPON)
    log(store, make, second, COUPON)
    assert store.permits.take([asking(after=1799.0)]) == [REFUSED]
    assert store.permits.take([asking(after=1.0)]) == [{}]


def test_a_released_permit_counts_no_more(store: Any, asking: Asking) -> None:
    first, second = asking(), asking()
    store.permits.take([first, second])
    store.permits.release([first.decision_id])
    store.permits.release([first.decision_id])
    assert store.permits.take([asking(), asking()]) == [{}, REFUSED]


def test_asking_again_after_a_lost_answer_is_the_same_request(store: Any, asking: Asking) -> None:
    first, second = asking(), asking()
    assert [store.permits.take([first, second]) for _ in range(2)] == [[{}, {}], [{}, {}]]
    assert store.permits.take([asking()]) == [REFUSED]


def test_looking_takes_nothing(store: Any, asking: Asking) -> None:
    assert store.permits.take([asking(keep=False) for _ in range(5)]) == [{}] * 5
    assert store.permits.take([asking(), asking(), asking(keep=False)]) == [{}, {}, REFUSED]


def test_other_policies_and_forgotten_shoppers_are_not_counted(store: Any, make: Any, asking: Asking) -> None:
    for name in (asking(), asking()):
        log(store, make, name, COUPON)
    elsewhere = asking()
    store.permits.take([asking(OTHER), asking(OTHER)])
    assert store.permits.take([elsewhere]) == [REFUSED]
    assert store.permits.forget_shopper(OTHER, asking.now - timedelta(hours=1)) == {"permits": 0}
    assert store.permits.forget_shopper(OTHER, asking.now) == {"permits": 2}
    assert store.permits.take([asking(OTHER)]) == [{}]


def test_permits_that_nobody_released_are_pruned_when_they_count_no_more(store: Any, make: Any, asking: Asking) -> None:
    logged, lost = asking(), asking()
    store.permits.take([logged, lost])
    log(store, make, logged, HOLD)
    store.permits.prune(asking.now)
    assert store.permits.take([asking(), asking()]) == [{}, REFUSED]
    store.permits.prune(asking.now + timedelta(hours=2))
    assert store.permits.forget_shopper(SHOPPER, asking.now) == {"permits": 0}


def test_racing_requests_never_get_more_than_the_cap(store: Any, make: Any, noon: datetime) -> None:
    """Each racer decides again and again for the same two shoppers: draws, logs and releases as a worker does."""

    def race(number: int) -> int:
        asking, drawn = Asking(noon + timedelta(milliseconds=number), most=5), 0
        for step in range(12):
            batch = [asking(SHOPPER), asking(OTHER)][:: 1 if number % 2 else -1]
            for asked, refused in zip(batch, store.permits.take(batch), strict=True):
                draws = not refused and (step + number) % 2 == 0
                log(store, make, asked, COUPON if draws else HOLD)
                drawn += draws
                store.permits.release([asked.decision_id])
        return drawn

    with ThreadPoolExecutor(RACERS) as pool:
        drawn = sum(pool.map(race, range(RACERS)))
    rows = store.decisions.scan(CART, None, 10_000)
    for subject in (SHOPPER, OTHER):
        assert sum(row.subject == subject and row.intervention == COUPON for row in rows) <= 5
    assert 0 < drawn <= 10


def test_a_shoppers_uses_are_found_by_index_in_the_days_looked_back_on(
    postgres_store: PostgresStore, make: Any, asking: Asking
) -> None:
    """However long the log: rows of other shoppers, and days before the window, are not read."""
    rows = [DecisionEntry(make.decision(subject=b"%032d" % number)) for number in range(3000)]
    postgres_store.decisions.append(rows)
    with postgres_store.database.connection() as connection:
        connection.execute("ANALYZE decisions")
        since = lowest_id_at(asking.now)
        columns = [[0], [CART], [SHOPPER], [since], since, [since]]
        plan = "\n".join(line for (line,) in connection.execute(f"EXPLAIN {_USES}", columns))
    assert "Seq Scan on decisions" not in plan, plan
    assert "subject_decision_id_idx" in plan or "decisions_subject" in plan, plan
