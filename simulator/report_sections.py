"""The parts of a report that are there only when asked for: horizon sensitivity and segments."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from simulator.horizon import HorizonSensitivity
from simulator.replay import Replay
from simulator.segments import Segment, Segments


def asked_for(replay: Replay) -> dict[str, Any]:
    """The documented JSON of the parts that were asked for, and nothing for the others."""
    parts: dict[str, Any] = {}
    if replay.horizon is not None:
        parts["horizon_sensitivity"] = _horizon(replay.horizon)
    if replay.segments is not None:
        parts["segments"] = _segments(replay.segments)
    return parts


def print_asked_for(replay: Replay, console: Console) -> None:
    """Tables with what they mean said under them."""
    if replay.horizon is not None:
        _print_horizon(replay.horizon, console)
    if replay.segments is not None:
        _print_segments(replay.segments, console)


def _horizon(found: HorizonSensitivity) -> dict[str, Any]:
    return {
        "rows": found.rows,
        "left_out": found.left_out,
        "horizon_seconds": found.horizon_seconds,
        "confidence": found.confidence,
        "estimates": {
            shift.name: {
                "at_horizon": shift.at_horizon,
                "at_double": shift.at_double,
                "difference": shift.difference,
                "interval": shift.interval,
                "differs": shift.differs,
            }
            for shift in found.shifts
        },
        "warnings": found.warnings,
    }


def _segments(found: Segments) -> dict[str, Any]:
    return {
        "overall": found.overall,
        "interval": found.interval,
        "confidence": found.confidence,
        "statement": found.statement,
        "spread": found.spread,
        "heterogeneity_p": found.heterogeneity_p,
        "segments": [segment_fields(segment) for segment in found.segments],
    }


def segment_fields(segment: Segment) -> dict[str, Any]:
    """A segment's numbers by name."""
    return {
        "field": segment.field,
        "segment": segment.segment,
        "rows": segment.rows,
        "units": segment.units,
        "effect": segment.effect,
        "interval": segment.interval,
        "shrunken": segment.shrunken,
        "shrunken_interval": segment.shrunken_interval,
        "kept": segment.kept,
        "p": segment.p,
        "bonferroni": segment.bonferroni,
        "benjamini_hochberg": segment.benjamini_hochberg,
    }


def _print_horizon(found: HorizonSensitivity, console: Console) -> None:
    shortest, longest = found.horizon_seconds
    length = f"{shortest:g} s" if shortest == longest else f"{shortest:g} to {longest:g} s"
    title = f"Horizon H ({length}) against 2H, on the {found.rows} decisions older than 2H"
    table = Table(title=title, title_justify="left")
    for heading in ("estimate", "H", "2H", "difference", "interval"):
        table.add_column(heading, justify="left" if heading == "estimate" else "right")
    for shift in found.shifts:
        row = (f"{shift.at_horizon:.6g}", f"{shift.at_double:.6g}", f"{shift.difference:+.4g}", _range(shift.interval))
        table.add_row(shift.name, *row, style="yellow" if shift.differs else "")
    console.print(table)
    for warning in found.warnings:
        console.print(f"Warning: {escape(warning)}.", style="yellow")
    if not found.warnings:
        console.print("Doubling the horizon changes no estimate beyond chance.")
    console.print()


def _print_segments(found: Segments, console: Console) -> None:
    overall = f"{found.overall:+.4g} ({_range(found.interval)})"
    table = Table(title=f"Effect over the log by segment; overall {overall}", title_justify="left")
    for heading in ("field", "segment", "rows", "effect", "shrunken", "interval", "BH p"):
        table.add_column(heading, justify="left" if heading in {"field", "segment"} else "right")
    for segment in found.segments:
        numbers = ("too few", "-", "-", "-")
        if segment.effect is not None and segment.shrunken is not None:
            effect, shrunken = f"{segment.effect:+.4g}", f"{segment.shrunken:+.4g}"
            numbers = (effect, shrunken, _range(segment.shrunken_interval), f"{segment.benjamini_hochberg:.2g}")
        table.add_row(escape(segment.field), escape(segment.segment), str(segment.rows), *numbers)
    console.print(table)
    console.print(f"{found.statement}.")
    for field, p in found.heterogeneity_p.items():
        console.print(
            f"{escape(field)}: true effects differ by about {found.spread[field]:.3g} (standard deviation); all equal "
            f"has p = {p:.2g}."
        )
    console.print()


def _range(interval: tuple[float, float] | None) -> str:
    return "none" if interval is None else f"{interval[0]:+.4g} to {interval[1]:+.4g}"
