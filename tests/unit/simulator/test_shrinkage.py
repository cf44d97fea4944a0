"""Shrinkage draws towards the centre and no further, and pays: closer to the truth, honest on average."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from simulator.shrinkage import benjamini_hochberg, bonferroni, p_values, shrink

effects = st.lists(st.tuples(st.floats(-2, 2), st.floats(0.01, 2), st.integers(1, 1000)), min_size=1, max_size=12).map(
    lambda rows: tuple(np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
)


@given(effects)
def test_every_effect_lands_between_itself_and_the_centre(given_: tuple[np.ndarray, ...]) -> None:
    effect, error, share = given_
    found = shrink(effect, error, share)
    low, high = np.minimum(effect, found.centre), np.maximum(effect, found.centre)
    assert ((found.value >= low - 1e-12) & (found.value <= high + 1e-12)).all()
    assert ((found.kept >= 0) & (found.kept <= 1)).all()
    assert found.centre == pytest.approx(np.average(effect, weights=share))
    assert 0 <= found.heterogeneity_p <= 1


@given(effects, st.randoms(use_true_random=False))
def test_the_order_of_segments_does_not_matter(given_: tuple[np.ndarray, ...], draw: object) -> None:
    effect, error, share = given_
    order = np.random.default_rng(draw.randint(0, 9999)).permutation(len(effect))  # type: ignore[attr-defined]
    found, turned = shrink(effect, error, share), shrink(effect[order], error[order], share[order])
    assert turned.value == pytest.approx(found.value[order], abs=1e-9)
    assert turned.spread == pytest.approx(found.spread, abs=1e-7)


def test_equal_effects_become_one_and_exact_ones_stay() -> None:
    same = shrink(np.full(5, 0.3), np.full(5, 0.1), np.ones(5))
    assert same.spread == 0.0
    assert same.value == pytest.approx(np.full(5, 0.3))
    assert (same.standard_error < 0.1).all()
    exact = shrink(np.array([0.0, 1.0]), np.zeros(2), np.ones(2))
    assert exact.value.tolist() == [0.0, 1.0]


def test_the_noisier_an_effect_the_less_it_keeps() -> None:
    found = shrink(np.array([1.0, 1.0, -1.0, -1.0]), np.array([0.1, 0.8, 0.1, 0.8]), np.ones(4))
    assert found.kept[0] > 0.9 > found.kept[1] > 0
    assert found.spread > 0.5


def test_three_are_too_few_to_shrink() -> None:
    effect, error = np.array([0.0, 1.0, 2.0]), np.full(3, 5.0)
    found = shrink(effect, error, np.ones(3))
    assert found.value == pytest.approx(effect)
    assert found.standard_error == pytest.approx(error)


@pytest.mark.statistical
@pytest.mark.parametrize(("k", "spread"), [(5, 0.0), (5, 0.7), (20, 0.0), (20, 0.7), (20, 3.0)])
def test_shrunken_effects_are_nearer_the_truth_and_cover_it_on_average(k: int, spread: float) -> None:
    """1,000 draws; the average coverage of a nominal 95 % is at least 93 %, known to within .5 points."""
    rng = np.random.default_rng(3)
    raw = shrunken = covered = 0.0
    for _ in range(1000):
        error = rng.uniform(0.5, 1.5, k)
        truth = rng.normal(0.2, spread, k)
        effect = rng.normal(truth, error)
        found = shrink(effect, error, np.ones(k))
        raw += float(((effect - truth) ** 2).mean())
        shrunken += float(((found.value - truth) ** 2).mean())
        covered += float((np.abs(found.value - truth) <= 1.96 * found.standard_error).mean())
    assert shrunken < raw
    assert covered / 1000 > 0.93


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_adjustments_agree_with_their_definitions(given_: list[float]) -> None:
    p = np.array(given_)
    assert benjamini_hochberg(p) == pytest.approx(false_discovery_control(p), abs=1e-12)
    assert (bonferroni(p) >= benjamini_hochberg(p) - 1e-15).all()
    assert (benjamini_hochberg(p) >= p - 1e-15).all()


def test_p_values_are_two_sided_and_know_certainty() -> None:
    p = p_values(np.array([0.0, 1.96, -1.96, 1.0, 0.0]), np.array([1.0, 1.0, 1.0, 0.0, 0.0]))
    assert p == pytest.approx([1.0, 0.05, 0.05, 0.0, 1.0], abs=1e-4)
