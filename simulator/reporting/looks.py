"""What the page shows of the log itself: checks, weights, propensities, outcomes, and the gate's trial."""

from collections.abc import Sequence
from typing import Final

from cxi_bandit.domain.evaluation import Check, Diagnostics, Level, TrialRecord
from simulator.measures import Measures, Rates
from simulator.reporting import pictures, prose
from simulator.reporting.page import CheckText, Section, Table, Term
from simulator.reporting.rows import MOST_ROWS
from simulator.reporting.wording import (
    CHECKS,
    LEVELS,
    NOT_MEASURED,
    clean,
    count,
    day,
    e_value,
    moment,
    number,
    percent,
)

_PERCENT_95: Final = 0.95


def checks(found: Diagnostics) -> Section:
    """Every check with its level."""
    return Section(
        key="checks",
        title="Can this log answer the question?",
        lead=(prose.CHECKS,),
        findings=tuple(_text(check) for check in found.checks),
    )


def weights(found: Diagnostics, measures: Measures) -> Section:
    """Where the weight lies, and how many decisions it amounts to."""
    sizes = [("decisions", count(found.n), "all that were evaluated")]
    if found.subjects is not None:
        sizes.append(("shoppers", count(found.subjects), "the independent units"))
    for name, value, words in (
        ("effective sample", found.ess, "decisions of equal weight that would average as steadily"),
        ("effective sample, predicted", found.predicted_ess, "the same, from the logged vectors alone"),
        ("effective rewards", found.reward_ess, "rewards of equal weight behind the estimate"),
        ("effective failures", found.failure_ess, "the same for what rewards lack of the highest one"),
        ("largest weight", found.max_weight, "the candidate's probability over the logged propensity"),
        ("mean weight", found.mean_weight, "1 where the propensities are true and the candidate has support"),
    ):
        if value is not None:
            sizes.append((name, number(value), words))
    bins = tuple(
        (pictures.weight_range(b.low, b.high), count(b.rows), percent(b.row_share), percent(b.weight_share))
        for b in measures.weights
    )
    return Section(
        key="weights",
        title="Weights and effective sample size",
        lead=(prose.WEIGHTS,),
        pictures=(pictures.weights(measures),),
        tables=(
            Table(
                caption="How much the log amounts to",
                columns=("size", "value", "in words"),
                rows=tuple(sizes),
                numeric=(1,),
            ),
            Table(
                caption="Decisions and weight by size of the weight",
                columns=("weight", "decisions", "of the decisions", "of the weight"),
                rows=bins,
                numeric=(1, 2, 3),
            ),
        ),
        findings=_about(
            found,
            ("ess", "predicted_ess", "reward_ess", "failure_ess", "mean_weight", "max_row_share", "max_subject_share"),
        ),
    )


def calibration(found: Diagnostics, measures: Measures) -> Section:
    """Drawn against promised, by action."""
    drawn = measures.drawn
    how = prose.WHOLE_VECTORS if measures.whole_vectors else prose.DRAWN_ONLY
    lead = [
        prose.PROPENSITIES.format(how=how),
    ]
    if len(drawn) > MOST_ROWS:
        lead.append(prose.STRANGEST.format(shown=MOST_ROWS, all=len(drawn)))
    rows = tuple(
        (
            clean(action.name),
            count(action.drawn),
            *((number(action.promised, 5),) if measures.whole_vectors else ()),
            number(action.ratio),
            f"{number(1.0 - action.half_width)} to {number(1.0 + action.half_width)}",
            ("inside" if action.inside else "outside") + (", few draws" if action.few else ""),
        )
        for action in drawn
    )
    promised = ("promised",) if measures.whole_vectors else ()
    columns = ("action", "drawn", *promised, "ratio", "band", "finding")
    return Section(
        key="propensities",
        title="Propensities against draws",
        lead=tuple(lead),
        findings=_about(found, ("calibration", "support", "rescoring")),
        pictures=(pictures.calibration(measures),) if drawn else (),
        tables=(
            Table(caption="Draws by action", columns=columns, rows=rows, numeric=tuple(range(1, len(columns) - 1))),
        ),
        folded=True,
    )


