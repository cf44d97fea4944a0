"""Few runs of the promotion study's cases: the study itself has two hundred.

With no change at most alpha = .05 of runs may go live, or be taken back; two of three would be a chance of .008 or less
for a right watch.
"""

import pytest

from cxi_bandit.domain.gate import Ruling
from cxi_bandit.domain.promotion import Step
from simulator.lifecycle import Harm
from simulator.lifecycle.cases import Ending
from simulator.studies.promotion_study import found, passed, runs_of

pytestmark = pytest.mark.statistical


def test_without_a_change_hardly_anything_goes_live() -> None:
    endings = runs_of("no_change", range(1, 4))
    assert len(endings) == 3
    assert sum(ending.step is Step.LIVE for ending in endings) < 2
    assert sum(ending.ruling is Ruling.GO for ending in endings) < 2
    assert sum(ending.step is Step.ROLLED_BACK for ending in endings) < 2
    for ending in endings:
        assert ending.harm is not None
        assert abs(ending.harm.lost) < 1e-9, "all policies are worth the same"
        assert ending.harm.answered > 300


def test_the_study_says_miss_where_too_many_go_live_or_one_is_not_taken_back() -> None:
    cost = Harm(decisions=100, answered=10, lost=1.0)
    calm = Ending(seed=1, ruling=Ruling.WAIT, step=Step.CANARY, harm=cost)
    live = Ending(seed=2, ruling=Ruling.GO, step=Step.LIVE, harm=cost)
    back = Ending(seed=3, ruling=Ruling.GO, step=Step.ROLLED_BACK, harm=cost, bound=99)
    assert passed(found("no_change", 200, [calm] * 191 + [live] * 9))
    assert not passed(found("no_change", 200, [calm] * 190 + [live] * 10))
    assert passed(found("spoilt_in_canary", 2, [back, back]))
    assert not passed(found("spoilt_in_canary", 2, [back, live]))
    assert found("spoilt_in_canary", 1, [back]).within == 0.0
    assert not passed(found("worse", 1, [live]))
    assert passed(found("better", 1, [live]))
