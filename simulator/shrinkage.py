"""Empirical Bayes shrinkage of many noisy effects towards one, and adjustments for having looked at many."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2, norm

from simulator.rounds import Float64s

FEWEST = 4
"""Segments that shrinking takes: with fewer it need not bring effects nearer to the truth."""


@dataclass(frozen=True, eq=False)
class Shrunk:
    """k effects drawn towards the overall one, all in the effects' units.

    Args:
        centre: The overall effect μ̂ that they are drawn towards.
        spread: √Â, the standard deviation of the true effects; 0 where chance explains all differences.
        value: The shrunken effects, shape (k,).
        standard_error: Of `value`, shape (k,).
        kept: How much of its own distance to the centre each effect keeps, in [0, 1], shape (k,).
        heterogeneity_p: p-value of Cochran's Q: could all true effects be equal?
    """

    centre: float
    spread: float
    value: Float64s
    standard_error: Float64s
    kept: Float64s
    heterogeneity_p: float


def shrink(effect: Float64s, standard_error: Float64s, share: Float64s) -> Shrunk:
    """Normal-normal empirical Bayes: effect_s ~ N(θ_s, v_s), θ_s ~ N(μ, A), v_s the squared standard error, known.

        μ̂  = Σ a_s effect_s, a_s the segment's share of the rows: the overall effect
        Â  = max(0, (Σ a_s (effect_s - μ̂)² - Σ a_s(1 - a_s) v_s) / Σ a_s(1 - a_s))
        P_s = (k - 3)/(k - 1) · v_s/(v_s + Â), 0 below four segments: the pull towards the centre
        θ̂_s = μ̂ + (1 - P_s)(effect_s - μ̂)
        se_s² = (1 - P_s) v_s + P_s² Σ a_s² v_s + 2/(k - 3) · P_s² (v̄ + Â)/(v_s + Â) (effect_s - μ̂)²

    With equal v this is the James-Stein estimator towards the mean, which is nearer the truth than the raw effects only
    from four on: fewer are left as they are. The last term is Morris's for not knowing A; with 20 segments and without
    it, intervals meant for 95 % covered 84 %. θ̂_s ± z·se_s covers on average over the segments, not each of them, and
    effects are taken for independent (a shopper in two segments makes them less so). Morris (1983),
    doi:10.1080/01621459.1983.10477920; the moment estimator of A with general weights: DerSimonian and Kacker (2007),
    doi:10.1016/j.cct.2006.04.004.

    Args:
        effect: Shape (k,), k ≥ 1, finite.
        standard_error: √v_s ≥ 0, shape (k,).
        share: Positive weights of the segments, any scale, shape (k,).
    """
    a = share / share.sum()
    variance = standard_error**2
    centre = float(a @ effect)
    own = a * (1.0 - a)
    total = float(own.sum())
    between = 0.0 if total <= 0.0 else max(0.0, float(a @ (effect - centre) ** 2 - own @ variance) / total)
    k = len(effect)
    pull = np.zeros(k)
    doubt = np.zeros(k)
    if k >= FEWEST:
        total_variance = between + variance
        share_of_noise = np.divide(variance, total_variance, out=np.zeros(k), where=total_variance > 0.0)
        pull = (k - 3) / (k - 1) * share_of_noise
        ratio = np.divide(variance.mean() + between, total_variance, out=np.zeros(k), where=total_variance > 0.0)
        doubt = 2.0 / (k - 3) * pull**2 * ratio * (effect - centre) ** 2
    squared = (1.0 - pull) * variance + pull**2 * float(a**2 @ variance) + doubt
    return Shrunk(
        centre=centre,
        spread=float(np.sqrt(between)),
        value=centre + (1.0 - pull) * (effect - centre),
        standard_error=np.sqrt(squared),
        kept=1.0 - pull,
        heterogeneity_p=_cochran(effect, variance),
    )


def p_values(effect: Float64s, standard_error: Float64s) -> Float64s:
    """Two-sided normal p-values of "the effect is 0", shape (k,)."""
    z = np.divide(np.abs(effect), standard_error, out=np.full_like(effect, np.inf), where=standard_error > 0.0)
    p: Float64s = 2.0 * norm.sf(np.where((effect == 0.0) & (standard_error == 0.0), 0.0, z))
    return p


def bonferroni(p: Float64s) -> Float64s:
    """min(1, k·p): any false finding at all stays below the level, however the p-values depend."""
    return np.minimum(1.0, p * len(p))


def benjamini_hochberg(p: Float64s) -> Float64s:
    """Adjusted p-values min_{j: p_j ≥ p_i} (k/rank_j)·p_j: the share of false among all findings stays below the level.

    For independent or positively dependent p-values. Benjamini and Hochberg (1995),
    doi:10.1111/j.2517-6161.1995.tb02031.x.
    """
    k = len(p)
    order = np.argsort(p, kind="stable")
    scaled = p[order] * k / np.arange(1, k + 1)
    adjusted = np.empty(k)
    adjusted[order] = np.minimum(1.0, np.minimum.accumulate(scaled[::-1])[::-1])
    return adjusted


def _cochran(effect: Float64s, variance: Float64s) -> float:
    """The p of Q = Σ (effect - mean)²/v, the mean weighted by 1/v, against χ² with k - 1 degrees of freedom."""
    known = variance > 0.0
    if np.count_nonzero(known) < 2:  # noqa: PLR2004 - nothing to compare
        return 1.0
    precision = 1.0 / variance[known]
    mean = float(precision @ effect[known]) / float(precision.sum())
    q = float(precision @ (effect[known] - mean) ** 2)
    return float(chi2.sf(q, np.count_nonzero(known) - 1))
