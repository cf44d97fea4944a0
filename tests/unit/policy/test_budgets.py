"""Leases never add up to more than the budget: whoever leases, spends, gives back or is killed, in any order."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from cxi_bandit.domain.assignment import Arm
from cxi_bandit.domain.identifiers import InterventionId, PolicyName
from cxi_bandit.engine.ports import LeaseRequest, Unspent
from cxi_bandit.policy.budgets import EXPLORING, Amount, Bound, Line, day_around, day_of, granted, lines, micros
from cxi_bandit.policy.manifest import Manifest
from cxi_bandit.policy.parsing import parse_manifest
from cxi_bandit.store.memory import MemoryStore

CART = PolicyName("cart")
WAVE = InterventionId("wave")
DAY = date(2026, 11, 26)
PARTS = {Arm.LIVE: 0.7, Arm.CANARY: 0.2, Arm.PREVIOUS: 0.1}
amounts = st.builds(Amount, st.integers(0, 100), st.integers(0, 10**9))


def line(part: float, per_day: int | None, money: int | None, price: int = 1_500_000) -> Line:
    share = [None if most is None else int(most * part) for most in (per_day, money)]
    return Line(
        name=WAVE, unit=Amount(1, price), least=1, part=Bound(*share), whole=Bound(per_day, money), words="budget"
    )


@pytest.mark.parametrize(
    ("amount", "counted"), [(0.1, 100_000), (200.0, 200_000_000), (1e12, 10**18), (1e-06, 1), (1e-07, None), (0.0, 0)]
)
def test_money_is_counted_as_it_is_written(amount: float, counted: int | None) -> None:
    assert micros(amount) == counted


def test_two_hundred_pay_for_two_thousand_uses_at_a_tenth() -> None:
    # 200 / 0.1 in floating point is below 2000 added up one by one; whole numbers have no such gap.
    assert granted(10**6, 0, line(1.0, None, 200_000_000, 100_000), Amount(1992, 199_200_000), Amount(0, 0)) == 1
    assert granted(10**6, 0, line(1.0, None, 200_000_000, 100_000), Amount(2000, 200_000_000), Amount(0, 0)) == 0


@given(st.integers(0, 10**6), st.integers(0, 100), st.integers(1, 1000), st.integers(1, 10**9), amounts, amounts)
def test_a_grant_fits_both_bounds_and_is_what_was_asked_or_less(
    asked: int, held: int, per_day: int, money: int, of_arm: Amount, of_all: Amount
) -> None:
    tested = line(0.5, per_day, money)
    units = granted(asked, held, tested, of_arm, of_all)
    assert 0 <= units <= asked
    if units:
        for taken, bound in ((of_arm, tested.part), (of_all, tested.whole)):
            assert taken.uses + units <= bound.uses
            assert taken.money + units * tested.unit.money <= bound.money


@given(st.integers(1, 10**6), amounts)
def test_something_is_granted_while_anything_is_left(per_day: int, taken: Amount) -> None:
    assert granted(1, 0, line(1.0, per_day, None), taken, taken) == (1 if taken.uses < per_day else 0)


def test_who_holds_an_eighth_of_what_is_left_gets_no_more() -> None:
    taken = Amount(20, 0)
    assert [granted(100, held, line(1.0, 100, None), taken, taken) for held in (0, 4, 10, 50)] == [10, 6, 0, 0]


def test_the_manifests_budgets_become_lines_split_by_share(text: str) -> None:
    priced = text.replace("cost = 0.25", "cost = 0.25\nprice = 1.5\nbudget_per_day = 100\nper_day = 50")
    limits = "[limits]\nexploration_cost_per_day = 20\n[exploration]"
    manifest = parse_manifest(priced.replace("[exploration]", limits, 1), "shelf.toml")
    found = lines(manifest, 0.05)
    assert set(found) == {WAVE, EXPLORING}
    assert (found[WAVE].whole, found[WAVE].part) == (Bound(50, 100_000_000), Bound(2, 5_000_000))
    assert found[WAVE].words == "nothing is left on lease of budget_per_day 100 and per_day 50"
    assert (found[EXPLORING].unit, found[EXPLORING].least) == (Amount(0, 1), 1_500_000)
    assert found[EXPLORING].part == Bound(None, 1_000_000)


def test_a_manifest_without_budgets_has_no_lines(manifest: Manifest) -> None:
    assert lines(manifest, 1.0) == {}


def test_a_day_begins_at_midnight_where_it_is_counted() -> None:
    evening = datetime(2026, 11, 25, 23, 30, tzinfo=UTC)
    assert day_of(evening, "UTC") == date(2026, 11, 25)
    assert day_of(evening, "Europe/Rome") == date(2026, 11, 26)
    assert day_of(datetime(2026, 11, 26, 4, tzinfo=UTC), "America/New_York") == date(2026, 11, 25)


# Havana's clocks jump at midnight, Sao Paulo's once did and went back to the day before; Apia left out a day.
ZONES = ["UTC", "Europe/Rome", "America/Havana", "America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Apia"]


@given(st.datetimes(datetime(2009, 1, 1), datetime(2030, 1, 1)), st.sampled_from(ZONES))  # noqa: DTZ001 - made aware below
def test_a_day_lasts_from_its_first_moment_to_that_of_the_next(naive: datetime, zone: str) -> None:
    at = naive.replace(tzinfo=UTC)
    day, begins, ends = day_around(at, zone)
    assert begins <= at < ends
    moment = timedelta(microseconds=1)
    assert day == day_of(at, zone) == day_of(begins, zone) == day_of(ends - moment, zone)
    assert day_of(begins - moment, zone) < day < day_of(ends, zone)


def test_a_day_is_as_long_as_the_clocks_make_it() -> None:
    def hours(zone: str, at: datetime) -> float:
        _, begins, ends = day_around(at, zone)
        return (ends - begins) / timedelta(hours=1)

    assert hours("America/Sao_Paulo", datetime(2016, 10, 16, 12, tzinfo=UTC)) == 23
    assert hours("America/Sao_Paulo", datetime(2017, 2, 18, 12, tzinfo=UTC)) == 25
    assert hours("Europe/Rome", datetime(2026, 11, 26, 12, tzinfo=UTC)) == 24


class Day(RuleBasedStateMachine):
    """Some workers of each arm on one day of one line; the truth is counted beside."""

    workers = Bundle("workers")

    def __init__(self) -> None:
        super().__init__()
        self.store = MemoryStore().budgets
        self.held: dict[int, tuple[Arm, int]] = {}
        self.spent = dict.fromkeys(Arm, 0)
        self.lost = dict.fromkeys(Arm, 0)
        self.number = 0
        self.per_day = 30

    @rule(per_day=st.integers(1, 60))
    def roll_out(self, per_day: int) -> None:
        """Another manifest raises or lowers the bound in the middle of the day; what is out by then stays out."""
        self.per_day = per_day

    @rule(arm=st.sampled_from(sorted(PARTS)), target=workers)
    def start(self, arm: Arm) -> int:
        self.number += 1
        self.held[self.number] = (arm, 0)
        return self.number

    @rule(worker=workers, units=st.integers(1, 80))
    def lease(self, worker: int, units: int) -> None:
        arm, held = self.held[worker]
        before = self.out(None)
        asked = line(PARTS[arm], self.per_day, None)
        (number,) = self.store.lease([LeaseRequest(CART, arm, DAY, asked, units)])
        self.held[worker] = (arm, held + number)
        assert number <= units
        if number:
            assert self.out(arm) <= int(self.per_day * PARTS[arm])
            assert before + number <= self.per_day

    @rule(worker=workers)
    def spend(self, worker: int) -> None:
        arm, held = self.held[worker]
        if held:
            self.held[worker] = (arm, held - 1)
            self.spent[arm] += 1

    @rule(worker=workers, part=st.floats(0.0, 1.0))
    def give_back(self, worker: int, part: float) -> None:
        arm, held = self.held[worker]
        if units := int(held * part):
            self.store.give_back([Unspent(CART, arm, DAY, WAVE, line(1.0, 1, None).unit, units)])
            self.held[worker] = (arm, held - units)

    @rule(worker=consumes(workers))
    def kill(self, worker: int) -> None:
        arm, held = self.held.pop(worker)
        self.lost[arm] += held

    def out(self, arm: Arm | None) -> int:
        """Spent, on lease or lost."""
        held = sum(units for of, units in self.held.values() if arm in (None, of))
        return held + sum(self.spent[of] + self.lost[of] for of in Arm if arm in (None, of))

    @invariant()
    def the_store_knows_exactly_what_is_out(self) -> None:
        known = self.store.leased(CART, DAY)
        for arm in PARTS:
            assert known.get((WAVE, arm), Amount(0, 0)).uses == self.out(arm)


TestDay = Day.TestCase
TestDay.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
