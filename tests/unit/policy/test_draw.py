import random
from collections import Counter
from itertools import pairwise
from uuid import UUID

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from cxi_bandit.domain.identifiers import DecisionId
from cxi_bandit.policy.draw import DrawKey, draw, uniform

KEY = DrawKey("k1", b"0123456789abcdef0123456789abcdef")
IDS = [DecisionId(UUID(int=random.Random(7).getrandbits(128) + index)) for index in range(20_000)]


@given(st.uuids())
def test_a_draw_is_repeatable_and_in_the_unit_interval(identifier: UUID) -> None:
    u = uniform(KEY, b"draw", DecisionId(identifier))
    assert 0.0 <= u < 1.0
    assert u == uniform(KEY, b"draw", DecisionId(identifier))
    assert u * 2**53 == int(u * 2**53)


def test_uniform_numbers_are_uniform() -> None:
    # One fixed sample: a right hash fails this once in a thousand choices of key.
    numbers = [uniform(KEY, b"draw", identifier) for identifier in IDS]
    assert stats.kstest(numbers, "uniform").pvalue > 1e-3


def test_labels_and_keys_give_independent_numbers() -> None:
    plain = np.array([uniform(KEY, b"draw", identifier) for identifier in IDS])
    arm = np.array([uniform(KEY, b"arm", identifier) for identifier in IDS])
    other = np.array([uniform(DrawKey("k2", b"another secret"), b"draw", identifier) for identifier in IDS])
    # |r| > 4 / sqrt(n): once in 16,000 choices of key.
    assert abs(np.corrcoef(plain, arm)[0, 1]) < 4 / len(IDS) ** 0.5
    assert abs(np.corrcoef(plain, other)[0, 1]) < 4 / len(IDS) ** 0.5


def test_frequencies_match_the_vector() -> None:
    vector = (0.02, 0.5, 0.0, 0.08, 0.4)
    drawn = Counter(draw(vector, uniform(KEY, b"draw", identifier)) for identifier in IDS)
    assert drawn[2] == 0
    seen = [drawn[index] for index in (0, 1, 3, 4)]
    wanted = [vector[index] * len(IDS) for index in (0, 1, 3, 4)]
    assert stats.chisquare(seen, wanted).pvalue > 1e-3  # a right draw fails once in a thousand choices of key


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=20).filter(lambda w: sum(w) > 1e-3), st.floats(0, 1))
def test_what_is_drawn_has_a_positive_probability(weights: list[float], u: float) -> None:
    vector = [weight / sum(weights) for weight in weights]
    assert vector[draw(vector, min(u, 1 - 2**-53))] > 0.0


@given(st.lists(st.floats(0.01, 1.0), min_size=2, max_size=10), st.lists(st.floats(0, 0.9999), min_size=2))
def test_a_larger_u_never_draws_an_earlier_intervention(weights: list[float], numbers: list[float]) -> None:
    vector = [weight / sum(weights) for weight in weights]
    drawn = [draw(vector, u) for u in sorted(numbers)]
    assert all(earlier <= later for earlier, later in pairwise(drawn))


def test_a_sum_that_rounds_short_of_one_draws_the_last_possible() -> None:
    assert draw([0.3, 0.3, 0.3, 0.0], 0.95) == 2
