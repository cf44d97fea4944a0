"""Train on the first part of a log, choose on the next, judge the winner on the rest."""

from dataclasses import dataclass, replace

import numpy as np

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.evaluation import Estimate
from cxi_bandit.domain.gate import Ruling
from cxi_bandit.engine.ports import ModelRoom
from simulator.candidates import ManifestCandidate, Prepared
from simulator.datasets.log import ReplayLog
from simulator.progress import Track, silent
from simulator.replay import Replay, ReplaySettings, assess
from simulator.rounds import Ints
from simulator.sweep.grid import Grid, Variant

SHOWN = ("dr", "snips", "ips", "dm")


@dataclass(frozen=True, eq=False, kw_only=True)
class Contestant:
    """A variant on the rows that one is chosen on.

    Args:
        estimates: By name; they flatter the best of many.
        ruling: Of the diagnostics: a refused one cannot win.
        reasons: Codes of the refusal.
    """

    variant: Variant
    headline: str
    estimates: dict[str, Estimate]
    ruling: Ruling
    reasons: tuple[str, ...]

    @property
    def value(self) -> float | None:
        """The headline estimate."""
        return self.estimates[self.headline].value


@dataclass(frozen=True, eq=False, kw_only=True)
class Sweep:
    """What was tried, what won, and what the winner is worth on rows that did not choose it.

    Args:
        contestants: In the grid's order.
        rows: Of training, choosing and judging.
        logged: Mean logged reward on the rows of choosing and of judging.
        winner: None where the diagnostics refuse every contestant.
        judged: The winner on the rows of judging.
    """

    log: str
    contestants: tuple[Contestant, ...]
    rows: tuple[int, int, int]
    logged: tuple[float, float]
    winner: Contestant | None
    judged: Replay | None

    @property
    def statement(self) -> str:
        """How many were tried, on which rows what happened."""
        train, choose, judge = self.rows
        return (
            f"k = {len(self.contestants)} candidates were trained on the first {train} rows and compared on the next "
            f"{choose}; the best of many looks better there than it is. Its own estimate is from the "
            f"{judge} rows after those, which took no part in choosing it. These are frozen policies: what their "
            "exploration would teach them later is not in any number here"
        )


def sweep(
    log: ReplayLog, grid: Grid, room: ModelRoom, settings: ReplaySettings | None = None, track: Track = silent
) -> Sweep:
    """Runs the grid. Segments and horizon sensitivity, where the settings ask for them, are the winner's only.

    Raises:
        InvalidInput: The log is too short for three parts, or a variant cannot be asked about it.
    """
    settings = settings or ReplaySettings()
    n = len(log)
    a, b = int(n * grid.train), int(n * (grid.train + grid.choose))
    if not 0 < a < b < n:
        raise InvalidInput("sweep", f"{n} rows cannot be parted into rows to train, to choose and to judge on")
    first, middle, last = np.arange(a), np.arange(a, b), np.arange(b, n)
    plain = replace(settings, segments=(), horizon_sensitivity=False)
    contestants = []
    with track("Sweeping", len(grid.variants)) as advance:
        for variant in grid.variants:
            contestants.append(_contest(log, variant, room, (first, middle), plain))
            advance(1)
    able = [each for each in contestants if each.ruling is not Ruling.REFUSE and each.value is not None]
    winner = max(able, key=_merit, default=None)
    judged = None if winner is None else _judge(log, winner.variant, room, (first, middle, last), settings, track)
    reward = log.rounds.reward
    return Sweep(
        log=log.name,
        contestants=tuple(contestants),
        rows=(a, b - a, n - b),
        logged=(float(reward[middle].mean()), float(reward[last].mean())),
        winner=winner,
        judged=judged if judged is None else _told(judged, len(contestants)),
    )


def _merit(contestant: Contestant) -> float:
    return float("-inf") if contestant.value is None else contestant.value


def _contest(
    log: ReplayLog, variant: Variant, room: ModelRoom, parts: tuple[Ints, Ints], settings: ReplaySettings
) -> Contestant:
    report = assess(_prepared(log, variant, room, parts, silent), variant.label, settings).report
    return Contestant(
        variant=variant,
        headline=report.headline,
        estimates={name: report.estimates[name] for name in SHOWN},
        ruling=report.verdict.decision,
        reasons=tuple(reason.code for reason in report.verdict.reasons),
    )


def _judge(
    log: ReplayLog,
    variant: Variant,
    room: ModelRoom,
    parts: tuple[Ints, Ints, Ints],
    settings: ReplaySettings,
    track: Track,
) -> Replay:
    first, middle, last = parts
    judged = assess(_prepared(log, variant, room, (first, last), track), variant.label, settings, track)
    subject = log.rounds.subject
    if subject is None:
        return judged
    again = int(np.isin(subject[last], subject[middle]).sum())
    note = (
        f"{again} of the {len(last)} judging rows are of shoppers who also have rows among those that chose the winner"
    )
    return replace(judged, notes=(note, *judged.notes))


def _prepared(log: ReplayLog, variant: Variant, room: ModelRoom, parts: tuple[Ints, Ints], track: Track) -> Prepared:
    """Trained on the first part, scored on the second; half a row keeps rounding from moving the split."""
    learned, scored = parts
    rows = np.concatenate(parts)
    fraction = (len(learned) + 0.5) / len(rows)
    candidate = ManifestCandidate(variant.label, variant.manifest, variant.sha, room, fraction)
    prepared = candidate.prepare(log.take(rows), track)
    if len(prepared.log) != len(scored):
        raise InvalidInput("sweep", "training and scoring rows were not parted as asked")
    return prepared


def _told(judged: Replay, k: int) -> Replay:
    note = f"this is the best of k = {k} candidates of a sweep, on rows that took no part in choosing it"
    return replace(judged, notes=(note, *judged.notes))
