"""The coverage study: truths are true, replications repeat, claims follow the premises, and the command prints them."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from simulator.studies.coverage_cases import bernoulli, synthetic_cases
from simulator.studies.coverage_measure import Case, Finding, measured
from simulator.studies.coverage_pages import markdown
from simulator.studies.coverage_premises import PREMISES, Premise, broken
from simulator.studies.coverage_shop import shopping_cases
from simulator.studies.coverage_study import cases, main

SYNTHETIC = list(synthetic_cases())
OF_THE_LOG = [case for case in SYNTHETIC if not case.breaks & {Premise.OUTCOMES, Premise.WINDOW}]


def unheard(rows: int, total: int | None = None) -> None:
    pass


@pytest.mark.statistical
@pytest.mark.parametrize("case", OF_THE_LOG, ids=lambda case: f"{case.name}, {case.rows}")
def test_the_truth_is_what_the_candidate_earns_when_it_logs(case: Case) -> None:
    """Within 4.5 standard errors of a long log's mean: one of all these misses with probability below .0003."""
    site = replace(case.site, logger=case.site.candidate, claimed=None, greed=None)
    log = site.log(100_000, np.random.default_rng(3))
    shoppers = log.reward.reshape(-1, site.decisions).mean(axis=1)
    error = shoppers.std() / np.sqrt(len(shoppers))
    assert log.reward.mean() == pytest.approx(site.truth, abs=4.5 * error)
    assert log.weight == pytest.approx(1.0)


@pytest.mark.parametrize("case", SYNTHETIC, ids=lambda case: f"{case.name}, {case.rows}")
def test_weights_stay_in_the_declared_range_and_average_to_one_where_they_should(case: Case) -> None:
    log = case.site.log(20_000, np.random.default_rng(4))
    assert log.weight.max() <= case.site.weight_range.hi
    off = case.breaks & {Premise.SUPPORT, Premise.PROPENSITY}
    error = log.weight.std() / np.sqrt(20_000)
    # Beyond 4.5 standard errors: one of all these with probability below .0003.
    assert (abs(log.weight.mean() - 1.0) > 4.5 * error + 1e-9) == bool(off)


def test_a_replication_is_the_same_however_many_there_are() -> None:
    case = Case(name="a case", rows=300, site=bernoulli(0.1))
    once, again = measured(case, 3, unheard), measured(case, 3, unheard)
    assert once == again
    heard: list[int] = []
    measured(case, 2, lambda rows, total=None: heard.append(rows))
    assert heard == [1, 1]


def test_claims_follow_the_premises() -> None:
    assert broken("cressie_read", frozenset({Premise.PLENTY, Premise.NAMED})) == ()
    for lack in (Premise.PLENTY, Premise.FAILURES):
        assert broken("gaussian", frozenset({lack})) == broken("bootstrap", frozenset({lack})) == (lack,)
        assert broken("cressie_read", frozenset({lack})) == ()
    assert broken("confidence_sequence", frozenset({Premise.FIXED_LOGGER})) == ()
    assert broken("confidence_sequence", frozenset({Premise.SUPPORT})) == ()
    for interval in PREMISES:
        assert broken(interval, frozenset({Premise.OUTCOMES, Premise.PROPENSITY})) == (
            Premise.PROPENSITY,
            Premise.OUTCOMES,
        )


def test_few_rewards_few_failures_and_unequal_weights_are_noticed() -> None:
    few = Case(name="a case", rows=10_000, site=bernoulli(0.004)).breaks_at()
    assert few == {Premise.PLENTY, Premise.EQUAL_WEIGHTS}
    frequent = Case(name="a case", rows=10_000, site=bernoulli(0.9)).breaks_at()
    assert frequent == {Premise.FAILURES, Premise.EQUAL_WEIGHTS}
    own = replace(bernoulli(0.1), candidate=bernoulli(0.1).logger)
    assert Case(name="a case", rows=2000, site=own).breaks_at() == frozenset()


def test_the_shop_loses_rewards_where_the_scenario_says_so() -> None:
    plain, ordinary = shopping_cases("the shop: shopping")
    (missing,) = shopping_cases("missing_reward")
    assert plain.breaks == frozenset()
    assert ordinary.breaks == missing.breaks == {Premise.OUTCOMES}
    assert plain.site.truth == ordinary.site.truth == missing.site.truth
    values = [case.site.log(20_000, np.random.default_rng(1)).reward.mean() for case in (plain, ordinary, missing)]
    assert values[0] > values[1] > values[2] + 0.02


def finding(**changes: object) -> Finding:
    plain = Finding(
        scenario="a case",
        rows=2000,
        replications=1000,
        interval="cressie_read",
        estimator="dr",
        nominal=0.95,
        coverage=0.951,
        error=0.007,
        width=0.0312,
        below=0.02,
        above=0.029,
        broken=(),
        mark="ok",
    )
    return msgspec.structs.replace(plain, **changes)


def test_tables_show_claims_traps_and_misses_apart() -> None:
    text = markdown(
        [
            finding(),
            finding(interval="gaussian", coverage=0.9, mark="miss"),
            finding(estimator="ips", width=0.0041, mark="-", broken=("rewards are missing",)),
        ]
    )
    assert "| a case | 2,000 | **90.0 · .031** | 95.1 · .031 |" in text
    assert "| a case | 2,000 | (95.1 · .0041) |" in text
    assert "| a case | 2,000 | rewards are missing |" in text
    assert "- a case, 2,000 rows, Gaussian around DR: 90.0" in text
    assert markdown([finding()]).endswith("None.\n")


def test_every_case_has_a_name_of_its_own_and_one_size_may_be_asked_for() -> None:
    names = [(case.name, case.rows) for case in SYNTHETIC]
    assert len(set(names)) == len(names)
    assert [(case.name, case.rows) for case in cases("reward rate .4 %", 500)] == [("reward rate .4 %", 500)]


@pytest.mark.parametrize("form", [["--json"], ["--markdown"], []])
def test_the_command_prints_every_form(form: list[str]) -> None:
    arguments = ["--replications", "2", "--rows", "200", "--only", "candidate is the logger", *form]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "cressie_read" in result.stdout or "Cressie-Read" in result.stdout
    if form == ["--json"]:
        findings = msgspec.json.decode(result.stdout)["findings"]
        assert len(findings) == 12
        assert {found["nominal"] for found in findings} == {0.95}
