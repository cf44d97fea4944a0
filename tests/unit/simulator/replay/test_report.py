"""The report: the documented JSON whatever was found, and no number for people where the log cannot tell."""

import io
import json
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.gate import Reason, Ruling, Verdict
from simulator.candidates import Uniform
from simulator.cli.run_replay import exit_code
from simulator.datasets.log import ReplayLog
from simulator.estimators import ESTIMATORS
from simulator.replay import Replay, ReplaySettings, replay
from simulator.report import as_json, print_report
from simulator.rounds import LoggedRounds


def a_log(n: int, reward_rate: float = 0.5) -> ReplayLog:
    rng = np.random.default_rng(5)
    rounds = LoggedRounds(
        actions=("a", "b"),
        action=rng.integers(0, 2, n),
        propensity=np.full(n, 0.5),
        reward=(rng.random(n) < reward_rate).astype(np.float64),
        logged_at=np.arange(n, dtype=np.float64),
    )
    nothing: Any = None
    return ReplayLog(name="coin", rounds=rounds, reward_range=(0.0, 1.0), contexts=nothing, manifest=nothing)


def printed(result: Replay) -> str:
    out = io.StringIO()
    print_report(result, Console(file=out, width=200))
    return out.getvalue()


def test_json_has_the_documented_keys() -> None:
    document = json.loads(as_json(replay(a_log(2000), Uniform())))
    assert list(document) == ["log", "candidate", "estimates", "diagnostics", "verdict"]
    assert (document["log"], document["candidate"]) == ("coin", "uniform")
    assert list(document["estimates"]) == list(ESTIMATORS)
    for estimate in document["estimates"].values():
        assert {"value", "interval", "interval_method", "confidence"} <= set(estimate)
        assert estimate["interval"][0] <= estimate["interval"][1]
    assert {"n", "ess", "mean_weight", "max_weight", "max_row_share"} <= set(document["diagnostics"])
    assert document["verdict"]["decision"] in {"go", "wait", "refuse"}
    assert all(set(reason) == {"code", "message"} for reason in document["verdict"]["reasons"])


def test_a_good_log_shows_every_estimate_with_its_meaning() -> None:
    result = replay(a_log(2000), Uniform())
    text = printed(result)
    assert text.index("Verdict") < text.index("Estimated mean reward") < text.index("Diagnostics")
    assert all(name in text for name in ESTIMATORS)
    assert "covers 95% if rows are independent" in text
    assert exit_code(result.report.verdict) == 0


def test_the_worst_checks_come_first_and_what_is_unknown_is_no_finding() -> None:
    text = printed(replay(a_log(60), Uniform()))
    table = text[text.index("Diagnostics") :]
    assert table.index("refuse") < table.index("ok") < table.index("Not measured")
    assert "rescoring" in table[table.index("Not measured") :]
    assert "not measurable" not in text


def test_a_refusal_shows_people_no_estimate_and_keeps_them_in_json() -> None:
    result = replay(a_log(60), Uniform())
    assert result.report.verdict.decision is Ruling.REFUSE
    text = printed(result)
    assert "refuse" in text
    assert "Estimated mean reward" not in text
    assert f"{result.report.estimates['dr'].value:.3g}" not in text
    assert json.loads(as_json(result))["estimates"]["dr"]["value"] == result.report.estimates["dr"].value
    assert exit_code(result.report.verdict) == 1


def test_exit_codes_follow_the_verdict() -> None:
    def code(decision: Ruling, reason: str) -> int:
        return exit_code(Verdict(decision=decision, reasons=(Reason(reason, ""),)))

    assert code(Ruling.GO, "proven") == 0
    assert code(Ruling.REFUSE, "no_gate") == 1
    assert code(Ruling.WAIT, "no_gate") == 0
    assert code(Ruling.WAIT, "more_days") == 3


def test_same_rows_or_other_rows_is_said() -> None:
    assert "fitted on the rows it predicts" in replay(a_log(2000), Uniform()).notes[-1]
    assert "cross-fitted in 4 folds" in replay(a_log(2000), Uniform(), ReplaySettings(folds=4)).notes[-1]
    with pytest.raises(InvalidInput, match="2 or more folds"):
        replay(a_log(2000), Uniform(), ReplaySettings(folds=1))


def test_a_declared_floor_bounds_the_weights() -> None:
    settings = ReplaySettings(interval="cressie_read", smallest_propensity=0.1)
    report = replay(a_log(2000), Uniform(), settings).report
    assert "weights lie in [0, 5]" in report.estimates["ips"].assumptions
    with pytest.raises(InvalidInput, match=r"holds a propensity of 0\.5"):
        replay(a_log(2000), Uniform(), ReplaySettings(smallest_propensity=0.6))


def test_a_log_without_rows_is_refused() -> None:
    with pytest.raises(InvalidInput, match="has no rows"):
        replay(a_log(0), Uniform())
