"""The page's pictures, one a function."""

from collections.abc import Sequence
from datetime import timedelta
from math import inf
from typing import Final

from matplotlib.ticker import MaxNLocator, MultipleLocator

from cxi_bandit.domain.evaluation import Estimate, EvaluationReport, TrialRecord
from simulator.measures import DrawnAction, Measures, Rates
from simulator.reporting.drawing import ACCENT, ALERT, GRID, INK, MUTED, PAPER, SECOND, Picture, canvas
from simulator.reporting.rows import MOST_ROWS, Row, Scale, drawn_rows
from simulator.reporting.wording import clean, e_value, moment, percent, reward
from simulator.segments import Segments

VALUE_TARGET: Final = "the candidate's value"
_LN10: Final = 2.302585092994046
_WIDEST: Final = 3.0  # widths of the headline's interval shown on either side of it
_WIDEST_RATIO: Final = 3.0


def forest(report: EvaluationReport, measures: Measures) -> Picture:
    """Every estimate with its interval, the headline first, beside what the log itself earned."""
    names = sorted(report.estimates, key=lambda name: name != report.headline)
    headline = report.estimates[report.headline]
    rows = [
        Row(
            name=name,
            value=report.estimates[name].value,
            interval=report.estimates[name].interval,
            strong=name == report.headline,
            faint=report.estimates[name].target != VALUE_TARGET,
        )
        for name in names
    ]
    description = (
        f"{report.headline}, the headline, is {_in_words(headline)}. The log itself earned "
        f"{reward(measures.logged_mean)} on average. The table below holds every value."
    )
    return drawn_rows(
        "forest",
        "Estimates of the mean reward with their intervals",
        description,
        rows,
        Scale(
            label="mean reward per decision",
            limits=_around(headline, measures.logged_mean, [row for row in rows if not row.faint]),
            reference=(measures.logged_mean, "as logged"),
        ),
    )


