"""The overview: what it says of policies with and without a holdback, and that it never says more than is known."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from structlog.typing import FilteringBoundLogger

from cxi_bandit.bootstrap import Engine, in_memory_engine
from cxi_bandit.domain.assignment import Arm, Assignment
from cxi_bandit.domain.decision import HOLD, Decision, Defect, Situation
from cxi_bandit.domain.errors import Unavailable
from cxi_bandit.domain.identifiers import InterventionId, PolicyName, minted_at
from cxi_bandit.domain.outcome import OutcomeStanding, Settlement
from cxi_bandit.domain.tallies import ArmTally, Span, TallyProgress
from cxi_bandit.engine.count import count
from cxi_bandit.engine.ports import Closure, DecisionEntry
from cxi_bandit.service.app import create_app
from cxi_bandit.service.console.figures import all_figures, comparison, lags, live_policies, rates
from cxi_bandit.service.console.overview import Overview
from cxi_bandit.service.console.pages import Pages
from cxi_bandit.settings import Settings
from cxi_bandit.store.spool import SpoolShelf
from cxi_bandit.telemetry.metrics import Metrics
from cxi_bandit.telemetry.readings import Pulses
from tests.harness.browser import Browser, read_html
from tests.harness.local import local_client
from tests.harness.service import MANIFEST

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
QUICK = PolicyName("quick")
HOLDING = MANIFEST + "\n[rollout]\nhold_share = 0.2\n"
SHIPPING = InterventionId("free_shipping")


class Shop:
    """An engine whose clock is set by hand, in which every fifth shopper is left alone."""

    def __init__(self, manifest: str) -> None:
        self.now = NOON
        self.engine: Engine = in_memory_engine([("quick.toml", manifest)], clock=lambda: self.now)
        [live] = live_policies(self.engine)
        self.version = live.version

    def decided(self, number: int, *, holding: bool) -> list[Decision]:
        """So many decisions of this moment."""
        made = [self._decision(held=holding and place % 5 == 0) for place in range(number)]
        self.engine.store.decisions.append([DecisionEntry(decision) for decision in made])
        return made

    def closed(self, decisions: list[Decision], reward: Callable[[Decision], float]) -> None:
        """Their windows close now."""
        with self.engine.store.outcomes.sequencing() as sequencing:
            assert sequencing is not None
            sequencing.append([_closure(decision, reward(decision)) for decision in decisions], self.now)

    def counted(self) -> None:
        """As the learner does beside its work."""
        while count(self.engine.store.registry, self.engine.store.tallies, self.now):
            pass

    def traded(self, *, holding: bool, hours: int = 3) -> None:
        """Some hours of trade in which serving is worth more than leaving alone, and everything closes within."""
        for _ in range(hours):
            made = self.decided(100, holding=holding)
            self.closed(made, lambda decision: 0.125 if _held(decision) else 0.75)
            self.now += timedelta(hours=1)
        self.now += timedelta(minutes=1)
        self.counted()

    def _decision(self, *, held: bool) -> Decision:
        name = self.engine.mint.mint(self.now)
        probabilities = (1.0, 0.0) if held else (0.25, 0.75)
        return Decision(
            decision_id=name,
            decided_at=minted_at(name),
            closes_at=minted_at(name) + timedelta(hours=1),
            policy=QUICK,
            policy_version=self.version.version,
            manifest_sha=self.version.manifest_sha,
            model_version=None,
            stage=self.version.stage,
            surface="cart",
            subject=None,
            situation=Situation(defect=Defect("slow_delivery", 0.5, 1.0), context={}, eligible=(HOLD, SHIPPING)),
            excluded={},
            probabilities=probabilities,
            intervention=HOLD if held else SHIPPING,
            propensity=probabilities[not held],
            draw_key_id="draw-1",
            u=0.5,
            assignment=Assignment(revision=1, arm=Arm.HOLD, share=0.2, salt="s") if held else None,
        )


def _held(decision: Decision) -> bool:
    return decision.assignment is not None


def _closure(decision: Decision, reward: float) -> Closure:
    return Closure(
        policy=decision.policy,
        decision_id=decision.decision_id,
        revision=0,
        settlement=Settlement(reward=reward, metrics={}, counted=1, completed=True),
        standing=OutcomeStanding.HELD_BACK if _held(decision) else OutcomeStanding.LEARNABLE,
    )


def page_of(shop: Shop, quiet: FilteringBoundLogger, shelf: SpoolShelf) -> str:
    app = create_app(shop.engine, Settings(dev=True), quiet, Metrics(), shelf)
    with local_client(app) as client:
        page = Browser(client).open("/console")
        assert page.status == 200
        assert page.root.all("div", sse_connect="/console/live")
        return " ".join(page.root.text.split())


def test_what_serving_is_worth_is_told_with_its_bands(quiet: FilteringBoundLogger, shelf: SpoolShelf) -> None:
    shop = Shop(HOLDING)
    shop.traded(holding=True, hours=12)
    text = page_of(shop, quiet, shelf)
    assert "Serving is worth more than leaving alone" in text
    assert "Left alone 20 %" in text
    assert "Decisions in the last day 1,200" in text
    figures = all_figures(shop.engine, live_policies(shop.engine))[0]
    assert figures.comparison.difference is not None
    assert figures.comparison.difference.mean[-1] == 0.625
    assert 0.0 < figures.comparison.difference.low[-1] < 0.625 < figures.comparison.difference.high[-1]
    assert (figures.holds_back, figures.uncounted) == (0.2, 0)
    assert figures.drawn.shares[SHIPPING][-1] == 0.8
    assert figures.drawn.expected[SHIPPING][-1] == pytest.approx(0.6)


def test_without_a_holdback_the_mean_stands_alone_and_says_so(quiet: FilteringBoundLogger, shelf: SpoolShelf) -> None:
    shop = Shop(MANIFEST)
    shop.traded(holding=False)
    text = page_of(shop, quiet, shelf)
    assert "declares no holdback" in text
    assert "Reward per decision 0.75 [" in text
    assert "Left alone nobody" in text
    assert all_figures(shop.engine, live_policies(shop.engine))[0].comparison.held is None


def test_where_nothing_was_decided_yet_it_says_so(quiet: FilteringBoundLogger, shelf: SpoolShelf) -> None:
    shop = Shop(HOLDING)
    text = page_of(shop, quiet, shelf)
    assert "Counted until \N{EN DASH}" in text
    assert "nothing learned yet" in text
    assert "No stretch of time has all its attribution windows closed yet" in text


def test_a_stretch_with_an_open_window_and_what_follows_is_left_out() -> None:
    shop = Shop(MANIFEST)
    first = shop.decided(10, holding=False)
    shop.now += timedelta(hours=1)
    slow = shop.decided(10, holding=False)
    shop.now += timedelta(hours=1)
    third = shop.decided(10, holding=False)
    shop.closed([*first, *slow[:9], *third], lambda _: 1.0)
    shop.now += timedelta(hours=2)
    shop.counted()
    found = all_figures(shop.engine, live_policies(shop.engine))[0].comparison
    assert [end - NOON for end in found.ends_at] == [timedelta(hours=1)]
    shop.closed(slow[9:], lambda _: 0.0)
    shop.counted()
    later = all_figures(shop.engine, live_policies(shop.engine))[0].comparison
    assert later.served.number.tolist() == [10.0, 20.0, 30.0]
    assert later.served.mean.tolist()[-1] == pytest.approx(29 / 30)


def test_a_stretch_that_is_not_over_is_left_out() -> None:
    tally = ArmTally(
        span=Span.HOUR,
        starts_at=NOON,
        policy_version=1,
        arm=Arm.LIVE,
        decided=5,
        closed=5,
        judged=5,
        reward=2.5,
        squares=1.25,
    )
    for until, known in ((NOON + timedelta(minutes=59), 0), (NOON + timedelta(hours=1), 1)):
        progress = TallyProgress(decided_until=until, position=5, head=5)
        assert len(comparison([tally], progress, (0.0, 1.0)).ends_at) == known
    other = msgspec.structs.replace(tally, arm=Arm.CANARY, closed=0, judged=0, reward=0.0, squares=0.0)
    progress = TallyProgress(decided_until=NOON + timedelta(hours=1), position=5, head=5)
    assert len(comparison([tally, other], progress, (0.0, 1.0)).ends_at) == 1


def test_rates_are_those_of_whole_minutes() -> None:
    shop = Shop(MANIFEST)
    assert rates(shop.engine, live_policies(shop.engine)).starts_at == []
    shop.decided(120, holding=False)
    shop.now += timedelta(minutes=2, seconds=30)
    shop.counted()
    found = rates(shop.engine, live_policies(shop.engine))
    assert found.starts_at[-1] == NOON + timedelta(minutes=1)
    assert found.by_policy[QUICK][-2:] == [2.0, 0.0]
    assert lags(shop.engine, live_policies(shop.engine)) == {QUICK: None}


def test_the_stream_brings_numbers_at_once_and_charts_once_a_minute() -> None:
    shop = Shop(MANIFEST)
    overview = Overview(shop.engine, _pages(shop), Pulses(Metrics()))
    told = [overview.news(edition) for edition in range(12)]
    assert [sorted(one) for one in told] == [["numbers"]] * 11 + [["figures", "numbers"]]
    assert "Decisions a second" in read_html(told[0]["numbers"]).text


def test_a_database_that_is_away_is_told_and_the_numbers_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop(MANIFEST)
    overview = Overview(shop.engine, _pages(shop), Pulses(Metrics()))

    def away() -> None:
        raise Unavailable("the database")

    monkeypatch.setattr(shop.engine.store.releases, "rollouts", away)
    [html] = overview.news(11).values()
    text = read_html(html).text
    assert "The database does not answer" in text
    assert "Spooled on disk 0" in text


def _pages(shop: Shop) -> Pages:
    return Pages(ThreadPoolExecutor(1), shop.engine.clock, dev=True)
