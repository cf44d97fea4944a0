"""Pictures with a named row for each thing and a value on a common scale: points, intervals and bands."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from matplotlib.axes import Axes

from simulator.reporting.drawing import ACCENT, ALERT, GRID, INK, MUTED, PAPER, SECOND, Picture, canvas
from simulator.reporting.wording import short

MOST_ROWS: Final = 24
_ROW_HEIGHT: Final = 0.27
_FRAME_HEIGHT: Final = 1.15


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a picture.

    Args:
        interval: Drawn as a line; None where there is none.
        band: Where an honest value lies, drawn as a bar behind; None where there is none.
        strong: Drawn heavier than the others.
        faint: Drawn hollow: it is about something else than the others, or has little behind it.
        alarming: Drawn in the colour of alarm.
    """

    name: str
    value: float | None
    interval: tuple[float, float] | None = None
    band: tuple[float, float] | None = None
    strong: bool = False
    faint: bool = False
    alarming: bool = False


@dataclass(frozen=True, kw_only=True)
class Scale:
    """The common scale.

    Args:
        label: Under the axis.
        limits: What is shown of it; what lies beyond becomes an arrow. None shows everything.
        reference: A value to compare with, and what to call it.
        percent: Whether values are shares.
    """

    label: str
    limits: tuple[float, float] | None = None
    reference: tuple[float, str] | None = None
    percent: bool = False


def drawn_rows(name: str, title: str, description: str, rows: Sequence[Row], scale: Scale) -> Picture:
    """The rows from top to bottom; a picture of none has axes only."""
    height = _FRAME_HEIGHT + _ROW_HEIGHT * max(len(rows), 1) + (0.2 if scale.reference else 0.0)
    with canvas(name, title, description, height) as drawing:
        axes = drawing.axes
        for y, row in enumerate(rows):
            _draw(axes, y, row, scale.limits)
        axes.set_yticks(range(len(rows)), [short(row.name) for row in rows])
        for label, row in zip(axes.get_yticklabels(), rows, strict=True):
            label.set_fontweight("bold" if row.strong else "normal")
        axes.set_ylim(len(rows) - 0.4, -0.6)
        if scale.limits is not None:
            axes.set_xlim(*scale.limits)
        if scale.reference is not None:
            value, words = scale.reference
            axes.axvline(value, color=MUTED, linewidth=1.1, linestyle=(0, (4, 3)), zorder=1)
            axes.annotate(
                words, (value, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 4), textcoords="offset points",
                ha="center", va="bottom", color=MUTED, fontsize=9,
            )  # fmt: skip
        if scale.percent:
            axes.xaxis.set_major_formatter(_percent)
        axes.grid(axis="x", color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(scale.label)
    return Picture(title, description, drawing.svg)


def _percent(value: float, _: float) -> str:
    return f"{100.0 * value:.4g} %"


def _draw(axes: Axes, y: int, row: Row, limits: tuple[float, float] | None) -> None:
    colour = ALERT if row.alarming else ACCENT if row.strong else SECOND
    if row.band is not None:
        low, high = _within(row.band, limits)
        axes.barh(y, high - low, left=low, height=0.56, color=GRID, zorder=1)
    if row.interval is not None:
        low, high = _within(row.interval, limits)
        axes.plot([low, high], [y, y], color=colour, linewidth=3.2 if row.strong else 1.7, zorder=2)
        if limits is not None:
            for end, limit, arrow in ((row.interval[0], limits[0], "<"), (row.interval[1], limits[1], ">")):
                if (end < limit) if arrow == "<" else (end > limit):
                    axes.plot(limit, y, arrow, color=colour, markersize=6, clip_on=False, zorder=3)
    if row.value is not None:
        if limits is None or limits[0] <= row.value <= limits[1]:
            face = PAPER if row.faint else colour
            axes.plot(
                row.value, y, "o", color=colour, markerfacecolor=face, markersize=8 if row.strong else 5.5, zorder=3
            )
        else:
            left = row.value < limits[0]
            axes.plot(limits[0 if left else 1], y, "<" if left else ">", color=colour, clip_on=False, zorder=3)
    else:
        axes.annotate("none", (0.5, y), xycoords=("axes fraction", "data"), color=INK, va="center", fontsize=9)


def _within(ends: tuple[float, float], limits: tuple[float, float] | None) -> tuple[float, float]:
    if limits is None:
        return ends
    low, high = limits
    return min(max(ends[0], low), high), min(max(ends[1], low), high)
