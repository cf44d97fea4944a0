"""The replay bench measures what it says: the same sums, the same rows, every length it names."""

import json

import pytest
from click.testing import CliRunner

from simulator.bench.arithmetic import bare, input_bytes, synthetic
from simulator.bench.replay import Repeated, bench
from simulator.estimators import ESTIMATORS


def test_the_yardstick_computes_the_same_sums() -> None:
    log = synthetic(2000, 5)
    sums = bare(log)
    batch = log.scored(log.q_hat)
    for number, kind in enumerate(ESTIMATORS.values()):
        estimator = kind()
        estimator.update(batch)
        assert estimator.moments is not None
        assert sums.means[number] == pytest.approx(estimator.moments.mean, rel=1e-6)
        assert sums.comoments[number] == pytest.approx(estimator.moments.comoments, rel=1e-5, abs=1e-9)


def test_a_repeated_log_goes_on_where_it_began() -> None:
    log = synthetic(100, 3)
    later = Repeated(log, 250, 50).load()
    assert later.first_row == 250
    assert (later.rounds.reward == log.rounds.reward[50:100]).all()


def test_inputs_are_counted_once() -> None:
    assert input_bytes(synthetic(100, 3)) == 100 * (4 * 8 + 2 * 3 * 4)


@pytest.mark.timeout(120)
def test_it_runs_and_reports_every_figure() -> None:
    arguments = ["--rounds", "1", "--rows", "20000", "--actions", "4", "--scored", "1000", "--longest", "10000"]
    done = CliRunner().invoke(bench, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    names = [figure["name"] for figure in report["figures"]]
    assert names[:3] == [
        "all estimators with intervals, beside numpy",
        "peak memory, beside the input arrays",
        "streamed 10,000 rows",
    ]
    assert sum(name.startswith("scored, ") for name in names) in {2, 4}
    assert all(figure["measured"] > 0 for figure in report["figures"])
