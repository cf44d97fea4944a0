from collections import Counter

import pytest

from simulator.world.feedback import Report, Reporter
from simulator.world.scenarios import SCENARIOS, Feedback

METRICS = {"engagement": "result_click", "order": "purchase", "margin": "margin", "complaint": "complaint"}
ORDERED = {"engagement": 1.0, "order": 1.0, "margin": 40.0}
TIDY = Feedback(late=0, duplicate=0, early=0, missing=0, corrected=0, retracted=0)


def told(feedback: Feedback, happened: dict[str, float], seed: int = 1) -> list[list[Report]]:
    reporter = Reporter(feedback, seed)
    return [reporter.reports(index, happened, METRICS) for index in range(2000)]


def test_an_encounter_is_always_reported_the_same_way() -> None:
    assert told(Feedback(), ORDERED) == told(Feedback(), ORDERED)
    assert told(Feedback(), ORDERED) != told(Feedback(), ORDERED, seed=2)


def test_tidy_feedback_is_each_event_once_after_it_happened() -> None:
    for reports in told(TIDY, ORDERED):
        assert Counter(report.metric for report in reports) == {"result_click": 1, "purchase": 1, "margin": 1}
        assert all(0.0 <= report.occurred <= report.delivered for report in reports)


def test_nothing_happened_nothing_reported() -> None:
    assert all(not reports for reports in told(TIDY, {}))


def test_all_original_events_occur_within_the_window() -> None:
    for reports in told(Feedback(), ORDERED):
        assert all(0.0 <= r.occurred < 1.0 for r in reports)


@pytest.mark.statistical
def test_shares_are_as_declared() -> None:
    # 2,000 encounters, fixed seed; five standard deviations.
    feedback = Feedback(late=0.1, duplicate=0.2, early=0.3, missing=0.1, corrected=0.2, retracted=0)
    reports = [report for some in told(feedback, ORDERED) for report in some]
    names = Counter(report.reward_id for report in reports)
    clicks = [report for report in reports if report.metric == "result_click"]
    early = sum(report.delivered < 0.0 for report in clicks) / len({report.reward_id for report in clicks})
    assert abs(early - 0.3) < 0.055
    orders = {report.reward_id for report in reports if report.metric == "purchase"}
    assert abs(len(orders) / 2000 - 0.9) < 0.035
    assert abs(sum(names[name] == 2 for name in orders) / len(orders) - 0.2) < 0.05
    corrections = sum(report.corrects is not None for report in reports)
    assert abs(corrections / 1800 - 0.2) < 0.05
    late = [report for report in reports if report.metric == "purchase" and report.delivered > 1.15]
    assert len(late) / len(orders) > 0.07


def test_a_correction_brings_the_true_value_and_a_mistake_is_taken_back() -> None:
    feedback = Feedback(late=0, duplicate=0, early=0, missing=0, corrected=1.0, retracted=1.0)
    for reports in told(feedback, ORDERED)[:50]:
        wrong, right = (report for report in reports if report.metric == "margin")
        assert (right.corrects, right.value) == (wrong.reward_id, 40.0)
        assert wrong.value != 40.0
        assert right.delivered > wrong.delivered
    for reports in told(feedback, {})[:50]:
        claim, back = reports
        assert (back.retracts, back.value) == (claim.reward_id, None)


def test_scenarios_are_named_as_they_are_keyed() -> None:
    assert {"shopping", "rare_rewards", "heavy_tail", "drift", "delay", "missing_reward"} <= set(SCENARIOS)
    assert {"adaptive_logging", "support_violation", "misspecified_model"} <= set(SCENARIOS)
    assert all(scenario.name == name and scenario.description for name, scenario in SCENARIOS.items())