def weights(measures: Measures) -> Picture:
    """Share of the rows and share of the weight, by size of the importance weight."""
    bins = measures.weights
    heavy = max(bins, key=lambda found: found.weight_share)
    title = "Distribution of the importance weights"
    none = f"{percent(bins[0].row_share)} of the rows have" if bins[0].rows else "No row has"
    description = (
        f"{none} weight 0. Weights {weight_range(heavy.low, heavy.high)} carry "
        f"the largest part of the total, {percent(heavy.weight_share)}, from {percent(heavy.row_share)} of the rows."
    )
    with canvas("weights", title, description, 3.0) as drawing:
        axes = drawing.axes
        at = range(len(bins))
        axes.bar([x - 0.2 for x in at], [b.row_share for b in bins], width=0.38, color=SECOND, label="of the rows")
        axes.bar([x + 0.2 for x in at], [b.weight_share for b in bins], width=0.38, color=ACCENT, label="of the weight")
        axes.set_xticks(at, [weight_range(b.low, b.high) for b in bins])
        if len(bins) > 8:  # noqa: PLR2004 - more labels than fit side by side
            axes.tick_params(axis="x", labelrotation=35)
        axes.set_xlabel("importance weight: the candidate's probability over the logged propensity")
        axes.set_ylabel("share")
        axes.margins(y=0.3)  # room for the legend
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %" if value <= 1.0 else "")
        axes.grid(axis="y", color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.legend(loc="upper right")
    return Picture(title, description, drawing.svg)


def weight_range(low: float, high: float) -> str:
    """A bin in words."""
    if high == 0.0:
        return "0"
    return f"< {high:g}" if low == 0.0 else f"{low:g}\N{EN DASH}{high:g}"


def calibration(measures: Measures) -> Picture:
    """Drawn against promised, action by action, with the band of an honest log; the strangest actions if many."""
    chosen = strangest(measures.drawn)
    outside = sum(not action.inside for action in measures.drawn)
    description = (
        f"{len(measures.drawn)} actions; {outside} of them outside the band in which all of them lie in 95 % of honest "
        "logs. 1 means drawn as often as the logged propensities say."
    )
    rows = [
        Row(
            name=action.name,
            value=action.ratio,
            band=(1.0 - action.half_width, 1.0 + action.half_width),
            alarming=not action.inside,
            faint=action.few,
        )
        for action in chosen
    ]
    reach = max((abs(row.value - 1.0) for row in rows if row.value is not None), default=0.0)
    reach = min(_WIDEST_RATIO, 1.15 * max(reach, *(action.half_width for action in chosen), 0.02))
    scale = Scale(
        label="drawn ÷ promised by the logged propensities", limits=(1.0 - reach, 1.0 + reach), reference=(1.0, "")
    )
    return drawn_rows("calibration", "Draws against logged propensities", description, rows, scale)


def strangest(actions: Sequence[DrawnAction]) -> list[DrawnAction]:
    """All of them where they fit a picture, else those farthest from their promise; in catalogue order."""

    def surprise(action: DrawnAction) -> float:
        gap = abs(action.ratio - 1.0)
        return gap / action.half_width if action.half_width > 0 else inf if gap > 0 else 0.0

    kept = sorted(range(len(actions)), key=lambda k: surprise(actions[k]), reverse=True)[:MOST_ROWS]
    return [actions[k] for k in sorted(kept)]


def rates(name: str, title: str, label: str, found: Rates, confidence: float) -> Picture:
    """A rate by action with its interval, beside that of all actions."""
    chosen = sorted(found.by_action, key=lambda rate: rate.rows, reverse=True)[:MOST_ROWS]
    ends = sorted(chosen, key=lambda rate: rate.share)
    description = (
        f"All in all {percent(found.overall.share)} of {found.overall.rows} decisions. "
        f"Lowest {percent(ends[0].share)} ({clean(ends[0].name)}), "
        f"highest {percent(ends[-1].share)} ({clean(ends[-1].name)})."
    )
    rows = [Row(name=rate.name, value=rate.share, interval=rate.interval(confidence)) for rate in chosen]
    scale = Scale(label=label, reference=(found.overall.share, "all actions"), percent=True)
    return drawn_rows(name, title, description, rows, scale)


def evidence(trial: TrialRecord) -> Picture:
    """The e-process by day on a logarithmic scale, with the threshold it must reach and marks at whole weeks."""
    title = "Evidence of the gate's trial, day by day"
    reached = trial.log_e >= trial.log_threshold
    description = (
        f"E is {e_value(trial.log_e)} after {trial.units} shoppers and {trial.days} days; "
        f"{e_value(trial.log_threshold)} is needed, which is {'reached' if reached else 'not reached'}."
    )
    with canvas("evidence", title, description, 3.3) as drawing:
        axes = drawing.axes
        days = [0.0, *((point.until - trial.opened_at) / timedelta(days=1) for point in trial.path)]
        heights = [0.0, *(point.log_e / _LN10 for point in trial.path)]
        threshold = trial.log_threshold / _LN10
        axes.plot(days, heights, color=ACCENT, linewidth=2.2, zorder=2)
        weeks = [(d, h) for d, h in zip(days, heights, strict=True) if d > 0 and d % 7 == 0]
        if weeks:
            axes.plot(
                *zip(*weeks, strict=True), "o", color=ACCENT, markerfacecolor=PAPER, markersize=7, zorder=3,
                label="whole weeks: where a go may be said",
            )  # fmt: skip
            axes.legend(loc="lower right")
        axes.axhline(threshold, color=ALERT, linewidth=1.4, linestyle=(0, (5, 3)))
        axes.annotate(
            f"threshold {e_value(trial.log_threshold)}", (0.0, threshold), xycoords=("axes fraction", "data"),
            xytext=(4, 4), textcoords="offset points", color=INK, fontsize=9,
        )  # fmt: skip
        axes.axhline(0.0, color=MUTED, linewidth=0.8)
        axes.set_ylim(min(-0.3, *heights) - 0.15, max(threshold, *heights) + 0.35)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.xaxis.set_major_locator(MultipleLocator(7 * max(1, round(days[-1] / 84))))
        axes.yaxis.set_major_formatter(lambda value, _: f"{10.0**value:g}" if abs(value) <= 4 else f"1e{value:g}")  # noqa: PLR2004 - digits read at a glance
        axes.set_ylabel("evidence E")
        axes.set_xlabel(f"days since {moment(trial.opened_at)}")
        axes.grid(axis="y", color=GRID, linewidth=0.8)
        axes.margins(x=0.02)
    return Picture(title, description, drawing.svg)


def segments(found: Segments) -> Picture:
    """The shrunken effect in every segment with its interval, the raw interval behind it, beside no effect."""
    rows = [
        Row(name="all rows", value=found.overall, interval=found.interval, strong=True),
        *(
            Row(
                name=f"{part.field} = {part.segment}",
                value=part.shrunken,
                interval=part.shrunken_interval,
                band=part.interval,
            )
            for part in found.segments[: MOST_ROWS - 1]
        ),
    ]
    numbers = sum(part.shrunken is not None for part in found.segments)
    description = (
        f"{len(found.segments)} segments, {numbers} of them with an effect; {found.overall:+.3g} over all rows. The "
        "table below holds every value."
    )
    scale = Scale(label="effect over the log, reward per decision", reference=(0.0, "no effect"))
    return drawn_rows("segments", "Effects by segment", description, rows, scale)


def _in_words(estimate: Estimate) -> str:
    if estimate.value is None:
        return "not there"
    if estimate.interval is None:
        return f"{reward(estimate.value)}, without an interval"
    return f"{reward(estimate.value)}, interval {reward(estimate.interval[0])} to {reward(estimate.interval[1])}"


def _around(headline: Estimate, logged: float, rows: Sequence[Row]) -> tuple[float, float] | None:
    """So much of the scale that the headline can be read, however wide other intervals are."""
    ends = [end for row in rows if row.interval is not None for end in row.interval]
    ends += [row.value for row in rows if row.value is not None] + [logged]
    low, high = min(ends), max(ends)
    if headline.interval is not None:
        width = max(headline.interval[1] - headline.interval[0], abs(logged) * 1e-3)
        low = min(max(low, headline.interval[0] - _WIDEST * width), logged)
        high = max(min(high, headline.interval[1] + _WIDEST * width), logged)
    margin = 0.04 * (high - low) if high > low else max(abs(low), 1.0) * 0.05
    return low - margin, high + margin
