"""Logs and reports as polars frames, one row a decision, an estimate, a segment, a candidate: for notebooks."""

from typing import Any

import numpy as np
import polars as pl

from cxi_bandit.domain.evaluation import Estimate, EvaluationReport
from simulator.datasets.log import ReplayLog
from simulator.horizon import HorizonSensitivity
from simulator.report_sections import segment_fields
from simulator.segments import Segments
from simulator.sweep import Sweep

CONTEXT = "context."


def rounds_frame(log: ReplayLog) -> pl.DataFrame:
    """One row a decision: time, action, propensity, reward, shopper, surface, defect, and `context.<feature>` columns.

    `completed` and `version` are there where the log knows them; a feature that a row lacks is null. A feature that
    holds words in one row and numbers in another is given as words.
    """
    rounds = log.rounds
    columns: dict[str, Any] = {
        "logged_at": pl.from_epoch(
            pl.Series((rounds.logged_at * 1e6).astype(np.int64)), time_unit="us"
        ).dt.replace_time_zone("UTC"),
        "action": [rounds.actions[index] for index in rounds.action],
        "propensity": rounds.propensity,
        "reward": rounds.reward,
    }
    if rounds.position is not None:
        columns["position"] = rounds.position
    if rounds.subject is not None:
        columns["subject"] = rounds.subject
    if log.completed is not None:
        columns["completed"] = log.completed
    if log.versions is not None:
        columns["version"] = [log.versions.names[index] for index in log.versions.of_row]
    described = [log.contexts.described(row) for row in range(len(log))]
    columns["surface"] = [row.surface for row in described]
    columns["defect"] = [row.defect for row in described]
    for name in dict.fromkeys(name for row in described for name in row.context):
        columns[CONTEXT + name] = _column([row.context.get(name) for row in described])
    return pl.DataFrame(columns)


def estimates_frame(report: EvaluationReport) -> pl.DataFrame:
    """One row an estimator, the headline marked; ends are null where there is no interval."""
    rows = [
        {"estimator": name, "headline": name == report.headline} | _estimate(estimate)
        for name, estimate in report.estimates.items()
    ]
    return pl.DataFrame(
        rows,
        schema={
            "estimator": pl.String,
            "headline": pl.Boolean,
            "value": pl.Float64,
            "lo": pl.Float64,
            "hi": pl.Float64,
            "method": pl.String,
            "confidence": pl.Float64,
        },
    )


def diagnostics_frame(report: EvaluationReport) -> pl.DataFrame:
    """One row a check: code, value, level (ok, amber, refuse), message, remedy."""
    rows = [
        {"code": c.code, "value": c.value, "level": c.level.value, "message": c.message, "remedy": c.remedy}
        for c in report.diagnostics.checks
    ]
    schema = {"code": pl.String, "value": pl.Float64, "level": pl.String, "message": pl.String, "remedy": pl.String}
    return pl.DataFrame(rows, schema=schema)


def segments_frame(found: Segments) -> pl.DataFrame:
    """One row a segment: raw and shrunken effect with their ends, p-values plain and adjusted."""
    rows = []
    for segment in found.segments:
        fields = segment_fields(segment)
        lo, hi = fields.pop("interval") or (None, None)
        shrunken_lo, shrunken_hi = fields.pop("shrunken_interval") or (None, None)
        rows.append(fields | {"lo": lo, "hi": hi, "shrunken_lo": shrunken_lo, "shrunken_hi": shrunken_hi})
    words = {"field": pl.String, "segment": pl.String, "rows": pl.Int64, "units": pl.Int64}
    numbers = ("effect", "lo", "hi", "shrunken", "shrunken_lo", "shrunken_hi", "kept", "p", "bonferroni")
    schema = words | dict.fromkeys((*numbers, "benjamini_hochberg"), pl.Float64)
    return pl.DataFrame(rows, schema=schema)


def horizon_frame(found: HorizonSensitivity) -> pl.DataFrame:
    """One row an estimate: under H, under 2H, the difference with its ends, and whether it is beyond chance."""
    rows = []
    for shift in found.shifts:
        lo, hi = shift.interval or (None, None)
        rows.append(
            {
                "estimate": shift.name,
                "at_horizon": shift.at_horizon,
                "at_double": shift.at_double,
                "difference": shift.difference,
                "lo": lo,
                "hi": hi,
                "differs": shift.differs,
            }
        )
    numbers = dict.fromkeys(("at_horizon", "at_double", "difference", "lo", "hi"), pl.Float64)
    return pl.DataFrame(rows, schema={"estimate": pl.String} | numbers | {"differs": pl.Boolean})


def sweep_frame(found: Sweep) -> pl.DataFrame:
    """One row a candidate on the rows of choosing, the best first, with a column for each key of the grid, as words."""
    keys = dict.fromkeys(key for each in found.contestants for key in each.variant.changes)
    rows = [
        {"candidate": each.variant.label}
        | {key: None if key not in each.variant.changes else str(each.variant.changes[key]) for key in keys}
        | _estimate(each.estimates[each.headline])
        | {"verdict": each.ruling.value, "winner": each is found.winner}
        for each in found.contestants
    ]
    schema: dict[str, type[pl.DataType]] = {
        "candidate": pl.String,
        **dict.fromkeys(keys, pl.String),
        **dict.fromkeys(("value", "lo", "hi"), pl.Float64),
        "method": pl.String,
        "confidence": pl.Float64,
        "verdict": pl.String,
        "winner": pl.Boolean,
    }
    return pl.DataFrame(rows, schema=schema).sort("value", descending=True, nulls_last=True)


def _estimate(estimate: Estimate) -> dict[str, Any]:
    lo, hi = estimate.interval or (None, None)
    return {
        "value": estimate.value,
        "lo": lo,
        "hi": hi,
        "method": estimate.interval_method,
        "confidence": estimate.confidence,
    }


def _column(values: list[Any]) -> list[Any]:
    kinds = {
        bool if isinstance(value, bool) else str if isinstance(value, str) else float
        for value in values
        if value is not None
    }
    return values if len(kinds) <= 1 else [None if value is None else str(value) for value in values]
