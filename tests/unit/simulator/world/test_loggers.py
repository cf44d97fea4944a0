"""Scenarios about who logs, in the real engine: each makes the very log that its name promises."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from cxi_bandit.domain.evaluation import EvaluationReport, Level
from cxi_bandit.domain.identifiers import PolicyName
from simulator.candidates import Parts, Prepared, parse_candidate
from simulator.datasets.live_log import read_live_log
from simulator.datasets.log import ReplayLog
from simulator.loop import Loop, LoopResult, Pace
from simulator.manifests import by_surface, shipped_texts, with_value
from simulator.progress import silent
from simulator.replay import ReplaySettings, replay
from simulator.vw_reward_model import VowpalReward
from simulator.world.loggers import logging_texts
from simulator.world.scenarios import SCENARIOS
from simulator.world.shopping import Encounter, ShoppingWorld

pytestmark = pytest.mark.statistical

TEXTS = {"cart.toml": shipped_texts()["cart.toml"]}
SHOP = by_surface(TEXTS)["cart"]
SEED, DECISIONS = 5, 2000


@dataclass(frozen=True, eq=False)
class Logged:
    """A run, its log, the encounters behind the log's rows, and the policy it was made with as a candidate."""

    run: LoopResult
    log: ReplayLog
    met: list[Encounter]
    prepared: Prepared

    def evaluated(self, settings: ReplaySettings) -> EvaluationReport:
        return replay(self.log, _Given(self.prepared), settings).report

    @property
    def truth(self) -> float:
        """The candidate's value on the rows it is evaluated on, from the world's own expected rewards."""
        rows = self.met[-len(self.prepared.log) :]
        columns = [self.prepared.log.rounds.actions.index(name) for name in SHOP.catalogue]
        expected = np.array([encounter.expected for encounter in rows])
        return float((self.prepared.probabilities[:, columns] * expected).sum(axis=1).mean())


@dataclass(frozen=True)
class _Given:
    prepared: Prepared
    spec: str = "the policy it was made with"

    def prepare(self, log: ReplayLog, track: object) -> Prepared:
        return self.prepared


def logged(scenario: str, folder: Path, texts: Mapping[str, str] = TEXTS) -> Logged:
    run = Loop(texts, SEED, SCENARIOS[scenario], Pace(seconds_per_decision=60.0)).run(DECISIONS)
    log = read_live_log(PolicyName("cart"), run.store.outcomes, run.manifests, None)
    met = list(ShoppingWorld({"cart": SHOP}, SEED, SCENARIOS[scenario], length=DECISIONS).encounters(DECISIONS))
    path = folder / "cart.toml"
    path.write_text(texts["cart.toml"], "utf-8")
    parts = Parts(registry=run.store.registry, room=run.room, train_fraction=0.4)
    return Logged(run, log, met, parse_candidate(f"manifest:{path}", parts).prepare(log, silent))


def test_an_adaptive_logger_follows_its_first_rewards(tmp_path: Path) -> None:
    # It is so sure of itself from the start that at the shop's floor few rows carry all of the weight, and such an
    # interval means nothing; with higher floors it does.
    explored = {"cart.toml": with_value(TEXTS["cart.toml"], "floor", "0.05")}
    found = logged("adaptive_logging", tmp_path, explored)
    versions = {decision.model_version for decision in found.run.decisions}
    spoken = [decision.fallback is None for decision in found.run.decisions]
    assert len(versions) > 20
    assert np.mean(spoken) > 0.9
    report = found.evaluated(ReplaySettings())
    ips = report.estimates["ips"]
    assert ips.value is not None
    assert ips.interval is not None
    # Within twice the half-width of a 95 % interval: about 4 standard errors, 1 in 10,000 over seeds.
    assert abs(ips.value - found.truth) < ips.interval[1] - ips.interval[0]


def test_what_the_shops_own_floors_leave_to_an_adaptive_logger_is_refused(tmp_path: Path) -> None:
    report = logged("adaptive_logging", tmp_path).evaluated(ReplaySettings())
    assert "failure_ess" in {reason.code for reason in report.diagnostics.reasons(Level.REFUSE)}


def test_a_logger_without_support_is_found_out(tmp_path: Path) -> None:
    found = logged("support_violation", tmp_path)
    last = SHOP.catalogue[-1]
    assert np.mean([encounter.eligible[-1] for encounter in found.met]) > 0.05
    assert all(last not in decision.situation.eligible for decision in found.run.decisions)
    report = found.evaluated(ReplaySettings())
    share = np.mean(found.prepared.probabilities[:, found.log.rounds.actions.index(last)])
    assert report.diagnostics.unsupported_mass == pytest.approx(share)
    assert "support" in {reason.code for reason in report.diagnostics.reasons(Level.AMBER)} | {
        reason.code for reason in report.diagnostics.reasons(Level.REFUSE)
    }


def test_a_misspecified_model_cannot_see_which_intervention_suits_whom(tmp_path: Path) -> None:
    found = logged("misspecified_model", tmp_path)
    for decision in found.run.decisions[500:]:
        others = decision.probabilities[1:]
        assert max(others) == pytest.approx(min(others), rel=1e-5), "drawn evenly but for the floors"
    blind = VowpalReward(log=found.log).fit(found.log.rounds, np.arange(len(found.log)))
    predicted = blind.predict(found.log.rounds, np.arange(300))
    assert found.log.rounds.eligible is not None
    for column in range(predicted.shape[1]):
        eligible = found.log.rounds.eligible[:300, column]
        assert np.ptp((predicted[:, column] - predicted[:, 0])[eligible]) < 1e-5, "it suits everybody alike"
    report = found.evaluated(ReplaySettings(reward_model="vw", folds=2))
    robust = report.estimates["dr"]
    assert robust.value is not None
    assert robust.interval is not None
    # DR keeps its promise all the same; 4 standard errors as above.
    assert abs(robust.value - found.truth) < robust.interval[1] - robust.interval[0]


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=lambda scenario: scenario.name)
def test_every_shipped_manifest_has_its_variant(scenario) -> None:
    shipped, served = shipped_texts(), logging_texts(shipped_texts(), scenario)
    assert by_surface(served).keys() == by_surface(shipped).keys()
    for surface, manifest in by_surface(served).items():
        assert manifest.catalogue == by_surface(shipped)[surface].catalogue
    ordinary = scenario.logger == "engine" and scenario.reward_model == "fitted"
    assert (served == shipped) == ordinary
