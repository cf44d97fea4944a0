"""The canary's unit is the shopper, for the launch claim and for the sample ratio."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.evidence.bets import Evidence
from cxi_bandit.evidence.canary import canary_bounds, canary_contrasts
from cxi_bandit.evidence.sample_ratio import SampleRatio


@given(share=st.floats(0.01, 0.99), baseline=st.floats(0.0, 1.0))
def test_the_contrast_is_unbiased_and_within_its_bounds(share: float, baseline: float) -> None:
    outcome = np.array([0.7, 0.2])
    found = canary_contrasts(np.array([True, False]), outcome, share)
    contrast = found.gain - baseline * found.tilt
    assert share * contrast[0] + (1 - share) * contrast[1] == pytest.approx(0.5, abs=1e-9)
    for treated, value in product([True, False], [0.0, 1.0]):
        extreme = canary_contrasts(np.array([treated]), np.array([value]), share)
        Evidence(bounds=canary_bounds(share), delta=0.0).extended(extreme)


@pytest.mark.parametrize("shoppers", [1, 4, 9])
def test_the_sample_ratio_is_an_e_value(shoppers: int) -> None:
    share = 0.1
    mean = sum(
        math.comb(shoppers, inside) * share**inside * (1 - share) ** (shoppers - inside)
        * math.exp(SampleRatio(share=share, canary=inside, control=shoppers - inside).log_e)
        for inside in range(shoppers + 1)
    )  # fmt: skip
    assert mean == pytest.approx(1.0, abs=1e-9)


def test_the_sample_ratio_sees_a_mismatch_and_adds_up() -> None:
    whole = SampleRatio(share=0.5, canary=5200, control=4800)
    assert whole.log_e > math.log(100)
    assert SampleRatio(share=0.5, canary=5000, control=5000).log_e < 0
    assert SampleRatio(share=0.5, canary=200, control=4800) + SampleRatio(share=0.5, canary=5000) == whole
    with pytest.raises(InvalidInput, match="/share"):
        whole + SampleRatio(share=0.4)
