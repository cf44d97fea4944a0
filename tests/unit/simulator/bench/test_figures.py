"""Ratios are of one round, targets are held, and what was refused is never met."""

from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.bench.figures import Row, Sample, at_least, at_most, figure

POSITIVE = st.floats(min_value=1e-3, max_value=1e6)
PAIRS = st.lists(st.tuples(POSITIVE, POSITIVE), min_size=1, max_size=20)


def row(*targets, better="higher", statistic="median") -> Row:
    return Row(
        name="row", title="a row", unit="/s", beside="another", targets=targets, better=better, statistic=statistic
    )


@given(PAIRS, st.lists(st.floats(min_value=0.1, max_value=10.0), min_size=20, max_size=20))
def test_a_machine_that_slows_down_from_round_to_round_changes_no_ratio(pairs, slowdowns) -> None:
    calm = figure(row(), [Sample(*pair) for pair in pairs])
    noisy = figure(row(), [Sample(a * s, b * s) for (a, b), s in zip(pairs, slowdowns, strict=False)])
    assert noisy.ratio == pytest.approx(calm.ratio)
    assert noisy.spread == pytest.approx(calm.spread)


@given(PAIRS, st.randoms())
def test_the_order_of_rounds_changes_nothing(pairs, random) -> None:
    samples = [Sample(*pair) for pair in pairs]
    shuffled = random.sample(samples, len(samples))
    assert figure(row(), shuffled) == figure(row(), samples)


@given(PAIRS)
def test_the_ratio_is_the_median_of_the_rounds_own(pairs) -> None:
    made = figure(row(), [Sample(*pair) for pair in pairs])
    assert made.ratio == median(a / b for a, b in pairs)
    assert made.spread[0] <= made.ratio <= made.spread[1]
    assert (made.samples, made.measured) == (len(pairs), median(a for a, _ in pairs))


@pytest.mark.parametrize(
    ("targets", "met"),
    [
        ((), None),
        ((at_least(0.5),), True),
        ((at_least(0.51),), False),
        ((at_most(0.5), at_most(100.0, of="measured")), True),
        ((at_most(0.5), at_most(99.0, of="measured")), False),
    ],
)
def test_targets_are_held_together(targets, met) -> None:
    assert figure(row(*targets), [Sample(100.0, 200.0)]).met is met


def test_what_was_refused_meets_nothing() -> None:
    samples = [Sample(100.0, 100.0), Sample(100.0, 100.0, refused=1)]
    made = figure(row(at_least(0.5)), samples)
    assert (made.met, made.refused) == (False, 1)


def test_without_anything_beside_it_the_target_is_on_what_was_measured() -> None:
    made = figure(row(at_most(3.0, of="measured")), [Sample(1.0), Sample(2.0), Sample(9.0)])
    assert (made.ratio, made.against, made.measured, made.met) == (None, None, 2.0, True)


def test_a_percentile_is_one_of_what_was_measured() -> None:
    made = figure(row(statistic="p95"), [Sample(float(number), 10.0) for number in range(1, 21)])
    assert (made.measured, made.ratio) == (19.0, 1.9)


@pytest.mark.parametrize("samples", [[], [Sample(1.0, 2.0), Sample(1.0)]])
def test_no_figure_of_nothing_or_of_half(samples) -> None:
    with pytest.raises(ValueError, match="row"):
        figure(row(), samples)
