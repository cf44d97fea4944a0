"""What was asked beside the estimates: effects by segment, and the same under twice the attribution window."""

from simulator.horizon import HorizonSensitivity
from simulator.reporting import pictures, prose
from simulator.reporting.page import Section, Table
from simulator.reporting.wording import NONE, clean, count, ends, number, percent, reward
from simulator.segments import Segments

_HOUR = 3600.0


def segments(found: Segments) -> Section:
    """Every segment's effect, shrunken and raw, and how many were looked at."""
    rows = tuple(
        (
            clean(f"{part.field} = {part.segment}"),
            count(part.rows),
            count(part.units),
            _effect(part.shrunken),
            NONE if part.shrunken is None else ends(part.shrunken_interval),
            _effect(part.effect),
            NONE if part.benjamini_hochberg is None else number(part.benjamini_hochberg, 2),
        )
        for part in found.segments
    )
    overall = ("all rows", "", "", _effect(found.overall), ends(found.interval), _effect(found.overall), "")
    fields = tuple(
        (clean(field), reward(spread), number(found.heterogeneity_p.get(field), 2))
        for field, spread in found.spread.items()
    )
    tables = [
        Table(
            caption="Effect over the log by segment, in reward units",
            columns=("segment", "rows", "units", "shrunken effect", "interval", "raw effect", "p, adjusted"),
            rows=(overall, *rows),
            numeric=(1, 2, 3, 4, 5, 6),
            strong=("all rows",),
        )
    ]
    if fields:
        columns = ("field", "spread of the true effects", "p of no difference")
        tables.append(Table(caption="Do the segments of a field differ?", columns=columns, rows=fields, numeric=(1, 2)))
    return Section(
        key="segments",
        title="Segments",
        lead=(prose.SEGMENTS, f"{found.statement}.", prose.SEGMENT_TABLE),
        pictures=(pictures.segments(found),),
        tables=tuple(tables),
    )


def horizon(found: HorizonSensitivity) -> Section:
    """The estimates under both windows, and which of them move beyond chance."""
    low, high = (value / _HOUR for value in found.horizon_seconds)
    window = f"{low:.4g} hours" if low == high else f"{low:.4g} to {high:.4g} hours"
    rows = tuple(
        (shift.name, reward(shift.at_horizon), reward(shift.at_double), _effect(shift.difference), ends(shift.interval))
        for shift in found.shifts
    )
    return Section(
        key="horizon",
        title="Twice the attribution window",
        lead=(
            prose.HORIZON,
            prose.HORIZON_ROWS.format(window=window, rows=count(found.rows), left_out=count(found.left_out)),
        ),
        tables=(
            Table(
                caption=f"Mean reward under both windows, differences with {percent(found.confidence, 0)} intervals",
                columns=("estimate", "declared window", "twice the window", "difference", "interval"),
                rows=rows,
                numeric=(1, 2, 3, 4),
            ),
        ),
        items=tuple(f"{warning}." for warning in found.warnings),
    )


def _effect(value: float | None) -> str:
    return NONE if value is None else f"{value:+.3g}"
