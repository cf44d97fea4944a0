"""A fast selection of the coverage study, fixed seeds: claims of 95 % are nearly met, and traps spring."""

import pytest

from simulator.studies.coverage_measure import Finding, measured
from simulator.studies.coverage_study import cases

pytestmark = pytest.mark.statistical

REPLICATIONS = 200


def findings_of(name: str) -> dict[tuple[str, str], Finding]:
    (case,) = cases(name)
    with_names = measured(case, REPLICATIONS, lambda _rows, _total=None: None)
    return {(finding.interval, finding.estimator): finding for finding in with_names}


@pytest.mark.parametrize("name", ["candidate is the logger", "reward model always says .9"])
def test_intervals_that_claim_their_coverage_have_it(name: str) -> None:
    """Below .89 in 200 runs: 1 in 10,000 at a true .95, 1 in 1,000 at .94; some twenty intervals are held to it."""
    claiming = [finding for finding in findings_of(name).values() if not finding.broken]
    assert len(claiming) >= 11
    for finding in claiming:
        assert finding.coverage >= 0.89, (finding.interval, finding.estimator)
    widths = {(finding.interval, finding.estimator): finding.width for finding in claiming}
    assert widths["cressie_read", "dr"] < 1.2 * widths["gaussian", "dr"]
    assert widths["cressie_read", "dr"] < widths["empirical_bernstein", "dr"]
    assert widths["cressie_read", "ips"] < widths["confidence_sequence", "ips"]


def test_shoppers_who_come_back_unnamed_make_every_interval_by_row_too_narrow() -> None:
    """A true coverage of .7 gives more than .82 of 200 runs with probability below .0002."""
    found = findings_of("20 decisions a shopper, not named")
    for interval in ("gaussian", "bootstrap", "cressie_read"):
        assert found[interval, "dr"].mark == "-"
        assert found[interval, "dr"].coverage < 0.82


def test_lost_rewards_put_the_interval_below_the_truth() -> None:
    """Here a true coverage of .2 would have to come out above .5."""
    found = findings_of("a quarter of rewards lost")
    for estimator in ("ips", "dr"):
        finding = found["cressie_read", estimator]
        assert finding.coverage < 0.5
        assert finding.above == 0.0
        assert finding.broken == ("rewards are missing when the log is read",)
