"""The world's truth is the truth: what is looked up equals what happens, on average."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from cxi_bandit.domain.decision import DecisionRequest
from cxi_bandit.policy.features import conform
from cxi_bandit.policy.manifest import Manifest
from simulator.manifests import by_surface, shipped_texts
from simulator.world.effects import TRUTH
from simulator.world.outcomes import roles
from simulator.world.scenarios import SCENARIOS, Scenario
from simulator.world.shoppers import SEGMENTS, population, segment_given_traits
from simulator.world.shopping import Encounter, ShoppingWorld

MANIFESTS = by_surface(shipped_texts())


def met(count: int, seed: int = 1, scenario: Scenario = SCENARIOS["shopping"]) -> Sequence[Encounter]:
    return list(ShoppingWorld(MANIFESTS, seed, scenario, length=count).encounters(count))


def reward(manifest: Manifest, happened: dict[str, float], place: int) -> float:
    metrics = {role: manifest.reward.metrics[name] for role, name in roles(manifest).items()}
    assert all(metrics[role].min <= value <= metrics[role].max for role, value in happened.items())
    gross = sum(metrics[role].weight * value for role, value in happened.items())
    net = gross - manifest.interventions[place].cost
    assert manifest.reward.min <= net <= manifest.reward.max
    return net


def test_the_truth_names_exactly_what_the_manifests_declare() -> None:
    for surface, manifest in MANIFESTS.items():
        truth = TRUTH[surface]
        assert set(truth.troubles) == set(manifest.defects)
        assert set(truth.effects) == set(manifest.catalogue) - {"hold"}
        for trouble in truth.troubles.values():
            assert set(trouble.fit) <= set(truth.effects)
        assert tuple(roles(manifest)) == ("engagement", "order", "margin", "complaint")


@pytest.mark.statistical
@pytest.mark.parametrize("name", ["shopping", "rare_rewards", "heavy_tail", "drift"])
def test_expected_rewards_are_the_means_of_what_happens(name: str) -> None:
    # Per surface and intervention; 8,000 encounters, fixed seed. A right world fails once in 10,000 choices of seed.
    encounters = met(8000, seed=3, scenario=SCENARIOS[name])
    for surface, manifest in MANIFESTS.items():
        mine = [encounter for encounter in encounters if encounter.request.surface == surface]
        for place in range(len(manifest.interventions)):
            surprise = np.array(
                [reward(manifest, e.happening.after(place), place) - float(e.expected[place]) for e in mine]
            )
            z = surprise.mean() / (surprise.std() / len(surprise) ** 0.5)
            assert abs(z) < 5.0, (surface, manifest.catalogue[place], z)


@pytest.mark.statistical
def test_the_hidden_segment_follows_bayes_rule() -> None:
    shoppers = population(20_000, np.random.default_rng(1))
    posterior = segment_given_traits(shoppers)
    assert np.allclose(posterior.sum(axis=1), 1.0, atol=1e-12)
    for code, segment in enumerate(SEGMENTS):
        # Calibration: among shoppers given probability p, a share p are of the segment. z of the martingale below 5.
        p = posterior[:, code]
        z = ((shoppers.segment == code) - p).sum() / np.sqrt((p * (1 - p)).sum())
        assert abs(z) < 5.0, segment.name


def test_every_request_is_one_the_manifests_accept() -> None:
    for encounter in met(2000):
        request: DecisionRequest = encounter.request
        manifest = MANIFESTS[request.surface]
        assert request.defect.type in manifest.defects
        known, dropped = conform(manifest.context, request.context, "/context")
        assert dropped == 0
        assert set(known) == set(manifest.context.features)


def test_the_same_seed_gives_the_same_world_however_much_is_asked_for() -> None:
    short, long = met(300), met(6000)
    for one, other in zip(short, long, strict=False):
        assert one.request == other.request
        assert one.expected.tolist() == other.expected.tolist()
        assert one.happening.u_order == other.happening.u_order
    assert met(300, seed=2)[0].request != short[0].request


def test_encounters_come_in_order_without_a_gap() -> None:
    assert [encounter.index for encounter in met(5000)] == list(range(5000))


def test_tastes_differ_no_intervention_is_best_everywhere() -> None:
    for surface, manifest in MANIFESTS.items():
        mine = [encounter for encounter in met(4000) if encounter.request.surface == surface]
        best = Counter(int(np.argmax(np.where(e.eligible, e.expected, -9.0))) for e in mine)
        assert best.most_common(1)[0][1] < 0.5 * len(mine)
        assert sum(count > 0.02 * len(mine) for count in best.values()) >= 5
        assert best[manifest.catalogue.index("hold")] > 0, "sometimes nothing is the best that can be done"


def test_hold_is_always_eligible_and_the_oracle_is_no_worse_than_anything() -> None:
    for encounter in met(1000):
        assert encounter.eligible[0]
        assert encounter.oracle >= encounter.uniform
        assert encounter.oracle >= encounter.expected[0]


def test_orders_are_rare_where_the_scenario_says_so() -> None:
    mine = met(4000, scenario=SCENARIOS["rare_rewards"])
    assert 0.005 < np.mean([encounter.happening.order[0] for encounter in mine]) < 0.05


def test_tastes_drift_from_the_first_decision_to_the_last() -> None:
    still, drifting = met(4000), met(4000, scenario=SCENARIOS["drift"])
    gap = [np.abs(a.expected - b.expected).max() for a, b in zip(still, drifting, strict=True)]
    assert np.mean(gap[:400]) < 0.25 * np.mean(gap[-400:])


def test_every_rate_is_a_probability() -> None:
    for encounter in met(4000):
        for rate in (encounter.happening.order, encounter.happening.complaint):
            assert rate.min() >= 0.0
            assert rate.max() <= 1.0
