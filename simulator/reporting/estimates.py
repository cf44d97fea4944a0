"""The numbers of the page: the headline, and all estimates with what their intervals assume."""

from collections.abc import Sequence

from cxi_bandit.domain.evaluation import Estimate, EvaluationReport
from simulator.measures import Measures
from simulator.reporting import pictures, prose
from simulator.reporting.page import Headline, Section, Table, Term
from simulator.reporting.wording import ESTIMATORS, INTERVALS, clean, ends, percent, reward


def headline(report: EvaluationReport, measures: Measures) -> Headline:
    """The headline estimate beside what the log itself earned."""
    found = report.estimates[report.headline]
    return Headline(
        value=reward(found.value),
        interval=ends(found.interval),
        estimator=f"{report.headline}, {ESTIMATORS.get(report.headline, report.headline)}",
        confidence=percent(found.confidence, 0),
        method=_method(found.interval_method),
        logged=reward(measures.logged_mean),
        logged_interval=ends(measures.logged_interval),
        comparison=_comparison(found, measures, tried=report.trial is not None),
    )


def estimates(report: EvaluationReport, measures: Measures) -> Section:
    """The forest plot, the table, and what every interval is about and assumes."""
    names = sorted(report.estimates, key=lambda name: name != report.headline)
    rows = [
        (
            name,
            ESTIMATORS.get(name, ""),
            reward(found.value),
            ends(found.interval),
            _method(found.interval_method),
            _sentence(found.target),
        )
        for name, found in ((name, report.estimates[name]) for name in names)
    ]
    share = percent(report.estimates[report.headline].confidence, 0)
    return Section(
        key="estimates",
        title="Estimates",
        lead=(
            prose.ESTIMATES,
            prose.DISAGREEMENT,
        ),
        pictures=(pictures.forest(report, measures),),
        tables=(
            Table(
                caption=f"Estimated mean reward per decision with {share} intervals",
                columns=("estimator", "in words", "value", "interval", "method", "what the interval is about"),
                rows=tuple(rows),
                numeric=(2, 3),
                strong=(report.headline,),
            ),
        ),
        terms=_assumptions(report, names, share),
        terms_title="What each interval assumes",
    )


def _assumptions(report: EvaluationReport, names: Sequence[str], share: str) -> tuple[Term, ...]:
    grouped: dict[tuple[str, str], list[str]] = {}
    for name in names:
        found = report.estimates[name]
        grouped.setdefault((found.interval_method, found.assumptions), []).append(name)
    return tuple(
        Term(f"{_method(method)}, for {', '.join(users)}", f"Covers {share} of the time if {clean(words)}.")
        for (method, words), users in grouped.items()
    )


def _comparison(found: Estimate, measures: Measures, *, tried: bool) -> str:
    if tried:
        return "The verdict rests on the trial's evidence below, not on how these two intervals lie."
    if found.interval is None or found.value is None:
        return "There is no interval, so nothing can be said about how far the estimate may be off."
    low, high = found.interval
    if low <= measures.logged_mean <= high:
        return "The interval holds what the log itself earned: this evaluation alone does not tell the two apart."
    side = "above" if low > measures.logged_mean else "below"
    return (
        f"The interval lies {side} what the log itself earned, which is uncertain too. Seen once, that is a reason for "
        "a trial, not for a launch."
    )


def _method(name: str) -> str:
    return INTERVALS.get(name, name)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
