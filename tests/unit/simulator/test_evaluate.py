"""The report: every estimate with its interval, in the contract's JSON, and a verdict that never says go by itself."""

from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.evaluation import Estimate, EvaluationReport
from cxi_bandit.domain.gate import Reason, Ruling, Verdict
from simulator.evaluate import EvaluationSettings, IntervalMethod, Labels, evaluate
from simulator.intervals import WeightRange
from simulator.rounds import LoggedRounds

LABELS = Labels(log="a log", candidate="a candidate", manifest_sha="ab", model_sha="cd")
NAMES = [
    "ips",
    "clipped_ips",
    "snips",
    "dm",
    "dr",
    "sndr",
    "switch_dr",
    "dros",
    "sg_ips",
    "sg_dr",
    "mrdr",
    "balanced",
    "replay_match",
]


def log_of(n: int = 4000, seed: int = 0) -> tuple[LoggedRounds, np.ndarray, float]:
    """A log, a candidate's probabilities and the candidate's true value."""
    rng = np.random.default_rng(seed)
    means, candidate = np.array([0.3, 0.5, 0.7]), np.array([0.2, 0.3, 0.5])
    action = rng.integers(0, 3, n)
    rounds = LoggedRounds(
        actions=("a", "b", "c"),
        action=action,
        propensity=np.full(n, 1 / 3),
        reward=(rng.random(n) < means[action]).astype(np.float64),
        logged_at=1.7e9 + np.arange(n),
        probabilities=np.full((n, 3), 1 / 3),
    )
    return rounds, np.tile(candidate, (n, 1)), float(means @ candidate)


def test_json_is_the_contract() -> None:
    rounds, candidate, _ = log_of()
    document = msgspec.json.decode(msgspec.json.encode(evaluate(rounds, candidate, LABELS)))
    assert {"log", "candidate", "estimates", "diagnostics", "verdict"} <= set(document)
    assert list(document["estimates"]) == NAMES
    for estimate in document["estimates"].values():
        assert {"value", "interval", "interval_method", "confidence"} <= set(estimate)
        assert len(estimate["interval"]) == 2
    assert {"n", "ess", "mean_weight", "max_weight", "max_row_share"} <= set(document["diagnostics"])
    assert document["verdict"]["decision"] in {"go", "wait", "refuse"}
    assert {"code", "message"} == set(document["verdict"]["reasons"][0])
    assert document["provenance"]["log_from"] == "2023-11-14T22:13:20Z"


def test_report_survives_the_wire() -> None:
    rounds, candidate, _ = log_of(500)
    report = evaluate(rounds, candidate, LABELS)
    assert msgspec.json.decode(msgspec.json.encode(report), type=EvaluationReport) == report


def test_unbiased_estimates_find_the_truth() -> None:
    rounds, candidate, truth = log_of(20_000)
    report = evaluate(rounds, candidate, LABELS)
    for name in ("ips", "snips", "dr", "sndr", "mrdr", "balanced"):
        assert report.estimates[name].value == pytest.approx(truth, abs=0.02)
    assert report.headline == "dr"


@pytest.mark.parametrize("method", IntervalMethod.__args__)
def test_an_interval_says_which_it_is(method: IntervalMethod) -> None:
    rounds, candidate, truth = log_of()
    settings = EvaluationSettings(interval=method, weight_range=WeightRange(0.0, 1.5), replicates=300)
    estimates = evaluate(rounds, candidate, LABELS, settings=settings).estimates
    assert estimates["ips"].interval_method == method
    assert estimates["snips"].interval_method == (method if method == "bootstrap" else "gaussian")
    assert estimates["ips"].interval is not None
    assert estimates["ips"].interval[0] < truth < estimates["ips"].interval[1]


def test_bernstein_needs_a_declared_weight() -> None:
    rounds, candidate, _ = log_of(200)
    with pytest.raises(InvalidInput, match="weight_range"):
        evaluate(rounds, candidate, LABELS, settings=EvaluationSettings(interval="empirical_bernstein"))


def test_the_same_seed_gives_the_same_report() -> None:
    rounds, candidate, _ = log_of(600)
    settings = EvaluationSettings(interval="bootstrap", replicates=200, seed=3)
    first, second = (evaluate(rounds, candidate, LABELS, settings=settings) for _ in range(2))
    assert msgspec.json.encode(first) == msgspec.json.encode(second)


def test_estimates_alone_wait() -> None:
    rounds, candidate, _ = log_of()
    verdict = evaluate(rounds, candidate, LABELS).verdict
    assert verdict.decision is Ruling.WAIT
    assert verdict.reasons[0].code == "no_gate"


def test_the_gate_hears_the_refusals() -> None:
    def gate(heard: list[Reason]) -> Callable[[tuple[Reason, ...]], Verdict]:
        def decide(refusals: tuple[Reason, ...]) -> Verdict:
            heard.extend(refusals)
            return Verdict(decision=Ruling.REFUSE if refusals else Ruling.GO, reasons=refusals)

        return decide

    rounds, candidate, _ = log_of()
    assert evaluate(rounds, candidate, LABELS, gate=gate([])).verdict.decision is Ruling.GO
    heard: list[Reason] = []
    few, few_candidate, _ = log_of(100)
    assert evaluate(few, few_candidate, LABELS, gate=gate(heard)).verdict.decision is Ruling.REFUSE
    assert "ess" in {reason.code for reason in heard}


def test_an_empty_log_is_refused_with_a_whole_report() -> None:
    rounds, candidate, _ = log_of(10)
    report = evaluate(rounds.take(slice(0, 0)), candidate[:0], LABELS)
    assert report.verdict.decision is Ruling.REFUSE
    assert report.estimates["dr"].value is None
    assert report.estimates["dr"].interval is None
    assert report.provenance.log_from is None
    assert msgspec.json.decode(msgspec.json.encode(report), type=EvaluationReport) == report


def test_an_estimate_checks_itself() -> None:
    with pytest.raises(InvalidInput, match="interval"):
        Estimate(
            value=0.5, interval=(0.6, 0.4), interval_method="x", confidence=0.95, target="value", assumptions="none"
        )
