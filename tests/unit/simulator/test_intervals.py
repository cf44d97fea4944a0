"""Intervals: mergeable, mirrored, tighter with more data, and honest where the data say little."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import f

from cxi_bandit.domain.errors import InvalidInput
from simulator.estimators import ClippedIps, DirectMethod, DoublyRobust, Ips, Snips
from simulator.intervals import (
    Bootstrap,
    ConfidenceSequence,
    CressieRead,
    ScoreBound,
    WeightRange,
    clopper_pearson,
    empirical_bernstein,
    gaussian,
)
from simulator.rounds import LoggedRounds, ScoredRounds

K = 3


def batch_of(n: int, *, rate: float = 0.3, seed: int = 0, subject: np.ndarray | None = None) -> ScoredRounds:
    rng = np.random.default_rng(seed)
    action = rng.choice(K, size=n, p=[0.5, 0.3, 0.2])
    rounds = LoggedRounds(
        actions=("a", "b", "c"),
        action=action,
        propensity=np.array([0.5, 0.3, 0.2])[action],
        reward=(rng.random(n) < rate).astype(np.float64),
        logged_at=np.arange(n, dtype=np.float64),
        subject=subject,
    )
    return ScoredRounds(rounds, np.tile([0.1, 0.2, 0.7], (n, 1)), np.full((n, K), rate))


W_MAX = WeightRange(0.0, 3.5)


def cressie_read(batch: ScoredRounds, weights: WeightRange = W_MAX) -> CressieRead:
    found = CressieRead(Ips(), weights)
    found.update(batch)
    return found


def confidence_sequence(*batches: ScoredRounds) -> ConfidenceSequence:
    found = ConfidenceSequence()
    for batch in batches:
        found.update(batch)
    return found


def ends_of(name: str, batch: ScoredRounds, confidence: float = 0.95) -> tuple[float, float]:
    ips = Ips()
    ips.update(batch)
    bootstrap = Bootstrap(Ips())
    bootstrap.update(batch)
    found = {
        "gaussian": lambda: gaussian(ips.result(), confidence),
        "empirical_bernstein": lambda: empirical_bernstein(ips, ScoreBound().over(3.5), confidence),
        "bootstrap": lambda: bootstrap.result(confidence, 1000, 1),
        "cressie_read": lambda: cressie_read(batch).result(confidence),
        "confidence_sequence": lambda: confidence_sequence(batch).result(confidence),
        "clopper_pearson": lambda: clopper_pearson(ips, 3.5, confidence=confidence),
    }[name]()
    assert found.name == name
    assert found.confidence == confidence
    assert found.assumptions
    return found.lo, found.hi


METHODS = ("gaussian", "empirical_bernstein", "bootstrap", "cressie_read", "confidence_sequence", "clopper_pearson")


@pytest.mark.parametrize("name", METHODS)
def test_more_data_tightens_and_more_confidence_widens(name: str) -> None:
    few, many, sure = ends_of(name, batch_of(300)), ends_of(name, batch_of(30_000)), ends_of(name, batch_of(300), 0.99)
    assert many[1] - many[0] < (few[1] - few[0]) / 2
    assert sure[1] - sure[0] > few[1] - few[0]
    assert many[0] < 0.3 < many[1]


@pytest.mark.parametrize("name", ["gaussian", "bootstrap", "cressie_read", "empirical_bernstein"])
def test_order_of_rows_changes_nothing(name: str) -> None:
    batch = batch_of(500)
    shuffled = batch.take(np.random.default_rng(1).permutation(500))
    assert ends_of(name, shuffled) == pytest.approx(ends_of(name, batch), rel=1e-9)


@pytest.mark.parametrize("name", ["cressie_read", "empirical_bernstein", "confidence_sequence", "clopper_pearson"])
def test_nothing_seen_excludes_nothing(name: str) -> None:
    lo, hi = ends_of(name, batch_of(10).take(slice(0, 0)))
    assert lo <= 0.0
    assert hi >= 1.0


@pytest.mark.parametrize("name", ["cressie_read", "confidence_sequence"])
def test_rewards_never_seen_do_not_prove_zero(name: str) -> None:
    lo, hi = ends_of(name, batch_of(1000, rate=0.0))
    assert lo == 0.0
    assert hi > 0.002


def test_gaussian_by_subject_is_wider_when_subjects_repeat() -> None:
    subject = np.repeat(np.arange(200), 5)
    rows, named = batch_of(1000), batch_of(1000, subject=subject)
    alike = ScoredRounds(
        LoggedRounds(
            actions=named.rounds.actions,
            action=named.rounds.action,
            propensity=named.rounds.propensity,
            reward=np.repeat(named.reward[::5], 5),
            logged_at=named.rounds.logged_at,
            subject=subject,
        ),
        named.candidate,
    )
    by_row, by_subject = Snips(), Snips()
    by_row.update(rows)
    by_subject.update(alike)
    assert by_subject.result().standard_error > 1.3 * by_row.result().standard_error
    assert "subjects are independent" in gaussian(by_subject.result()).assumptions


def test_cressie_read_merges_and_mirrors() -> None:
    batch = batch_of(800)
    whole = cressie_read(batch)
    merged = cressie_read(batch.take(slice(0, 100))) + cressie_read(batch.take(slice(100, 800)))
    assert merged.result().lo == pytest.approx(whole.result().lo, rel=1e-9)
    assert merged.result().hi == pytest.approx(whole.result().hi, rel=1e-9)
    assert merged.point() == pytest.approx(whole.point(), rel=1e-9)
    rounds = batch.rounds
    flipped = LoggedRounds(
        actions=rounds.actions,
        action=rounds.action,
        propensity=rounds.propensity,
        reward=1.0 - rounds.reward,
        logged_at=rounds.logged_at,
    )
    # E[w(1 - r)] = 1 - E[wr] holds in every distribution considered, since E[w] = 1 in each.
    mirror = cressie_read(ScoredRounds(flipped, batch.candidate)).result()
    assert mirror.lo == pytest.approx(1.0 - whole.result().hi, rel=1e-9)
    assert mirror.hi == pytest.approx(1.0 - whole.result().lo, rel=1e-9)


def test_an_unknown_largest_weight_is_the_limit_of_large_ones() -> None:
    batch = batch_of(400)
    limit, large = cressie_read(batch, WeightRange()), cressie_read(batch, WeightRange(0.0, 1e9))
    assert limit.result().lo == pytest.approx(large.result().lo, abs=1e-6)
    assert limit.result().hi == pytest.approx(large.result().hi, abs=1e-6)
    assert limit.point() == pytest.approx(large.point(), abs=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_cressie_read_end_solves_its_programme(seed: int) -> None:
    """The closed form against linear algebra on the rows: min q·z, Σq = 1, Σqw = 1, Σ(Nq - 1)² within its limit."""
    batch = batch_of(60, seed=seed)
    weight, score = batch.weight, batch.weight * batch.reward
    ends = []
    for unseen in (0.0, 3.5):
        w, z = np.append(weight, unseen), np.append(score, 0.0)
        n = len(w)
        likely = np.append(weight, 3.5 if weight.mean() < 1.0 else 0.0)
        limit = n * (1.0 - likely.mean()) ** 2 / likely.var() + f.isf(0.05, 1, n - 1)
        constraints = np.stack([np.ones(n), w])
        inverse = np.linalg.pinv(constraints)
        nearest = inverse @ (np.ones(2) - constraints @ np.full(n, 1 / n))
        across = z - inverse @ (constraints @ z)
        left = limit / n**2 - nearest @ nearest
        if left >= 0:
            ends.append((np.full(n, 1 / n) + nearest) @ z - np.linalg.norm(across) * np.sqrt(left))
    assert cressie_read(batch).result().lo == pytest.approx(max(min(ends), 0.0), rel=1e-9)


def test_cressie_read_on_dr_is_narrower_with_a_good_model() -> None:
    batch = batch_of(5000, rate=0.9)
    doubly = CressieRead(DoublyRobust(), W_MAX)
    doubly.update(batch)
    plain, robust = cressie_read(batch).result(), doubly.result()
    assert robust.lo < 0.9 < robust.hi
    assert robust.hi - robust.lo < 1.2 * (plain.hi - plain.lo)
    assert "our own extension" in robust.assumptions


def test_declared_ranges_are_enforced() -> None:
    with pytest.raises(InvalidInput, match="weight_range"):
        cressie_read(batch_of(50), WeightRange(0.0, 2.0))
    with pytest.raises(InvalidInput, match="weight_range"):
        WeightRange(0.0, 0.5)
    outside = CressieRead(Ips(), W_MAX, (0.0, 0.5))
    with pytest.raises(InvalidInput, match="reward_range"):
        outside.update(batch_of(50))
    with pytest.raises(InvalidInput, match="reward_range"):
        ScoreBound((1.0, 1.0))
    with pytest.raises(InvalidInput, match="cressie_read"):
        CressieRead(DirectMethod(), W_MAX)
    with pytest.raises(InvalidInput, match="confidence"):
        cressie_read(batch_of(50)).result(1.0)
    with pytest.raises(InvalidInput, match="reward_range"):
        ConfidenceSequence((0.0, 0.5)).update(batch_of(50))


def test_score_bounds_hold_at_both_ends() -> None:
    assert ScoreBound((0.0, 1.0)).over(5.0) == (0.0, 5.0)
    assert ScoreBound((-1.0, 1.0)).over(5.0) == (-5.0, 5.0)
    assert ScoreBound((0.0, 1.0), (0.2, 0.4)).over(2.0) == pytest.approx((0.2 - 0.8, 0.4 + 1.6))


def test_confidence_sequence_continues_where_it_stopped() -> None:
    batch = batch_of(900)
    once = confidence_sequence(batch).result()
    parts = confidence_sequence(batch.take(slice(0, 333)), batch.take(slice(333, 900))).result()
    assert (parts.lo, parts.hi) == pytest.approx((once.lo, once.hi), rel=1e-9)


def test_confidence_sequence_has_no_ends_where_the_weights_refute_it() -> None:
    """Weights that average 1.5: w·r and w·(1 - r) both promise more than a reward can share out."""
    batch = batch_of(5000)
    rounds = replace(batch.rounds, propensity=batch.rounds.propensity / 1.5)
    found = confidence_sequence(ScoredRounds(rounds, batch.candidate)).result()
    assert np.isnan([found.lo, found.hi]).all()
    assert "contradict" in found.assumptions


@pytest.mark.statistical
def test_clopper_pearson_is_exact_on_the_own_log_and_not_where_weights_are_0_or_w_max() -> None:
    """400 runs each: at a true coverage of .95 fewer than .92 hold the rate with probability .006."""
    rng = np.random.default_rng(0)

    def coverage(w_max: float) -> float:
        held = 0
        for _ in range(400):
            matched = rng.random(2000) < 1 / w_max
            rounds = LoggedRounds(
                actions=("a", "b"),
                action=matched.astype(np.intp),
                propensity=np.where(matched, 1 / w_max, 1 - 1 / w_max if w_max > 1 else 1.0),
                reward=(rng.random(2000) < 0.9).astype(np.float64),
                logged_at=np.arange(2000.0),
            )
            ips = Ips()
            ips.update(ScoredRounds(rounds, np.tile([0.0, 1.0], (2000, 1))))
            found = clopper_pearson(ips, w_max)
            held += found.lo <= 0.9 <= found.hi
        return held / 400

    assert coverage(1.0) >= 0.92
    assert coverage(10.0) < 0.6


def test_bernstein_is_for_means_only() -> None:
    with pytest.raises(InvalidInput, match="ratio"):
        empirical_bernstein(Snips(), (0.0, 1.0))  # type: ignore[arg-type]


def test_bootstrap_of_cells_is_the_bootstrap_of_rows() -> None:
    """Resampled means have the variance of the mean: that of the rows over n."""
    batch = batch_of(500)
    bootstrap = Bootstrap(ClippedIps(2.0))
    bootstrap.update(batch.take(slice(0, 200)))
    later = Bootstrap(ClippedIps(2.0))
    later.update(batch.take(slice(200, 500)))
    values = (bootstrap + later).replicate_values(20_000, 3)
    score = np.minimum(batch.weight, 2.0) * batch.reward
    assert values.mean() == pytest.approx(score.mean(), abs=4 * score.std() / np.sqrt(500 * 20_000))
    assert values.var() == pytest.approx(score.var() / 500, rel=0.05)


def test_bootstrap_resamples_whole_subjects() -> None:
    subject = np.repeat(np.arange(100), 5)
    named = Bootstrap(Ips())
    batch = batch_of(500, subject=subject)
    named.update(batch)
    sums = np.add.reduceat(batch.weight * batch.reward, np.arange(0, 500, 5))
    assert named.replicate_values(20_000, 3).var() == pytest.approx(sums.var() / 100 / 25, rel=0.05)
    with pytest.raises(InvalidInput, match="subject"):
        named.update(batch_of(10))
    assert np.isnan(Bootstrap(Ips()).result().lo)
