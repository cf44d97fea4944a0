"""Has what comes in changed? How far two samples of a feature are apart, and whether two means differ."""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Final, NamedTuple, Self

from cxi_bandit.domain.decision import FeatureValue
from cxi_bandit.policy.manifest import FeatureType, NumberFeature

Value = FeatureValue | None
"""A feature as it was sent, None where it was not."""

_BINS: Final = 10
_LEVELS: Final = 20
_MISSING: Final = "missing"
_OTHER: Final = "other"
_PSEUDO_COUNT: Final = 0.5


def population_stability(reference: Mapping[Hashable, int], latest: Mapping[Hashable, int]) -> float:
    """The population stability index of two samples over the same bins.

    PSI = sum over bins of (q - p) ln(q / p), with p and q the shares of the reference and of the latest sample, each
    count half an observation larger so that an empty bin is no infinity. It is Jeffreys' divergence (the sum of both
    Kullback-Leibler divergences): 0 for equal shares, never negative, the same with the samples exchanged. By
    convention below 0.1 is no change, above 0.2 a large one.

    Without any change it is about (B - 1)(1/n + 1/m), for B bins and samples of n and m, which is what it means for
    samples to be large enough.

    Reference:
        B. Yurdakul, J. Naranjo (2020), Statistical properties of the population stability index, Journal of Risk Model
        Validation 14(4).
    """
    bins = reference.keys() | latest.keys()
    before, after = ({name: counts.get(name, 0) + _PSEUDO_COUNT for name in bins} for counts in (reference, latest))
    n, m = sum(before.values()), sum(after.values())
    return math.fsum(
        (after[name] / m - before[name] / n) * math.log(after[name] * n / (before[name] * m)) for name in bins
    )


def drift_of(kind: FeatureType, reference: Sequence[Value], latest: Sequence[Value]) -> float:
    """The population stability index of a feature, not sent being a value of its own.

    Numbers fall into the tenths of the reference sample (a value that fills more than one is a bin of its own),
    everything else into its twenty most frequent values there and one for all others.
    """
    place = _tenths(reference) if isinstance(kind, NumberFeature) else _levels(reference)
    return population_stability(Counter(map(place, reference)), Counter(map(place, latest)))


def _tenths(reference: Sequence[Value]) -> Callable[[Value], Hashable]:
    known = sorted(float(value) for value in reference if value is not None)
    cuts = Counter(known[len(known) * tenth // _BINS] for tenth in range(1, _BINS)) if known else Counter[float]()
    edges = sorted(cuts)
    # A value so frequent that several cuts fall on it is a bin of its own: what comes just above it is something else.
    atoms = {value for value, number in cuts.items() if number > 1}

    def place(value: Value) -> Hashable:
        if value is None:
            return _MISSING
        number = float(value)
        return ("at", number) if number in atoms else bisect_right(edges, number)

    return place


def _levels(reference: Sequence[Value]) -> Callable[[Value], Hashable]:
    frequent = Counter(value for value in reference if value is not None).most_common(_LEVELS)
    levels = {value for value, _ in frequent}

    def place(value: Value) -> Hashable:
        if value is None:
            return _MISSING
        return ("level", value) if value in levels else _OTHER

    return place


class Moments(NamedTuple):
    """A sample's size, mean and sum of squared deviations from it. Samples add up."""

    n: int
    mean: float
    squares: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Those of `values`; of none, all are 0."""
        if not values:
            return cls(0, 0.0, 0.0)
        mean = math.fsum(values) / len(values)
        return cls(len(values), mean, math.fsum((value - mean) ** 2 for value in values))


def change_score(reference: Moments, latest: Moments) -> float:
    """Welch's statistic: the difference of two means in its standard errors.

    z = (m2 - m1) / sqrt(s1^2 / n1 + s2^2 / n2). For samples of hundreds it is nearly standard normal when nothing
    changed, so that |z| > 3.29 is a false alarm once in 1,000 checks. Two constant samples differ by nothing or by
    infinity.

    Reference:
        B. L. Welch (1947), The generalization of "Student's" problem, Biometrika 34, doi:10.1093/biomet/34.1-2.28.
    """
    difference = latest.mean - reference.mean
    variance = sum(side.squares / (side.n - 1) / side.n for side in (reference, latest))
    if variance == 0.0:
        return 0.0 if difference == 0.0 else math.copysign(math.inf, difference)
    return difference / math.sqrt(variance)
