"""Each diagnostic fires on the fault it is for, and stays quiet on an honest log."""

from dataclasses import replace

import numpy as np
import pytest

from cxi_bandit.domain.evaluation import Level
from simulator.diagnostics import diagnose, effective_size
from simulator.log_quality import LogQuality
from simulator.pareto_tail import pareto_k
from simulator.rounds import LoggedRounds, ScoredRounds

K = 4
LOGGER = np.array([0.4, 0.3, 0.2, 0.1])


def log_of(
    n: int = 20_000,
    *,
    seed: int = 0,
    drawn_from: np.ndarray | None = None,
    rate: float = 0.2,
    subject: np.ndarray | None = None,
    vectors: bool = True,
) -> LoggedRounds:
    rng = np.random.default_rng(seed)
    action = rng.choice(K, size=n, p=LOGGER if drawn_from is None else drawn_from)
    return LoggedRounds(
        actions=tuple("abcd"),
        action=action,
        propensity=LOGGER[action],
        reward=(rng.random(n) < rate).astype(np.float64),
        logged_at=np.arange(n, dtype=np.float64),
        subject=subject,
        probabilities=np.tile(LOGGER, (n, 1)) if vectors else None,
    )


def scored(rounds: LoggedRounds, candidate: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4)) -> ScoredRounds:
    return ScoredRounds(rounds, np.tile(candidate, (len(rounds), 1)))


def level(batch: ScoredRounds, code: str, quality: LogQuality | None = None) -> Level:
    return {check.code: check.level for check in diagnose(batch, quality).checks}[code]


def test_an_honest_log_is_quiet() -> None:
    found = diagnose(scored(log_of(), (0.3, 0.3, 0.2, 0.2)))
    assert found.level is Level.OK
    assert found.reasons(Level.AMBER) == ()
    second_moment = 0.3**2 / 0.4 + 0.3**2 / 0.3 + 0.2**2 / 0.2 + 0.2**2 / 0.1
    assert found.predicted_ess == pytest.approx(20_000 / second_moment)
    assert found.ess == pytest.approx(found.predicted_ess, rel=0.05)
    assert found.unsupported_mass == 0.0
    assert found.max_weight == pytest.approx(2.0)


def test_an_empty_log_is_refused_without_a_number() -> None:
    found = diagnose(scored(log_of(10).take(slice(0, 0))))
    assert found.n == 0
    assert found.ess is None
    assert [reason.code for reason in found.reasons(Level.REFUSE)] == ["rows"]


def test_one_row_is_survived() -> None:
    found = diagnose(scored(log_of(1)))
    assert found.n == 1
    assert found.level is Level.REFUSE


def test_few_matching_rows_are_refused() -> None:
    assert level(scored(log_of(150)), "ess") is Level.REFUSE
    assert level(scored(log_of(150)), "predicted_ess") is Level.REFUSE


def test_no_reward_is_no_evidence() -> None:
    batch = scored(log_of(rate=0.0))
    assert level(batch, "reward_ess") is Level.REFUSE
    found = diagnose(batch)
    assert found.reward_ess == 0.0
    assert found.max_row_share is None


def test_rare_rewards_are_counted_not_rows() -> None:
    assert level(scored(log_of(rate=0.005)), "reward_ess") is Level.AMBER
    assert level(scored(log_of(rate=0.0005)), "reward_ess") is Level.REFUSE


def test_rare_failures_are_counted_not_rewards() -> None:
    assert level(scored(log_of(rate=0.5)), "failure_ess") is Level.OK
    often, nearly_always = scored(log_of(rate=0.995)), scored(log_of(rate=0.9995))
    assert level(often, "failure_ess") is Level.AMBER
    assert level(nearly_always, "failure_ess") is Level.REFUSE
    assert level(nearly_always, "reward_ess") is Level.OK
    # Under a wider range every row fails a little, and no failure is rare.
    assert diagnose(often, highest_reward=2.0).failure_ess == pytest.approx(diagnose(often).ess, rel=0.05)


def test_one_row_or_one_shopper_that_decides_is_found() -> None:
    rounds = log_of(2000, subject=np.where(np.arange(2000) < 900, 0, np.arange(2000)))
    assert level(scored(rounds), "max_subject_share") is Level.REFUSE
    assert level(scored(rounds), "max_row_share") is Level.OK
    reward = rounds.reward.copy()
    reward[5] = 1000.0
    loud = LoggedRounds(
        actions=rounds.actions,
        action=rounds.action,
        propensity=rounds.propensity,
        reward=reward,
        logged_at=rounds.logged_at,
    )
    assert level(scored(loud), "max_row_share") is Level.REFUSE


def test_propensities_that_were_not_drawn_from_are_found() -> None:
    lied = log_of(drawn_from=np.array([0.25, 0.25, 0.25, 0.25]))
    assert level(scored(lied), "calibration") is Level.REFUSE
    assert level(scored(lied), "mean_weight") is Level.REFUSE
    unknown_vectors = log_of(drawn_from=np.array([0.25, 0.25, 0.25, 0.25]), vectors=False)
    assert level(scored(unknown_vectors), "calibration") is Level.REFUSE