def completeness(found: Diagnostics, measures: Measures) -> Section:
    """Did rewards arrive alike for all actions and ages, and were decisions shown alike?"""
    title = "Completeness of rewards"
    checked = _about(found, ("completeness", "activation"))
    if measures.completed is None and measures.activated is None:
        words = (prose.REWARDS_UNKNOWN,)
        return Section(key="rewards", title=title, lead=words, findings=checked)
    parts: list[tuple[str, str, str, Rates]] = []
    if measures.completed is not None:
        label = "decisions for which a reward event arrived"
        parts.append(("completed", "Reward events by action", label, measures.completed))
    if measures.activated is not None:
        parts.append(("activated", "Decisions shown, by action", "decisions that were shown", measures.activated))
    return Section(
        key="rewards",
        title=title,
        lead=(prose.REWARDS,),
        findings=checked,
        pictures=tuple(pictures.rates(key, name, label, rates, _PERCENT_95) for key, name, label, rates in parts),
        tables=tuple(_rates(name, rates) for _, name, _, rates in parts),
        folded=True,
    )


def trial(found: TrialRecord, *, refused: bool) -> Section:
    """The e-process with its threshold, what was declared, and the guardrails."""
    terms = [
        Term("Proposal", f"{clean(found.proposal)}, number {found.ordinal} on the policy's ledger"),
        Term(
            "May err with",
            f"{number(found.alpha)}; {found.candidates} candidate{'s' * (found.candidates > 1)} tried on the same rows",
        ),
        Term("Needed", f"E of at least {e_value(found.log_threshold)}"),
        Term("Against", clean(found.incumbent)),
        Term("Window", f"opened {moment(found.opened_at)}; heard until {moment(found.heard_until)}"),
    ]
    lead = [
        prose.TRIAL,
    ]
    if refused:
        lead.append(prose.TRIAL_REFUSED)
        return Section(
            key="trial", title="The gate's trial", lead=tuple(lead), terms=tuple(terms), terms_title="Declared"
        )
    left_out = f"; {found.latecomers} came too late and were left out" if found.latecomers else ""
    terms.append(
        Term(
            "Heard",
            f"{count(found.units)} shoppers over {found.days} days, {found.anonymous} of them unnamed{left_out}",
        )
    )
    if found.clipped:
        terms.append(Term("Clipped", f"{found.clipped} values lay outside their declared range and entered clipped"))
    return Section(
        key="trial",
        title="The gate's trial",
        lead=tuple(lead),
        pictures=(pictures.evidence(found),) if found.path else (),
        tables=(*_guardrails(found), *_weeks(found)),
        terms=tuple(terms),
        terms_title="Declared and heard",
    )


def _guardrails(found: TrialRecord) -> tuple[Table, ...]:
    if not found.guardrails:
        return ()
    rows = tuple(
        (clean(g.metric), percent(g.margin), e_value(g.log_e), "passed" if g.passed else "not shown yet")
        for g in found.guardrails
    )
    columns = ("harm", "may grow by less than", "evidence E", "finding")
    return (
        Table(caption="Guardrails: harms that must be shown not to grow", columns=columns, rows=rows, numeric=(1, 2)),
    )


def _weeks(found: TrialRecord) -> tuple[Table, ...]:
    weeks = [point for point in found.path if (point.until - found.opened_at).total_seconds() % (7 * 86_400) == 0]
    if not weeks:
        return ()
    rows = tuple((day(point.until), count(point.units), e_value(point.log_e)) for point in weeks)
    columns = ("until", "shoppers", "evidence E")
    return (Table(caption="Evidence at the end of every whole week", columns=columns, rows=rows, numeric=(1, 2)),)


def _rates(name: str, found: Rates) -> Table:
    every = (found.overall, *found.by_age, *found.by_action)
    rows = tuple((clean(rate.name), count(rate.rows), count(rate.hits), percent(rate.share)) for rate in every)
    columns = ("decisions", "number", "of them", "share")
    return Table(caption=f"{name} and age", columns=columns, rows=rows, numeric=(1, 2, 3), strong=("all actions",))


def _about(found: Diagnostics, codes: Sequence[str]) -> tuple[CheckText, ...]:
    """What these checks have to complain about."""
    return tuple(_text(check) for check in found.checks if check.code in codes and check.level is not Level.OK)


def _text(check: Check) -> CheckText:
    unknown = check.value is None and check.level is Level.OK
    return CheckText(
        name=CHECKS.get(check.code, check.code),
        tone="none" if unknown else check.level.value,
        level=NOT_MEASURED if unknown else LEVELS[check.level],
        finding="This log does not hold what it takes." if unknown else clean(check.message),
        help=clean(check.remedy),
    )
