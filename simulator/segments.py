"""The candidate's effect by segment: by surface, defect or any field of the context, shrunken, and counted aloud."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import isfinite

import numpy as np
from scipy.stats import norm

from cxi_bandit.domain.errors import InvalidInput
from simulator.candidates import Prepared
from simulator.datasets.contexts import Contexts, Described
from simulator.paired import effects, mean_of
from simulator.rounds import Bools, Float64s, Ints, ScoredRounds
from simulator.shrinkage import benjamini_hochberg, bonferroni, p_values, shrink

FORMS = "surface, defect or context.FIELD"
MOST_VALUES = 20
"""Values of a field that get a segment each; rarer ones are one segment together."""

FEWEST_UNITS = 30
"""With fewer shoppers (or rows, where none are named) a normal interval means nothing: there is no number."""

NUMBER_GROUPS = 4
REST, MISSING = "other values", "missing"
_CONTEXT = "context."


@dataclass(frozen=True, kw_only=True)
class Segment:
    """The candidate's effect over the log in one segment, in reward units.

    Args:
        effect: Mean of dm + w(r - q̂) - r; None below `FEWEST_UNITS` units.
        shrunken: Drawn towards the overall effect, with its interval.
        kept: How much of its own distance to the overall effect it keeps, 0 to 1.
        p: Two-sided, of no effect, from `effect` alone.
        bonferroni: p adjusted for all segments looked at.
        benjamini_hochberg: p adjusted for the share of false findings.
    """

    field: str
    segment: str
    rows: int
    units: int
    effect: float | None = None
    interval: tuple[float, float] | None = None
    shrunken: float | None = None
    shrunken_interval: tuple[float, float] | None = None
    kept: float | None = None
    p: float | None = None
    bonferroni: float | None = None
    benjamini_hochberg: float | None = None


@dataclass(frozen=True, kw_only=True)
class Segments:
    """All segments that were looked at.

    Args:
        overall: Effect over all rows.
        interval: Of `overall`.
        spread: By field, the estimated standard deviation of the true effects between its segments.
        heterogeneity_p: By field, could all its segments have the same effect?
    """

    overall: float
    interval: tuple[float, float] | None
    confidence: float
    segments: tuple[Segment, ...]
    spread: dict[str, float]
    heterogeneity_p: dict[str, float]

    @property
    def statement(self) -> str:
        """How many were looked at, and what is left after adjusting for it."""
        tested = [segment for segment in self.segments if segment.p is not None]
        level = 1.0 - self.confidence
        k = len(tested)
        plain, strict, shared = (
            sum(value is not None and value <= level for value in values)
            for values in (
                [segment.p for segment in tested],
                [segment.bonferroni for segment in tested],
                [segment.benjamini_hochberg for segment in tested],
            )
        )
        small = len(self.segments) - k
        return (
            f"{k} segments were looked at ({small} more have fewer than {FEWEST_UNITS} shoppers or rows and get no "
            f"number); without any effect {k * level:.2g} of them would stand out at {level:.2g} by chance alone, and "
            f"{plain} do; {shared} after Benjamini-Hochberg, {strict} after Bonferroni. Shrunken effects are what to "
            "expect next time; a segment picked for its raw effect disappoints"
        )


def segment_effects(prepared: Prepared, batch: ScoredRounds, fields: Sequence[str], confidence: float) -> Segments:
    """Each segment's effect, shrunken within its field towards the overall one.

    Args:
        batch: The prepared rows with predictions.
        fields: `surface`, `defect` or `context.FIELD`.

    Raises:
        InvalidInput: A field has another form, or no row has it.
    """
    effect, subject = effects(batch), batch.subject
    overall = mean_of(effect, subject)
    found: list[Segment] = []
    spread: dict[str, float] = {}
    heterogeneity: dict[str, float] = {}
    for field in dict.fromkeys(fields):
        labels = labels_of(prepared.log.contexts, len(batch), field)
        raw = [_raw(field, label, effect, subject, labels == label, confidence) for label in _order(labels)]
        numbers = [(segment, se) for segment, se in raw if segment.effect is not None]
        if numbers:
            values = np.array([segment.effect for segment, _ in numbers], dtype=np.float64)
            errors = np.array([se for _, se in numbers])
            shrunk = shrink(values, errors, np.array([float(segment.rows) for segment, _ in numbers]))
            spread[field], heterogeneity[field] = shrunk.spread, shrunk.heterogeneity_p
            half = float(norm.ppf(0.5 + confidence / 2)) * shrunk.standard_error
            p = p_values(values, errors)
            columns = zip(shrunk.value, half, shrunk.kept, p, (segment for segment, _ in numbers), strict=True)
            found += [
                _with_shrunken(segment, float(v), float(h), float(b), float(q)) for v, h, b, q, segment in columns
            ]
        found += [segment for segment, _ in raw if segment.effect is None]
    return Segments(
        overall=overall.value,
        interval=overall.interval(confidence),
        confidence=confidence,
        segments=_adjusted(found),
        spread=spread,
        heterogeneity_p=heterogeneity,
    )


def labels_of(contexts: Contexts, n: int, field: str) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
    """Each row's segment, shape (n,); numbers in four groups of equal size.

    Raises:
        InvalidInput: The field has no known form, or no row has it.
    """
    values = [_value(contexts.described(row), field) for row in range(n)]
    known = [value for value in values if value is not None]
    if not known:
        raise InvalidInput("segment", f"no row of the log has {field}")
    if all(isinstance(value, float | int) and not isinstance(value, bool) for value in known):
        return np.array(_grouped([None if value is None else float(value) for value in values]))
    texts = [
        MISSING if value is None else str(value).lower() if isinstance(value, bool) else str(value) for value in values
    ]
    common = {text for text, _ in Counter(texts).most_common(MOST_VALUES)}
    return np.array([text if text in common else REST for text in texts])


def _value(row: Described, field: str) -> bool | float | str | None:
    if field == "surface":
        return row.surface
    if field == "defect":
        return row.defect
    if field.startswith(_CONTEXT) and len(field) > len(_CONTEXT):
        return row.context.get(field.removeprefix(_CONTEXT))
    raise InvalidInput("segment", f"{field!r} is none of {FORMS}")


def _grouped(values: list[float | None]) -> list[str]:
    known = np.array([value for value in values if value is not None])
    edges = np.unique(np.quantile(known, np.linspace(0.0, 1.0, NUMBER_GROUPS + 1)[1:-1]))
    bounds = [f"{edge:.6g}" for edge in edges]
    names = [f"up to {bounds[0]}", *(f"{lo} to {hi}" for lo, hi in pairwise(bounds))]
    names.append(f"above {bounds[-1]}")
    return [MISSING if value is None else names[int(np.searchsorted(edges, value, side="left"))] for value in values]


def _order(labels: np.ndarray[tuple[int], np.dtype[np.str_]]) -> list[str]:
    """Labels, the commonest first."""
    return [label for label, _ in sorted(Counter(labels.tolist()).items(), key=lambda pair: (-pair[1], pair[0]))]


def _raw(
    field: str, label: str, effect: Float64s, subject: Ints | None, rows: Bools, confidence: float
) -> tuple[Segment, float]:
    mean = mean_of(effect[rows], None if subject is None else subject[rows])
    n = int(np.count_nonzero(rows))
    if mean.units < FEWEST_UNITS or not isfinite(mean.standard_error):
        return Segment(field=field, segment=label, rows=n, units=mean.units), float("nan")
    segment = Segment(
        field=field,
        segment=label,
        rows=n,
        units=mean.units,
        effect=mean.value,
        interval=mean.interval(confidence),
    )
    return segment, mean.standard_error


def _with_shrunken(segment: Segment, value: float, half: float, kept: float, p: float) -> Segment:
    return replace(segment, shrunken=value, shrunken_interval=(value - half, value + half), kept=kept, p=p)


def _adjusted(found: list[Segment]) -> tuple[Segment, ...]:
    """The p-values adjusted over every segment of every field: all of them were looked at."""
    p = np.array([segment.p for segment in found if segment.p is not None])
    pairs = iter(zip(bonferroni(p).tolist(), benjamini_hochberg(p).tolist(), strict=True))
    adjusted = []
    for segment in found:
        if segment.p is None:
            adjusted.append(segment)
        else:
            strict, shared = next(pairs)
            adjusted.append(replace(segment, bonferroni=strict, benjamini_hochberg=shared))
    return tuple(adjusted)