@pytest.mark.statistical
@pytest.mark.parametrize("vectors", [True, False])
def test_honest_propensities_are_rarely_accused(vectors: bool) -> None:
    """200 honest logs at p < .01: more than 9 accusations have probability below 1e-4 if the test holds its level."""
    accused = sum(
        level(scored(log_of(2000, seed=s, vectors=vectors)), "calibration") is not Level.OK for s in range(200)
    )
    assert accused <= 9


def test_mass_where_the_log_could_not_go_is_found() -> None:
    n = 5000
    vectors = np.tile([0.5, 0.3, 0.2, 0.0], (n, 1))
    action = np.random.default_rng(0).choice(K, size=n, p=[0.5, 0.3, 0.2, 0.0])
    rounds = LoggedRounds(
        actions=tuple("abcd"),
        action=action,
        propensity=vectors[0][action],
        reward=np.ones(n),
        logged_at=np.arange(n, dtype=np.float64),
        probabilities=vectors,
    )
    assert level(scored(rounds, (0.5, 0.3, 0.195, 0.005)), "support") is Level.AMBER
    assert level(scored(rounds, (0.4, 0.3, 0.2, 0.1)), "support") is Level.REFUSE
    masked = LoggedRounds(
        actions=rounds.actions,
        action=action,
        propensity=rounds.propensity,
        reward=rounds.reward,
        logged_at=rounds.logged_at,
        eligible=vectors > 0,
    )
    found = diagnose(scored(masked, (0.4, 0.3, 0.2, 0.1)))
    assert found.unsupported_mass == pytest.approx(0.1)
    assert found.predicted_ess is None


def test_an_incumbent_that_scores_differently_is_found() -> None:
    rounds = log_of(500)
    assert rounds.probabilities is not None
    shifted = rounds.probabilities.copy()
    assert level(scored(rounds), "rescoring", LogQuality(rescored=shifted)) is Level.OK
    shifted[3] += [1e-8, -1e-8, 0.0, 0.0]
    assert level(scored(rounds), "rescoring", LogQuality(rescored=shifted)) is Level.AMBER
    shifted[3] += [1e-3, -1e-3, 0.0, 0.0]
    assert level(scored(rounds), "rescoring", LogQuality(rescored=shifted)) is Level.REFUSE


def test_outcomes_lost_for_one_action_are_found() -> None:
    rounds = log_of()
    rng = np.random.default_rng(1)
    everywhere = rng.random(len(rounds)) < 0.9
    assert level(scored(rounds), "completeness", LogQuality(completed=everywhere)) is Level.OK
    one_action = everywhere & ~((rounds.action == 3) & (rng.random(len(rounds)) < 0.3))
    assert level(scored(rounds), "completeness", LogQuality(completed=one_action)) is Level.AMBER
    low = LogQuality(completed=everywhere, minimum_completeness=0.95, activated=everywhere, minimum_activation=0.5)
    assert level(scored(rounds), "completeness", low) is Level.REFUSE


def test_younger_outcomes_may_be_less_complete() -> None:
    rounds = log_of()
    old = rounds.logged_at < len(rounds) // 2
    assert level(scored(rounds), "completeness", LogQuality(completed=old)) is Level.OK


def test_effective_size_of_equal_values_is_their_number() -> None:
    assert effective_size(np.full(7, 3.0)) == pytest.approx(7.0)
    assert effective_size(np.zeros(7)) == 0.0


@pytest.mark.parametrize("shape", [0.3, 0.7, 1.2])
def test_pareto_shape_is_recovered(shape: float) -> None:
    uniform = np.random.default_rng(0).random(200_000)
    assert pareto_k((1.0 - uniform) ** -shape) == pytest.approx(shape, abs=0.08)


def test_discrete_weights_have_no_shape() -> None:
    assert pareto_k(np.random.default_rng(0).choice([0.1, 1.0, 40.0], 10_000)) is None
    assert pareto_k(np.ones(5)) is None


def test_prices_are_no_evidence_only_what_events_changed_is() -> None:
    rounds = log_of()
    priced = scored(replace(rounds, reward=rounds.reward - 0.05))
    silent = LogQuality(evidence=np.zeros(len(rounds)))
    assert level(priced, "reward_ess") is Level.OK
    assert level(priced, "reward_ess", silent) is Level.REFUSE
    assert diagnose(priced, silent).reward_ess == 0.0


def test_good_and_bad_news_do_not_cancel() -> None:
    batch = scored(log_of())
    news = np.where(np.arange(len(batch)) % 2 == 0, 1.0, -1.0)
    found = diagnose(batch, LogQuality(evidence=news))
    assert found.reward_ess == pytest.approx(found.ess)
