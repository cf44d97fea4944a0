"""From a live log to bets: values at close, who logged what, and why a log may not be bet on."""

from dataclasses import replace
from datetime import timedelta

import msgspec
import numpy as np
import pytest

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.evaluation import EvidencePoint
from cxi_bandit.domain.gate import Ruling
from cxi_bandit.domain.identifiers import PolicyName
from cxi_bandit.domain.outcome import OutcomeStanding
from cxi_bandit.evidence.contrast import BoundExceeded, Bounds
from cxi_bandit.policy.manifest import Metric
from simulator.candidates import Uniform
from simulator.cli.run_gate import exit_code
from simulator.datasets.closed_log import at_close, live, read_closes
from simulator.datasets.live_log import read_live_log
from simulator.datasets.log import ReplayLog
from simulator.loop import START, Loop, LoopResult, Pace
from simulator.manifests import shipped_texts
from simulator.progress import silent
from simulator.trial_report import _line
from simulator.trials import Docket, read_docket
from simulator.trials.bets import Vectors, declared, earliest_opening, objections, rows_of, since, vectors

SEARCH = PolicyName("search")


@pytest.fixture(scope="module")
def ran() -> LoopResult:
    """A policy that learns: many models log, and head and log move together."""
    pace = Pace(seconds_per_decision=200.0, seconds_per_pass=43_200.0)
    return Loop({"search.toml": shipped_texts()["search.toml"]}, seed=3, pace=pace).run(1500)


@pytest.fixture(scope="module")
def log(ran: LoopResult) -> ReplayLog:
    return read_live_log(SEARCH, ran.store.outcomes, ran.manifests, None)


@pytest.fixture(scope="module")
def docket(ran: LoopResult, log: ReplayLog) -> Docket:
    return read_docket(ran.store, ran.room, log, [])


@pytest.fixture(scope="module")
def asked(docket: Docket) -> Vectors:
    return vectors(Uniform().prepare(docket.closed.log, silent), docket.incumbent, docket.served, silent)


def test_rewards_are_those_known_at_close(ran: LoopResult, log: ReplayLog, docket: Docket) -> None:
    closed = docket.closed.log
    first = [ran.store.outcomes.revisions(row.decision.decision_id)[0].settlement.reward for row in live(closed).rows]
    assert closed.rounds.reward.tolist() == first == [row.reward for row in live(closed).rows]
    assert (closed.rounds.reward != log.rounds.reward).any(), "some were corrected later"
    assert docket.closed.through == max(decision.closes_at for decision in ran.decisions)


def test_overridden_decisions_are_left_out_and_an_imported_log_is_refused(ran: LoopResult, log: ReplayLog) -> None:
    closes = read_closes(SEARCH, ran.store.outcomes)
    closes[0] = msgspec.structs.replace(closes[0], standing=OutcomeStanding.OVERRIDDEN)
    assert len(at_close(log, closes).log) == len(log) - 1
    with pytest.raises(InvalidInput, match="imported log"):
        at_close(replace(log, contexts=object()), closes)
    with pytest.raises(InvalidInput, match="no decision"):
        at_close(log, [])


def test_a_window_opens_after_all_that_either_model_has_learned(ran: LoopResult, docket: Docket) -> None:
    log_, registry = docket.closed.log, ran.store.registry
    assert earliest_opening(log_, docket.closed.rows, [None]) == ran.decisions[0].decided_at
    third = registry.models(SEARCH)[3]
    opening = earliest_opening(log_, docket.closed.rows, [third, None])
    learned = [row for row in live(log_).rows if row.position <= third.lineage.up_to]
    assert len(learned) == third.lineage.learned_total
    assert opening > max(row.decision.decided_at for row in learned)
    assert len(since(log_, opening)) == len(log_) - third.lineage.learned_total
    elsewhere = msgspec.structs.replace(
        third, lineage=msgspec.structs.replace(third.lineage, policy=PolicyName("cart"))
    )
    assert earliest_opening(log_, docket.closed.rows, [elsewhere]) == ran.decisions[0].decided_at


def test_bounds_come_from_floors_where_others_logged(docket: Docket, asked: Vectors) -> None:
    assert not asked.own.all()
    assert declared(docket.rule, asked) == Bounds(upper=20.0, lower=100.0, shortfall=1.0)
    alone = replace(asked, own=np.ones_like(asked.own))
    assert declared(docket.rule, alone) == Bounds(upper=19.0, lower=1.0, shortfall=1.0)


def test_bets_are_within_their_bounds_and_a_wrong_declaration_is_found(docket: Docket, asked: Vectors) -> None:
    rows, clipped = rows_of(docket.closed, asked, docket.incumbent, docket.rule, declared(docket.rule, asked))
    assert clipped == 0
    assert set(rows.harms) == {"complaint"}
    assert 0.0 < rows.harms["complaint"].mean() < 0.2
    assert np.all(np.diff(rows.decided_at) >= 0)
    with pytest.raises(BoundExceeded):
        rows_of(docket.closed, asked, docket.incumbent, docket.rule, Bounds(upper=0.1, lower=0.1))


def test_a_log_that_may_not_be_bet_on_says_why(docket: Docket, asked: Vectors) -> None:
    def codes(
        closed: object = docket.closed, found: Vectors = asked, incumbent: object = docket.incumbent
    ) -> list[str]:
        return [reason.code for reason in objections(closed, found, incumbent, START)]

    assert codes() == []
    other = asked.logged.copy()
    other[0] = np.roll(other[0], 1)
    own = np.zeros_like(asked.own)
    own[0] = True
    assert codes(found=replace(asked, incumbent=other, own=own)) == ["incumbent_rescored"]
    reward = msgspec.structs.replace(
        docket.incumbent.manifest.reward, metrics={"order": Metric(weight=1.0, min=0.0, max=1.0)}
    )
    manifest = msgspec.structs.replace(docket.incumbent.manifest, reward=reward)
    assert codes(incumbent=replace(docket.incumbent, manifest=manifest)) == ["reward_changed"]
    name, close = next(iter(docket.closed.closes.items()))
    fewer = docket.closed.log.take(np.arange(1, len(docket.closed.log)))
    unseen = {**docket.closed.closes, name: msgspec.structs.replace(close, standing=OutcomeStanding.UNACTIVATED)}
    assert codes(closed=replace(docket.closed, log=fewer, closes=unseen)) == ["activation_filter"]


def test_the_exit_code_is_the_best_ruling() -> None:
    go, wait, refuse = Ruling.GO, Ruling.WAIT, Ruling.REFUSE
    assert [exit_code(rulings) for rulings in ([refuse, go], [refuse, wait], [refuse, refuse])] == [0, 3, 1]


def test_a_path_is_drawn_in_one_line_however_long_it_is() -> None:
    path = tuple(EvidencePoint(START + timedelta(days=day), day, day / 100 - 0.5) for day in range(364))
    drawn = _line(path, 3.5)
    assert len(drawn) < 80
    assert drawn.startswith("-0.44 ▁")
    assert "▇" in drawn
