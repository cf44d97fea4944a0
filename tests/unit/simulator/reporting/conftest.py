"""Replays to make pages of, and a page as a reader without a browser sees it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import msgspec
import numpy as np
import pytest

from cxi_bandit.domain.evaluation import EvidencePoint, GuardrailStanding, TrialRecord
from cxi_bandit.domain.gate import Reason, Ruling, Verdict
from cxi_bandit.domain.outcome import AsOf
from simulator.candidates import Prepared, Uniform
from simulator.datasets.log import ReplayLog, Shown
from simulator.datasets.snapshot import Snapshot
from simulator.horizon import HorizonSensitivity, HorizonShift
from simulator.progress import Track
from simulator.replay import Replay, ReplaySettings, replay
from simulator.reporting import contents, rendered
from simulator.rounds import LoggedRounds
from simulator.segments import Segment, Segments

OPENED = datetime(2026, 10, 5, tzinfo=UTC)
COMMAND = "cxi-bandit replay --log detail-page --candidate model:detail-page@18"
NAMES = ("hold", "price_match", "free_shipping")


class Sharper:
    """A candidate nearer to what the log prefers."""

    def __init__(self, spec: str = "model:detail-page@18") -> None:
        self.spec = spec

    def prepare(self, log: ReplayLog, track: Track) -> Prepared:
        assert log.rounds.probabilities is not None
        sharp = log.rounds.probabilities**1.3
        probabilities = sharp / sharp.sum(axis=1, keepdims=True)
        return Prepared(
            log=log, probabilities=probabilities, model_sha="9f" * 32, manifest_sha="ab" * 32, notes=("a note",)
        )


def live_log(
    name: str = "detail-page", actions: tuple[str, ...] = NAMES, n: int = 4000, bias: float = 0.0
) -> ReplayLog:
    """A log with whole vectors, shoppers, completeness and activation; `bias` draws the first action too often."""
    rng = np.random.default_rng(7)
    k = len(actions)
    p = rng.dirichlet(np.full(k, 4.0), n) * 0.9 + 0.1 / k
    drawn = p + bias * np.eye(k)[0]
    cumulated = (drawn / drawn.sum(axis=1, keepdims=True)).cumsum(axis=1)
    action = (rng.random((n, 1)) > cumulated[:, :-1]).sum(axis=1)
    logged_at = OPENED.timestamp() + np.sort(rng.random(n)) * 21 * 86_400
    nothing: Any = None
    return ReplayLog(
        name=name,
        rounds=LoggedRounds(
            actions=actions,
            action=action,
            propensity=p[np.arange(n), action],
            reward=(rng.random(n) < 0.2).astype(np.float64),
            logged_at=logged_at,
            subject=rng.integers(0, n // 2, n),
            probabilities=p,
        ),
        reward_range=(0.0, 1.0),
        contexts=nothing,
        manifest=nothing,
        completed=rng.random(n) < 0.6,
        shown=Shown(action=action, logged_at=logged_at, activated=rng.random(n) < 0.9),
        snapshot=Snapshot(as_of=AsOf(n, n + 12), erasure_cut=0, taken_at=OPENED + timedelta(days=30)),
    )


def imported_log(n: int = 2000) -> ReplayLog:
    """A log of drawn propensities alone."""
    rng = np.random.default_rng(5)
    nothing: Any = None
    return ReplayLog(
        name="coin",
        rounds=LoggedRounds(
            actions=("a", "b"),
            action=rng.integers(0, 2, n),
            propensity=np.full(n, 0.5),
            reward=(rng.random(n) < 0.5).astype(np.float64),
            logged_at=np.arange(n, dtype=np.float64),
        ),
        reward_range=(0.0, 1.0),
        contexts=nothing,
        manifest=nothing,
    )


def looked_at(log: ReplayLog, candidate: Any = None) -> Replay:
    """A replay with its measures."""
    return replay(log, candidate or Sharper(), ReplaySettings(measures=True))


_VOID = {"meta", "br", "hr", "img", "input", "link"}


class Element:
    """One element: tag, attributes, what is in it, and where on the page it stands."""

    def __init__(self, tag: str, attributes: dict[str, str], position: int) -> None:
        self.tag, self.attributes, self.position = tag, attributes, position
        self.children: list[Element] = []
        self.text = ""

    def all(self, *tags: str) -> "list[Element]":
        """Everything below it with one of these tags, in order; all of it without tags."""
        found = []
        for child in self.children:
            if not tags or child.tag in tags:
                found.append(child)
            found += child.all(*tags)
        return found


class PageReader(HTMLParser):
    """Parses a whole page; every element must be closed in its turn."""

    def __init__(self, document: str) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("document", {}, 0)
        self.text = ""
        self._open = [self.root]
        self._count = 0
        self.feed(document)
        self.close()
        assert self._open == [self.root], f"left open: {[element.tag for element in self._open]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._count += 1
        assert len({name for name, _ in attrs}) == len(attrs), f"{tag} repeats an attribute"
        element = Element(tag, {name: value or "" for name, value in attrs}, self._count)
        self._open[-1].children.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1].tag == tag, f"</{tag}> closes <{self._open[-1].tag}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if "style" not in {element.tag for element in self._open}:
            self.text += data
        for element in self._open:
            element.text += data


@pytest.fixture(scope="session")
def page_of() -> Callable[[Replay], PageReader]:
    """The page of a replay, parsed."""
    return lambda found: PageReader(rendered(contents(found, COMMAND)))


@pytest.fixture(scope="session")
def replayed() -> Callable[..., Replay]:
    """A replay of a live log with names of one's own."""
    return lambda name, actions, spec: looked_at(live_log(name, actions), Sharper(spec))


@pytest.fixture(scope="session")
def ungated() -> Replay:
    return looked_at(live_log())


@pytest.fixture(scope="session")
def imported() -> Replay:
    return looked_at(imported_log(), Uniform())


@pytest.fixture(scope="session")
def refused() -> Replay:
    found = looked_at(live_log(bias=0.5))
    assert found.report.verdict.decision is Ruling.REFUSE
    return tried(found, found.report.verdict)


@pytest.fixture(scope="session")
def went(ungated: Replay) -> Replay:
    reason = Reason("evidence_reached", "E = 400 over 3000 units and 21 days reached the threshold 131.6")
    return tried(ungated, Verdict(decision=Ruling.GO, reasons=(reason,), incumbent="detail-page 3/17"))


def tried(found: Replay, verdict: Verdict) -> Replay:
    """The replay after a trial of three weeks, with segments and twice the window."""
    path = tuple(EvidencePoint(OPENED + timedelta(days=day), 140 * day, 0.285 * day) for day in range(1, 22))
    trial = TrialRecord(
        proposal="autumn",
        ordinal=2,
        candidates=1,
        alpha=0.0076,
        log_threshold=4.88,
        incumbent="detail-page 3/17",
        opened_at=OPENED,
        heard_until=path[-1].until,
        days=21,
        units=path[-1].units,
        anonymous=4,
        latecomers=1,
        clipped=2,
        log_e=path[-1].log_e,
        guardrails=(GuardrailStanding(metric="refund", margin=0.01, log_e=5.3, passed=True),),
        path=path,
    )
    mobile = Segment(
        field="context.device",
        segment="mobile",
        rows=3000,
        units=1500,
        effect=0.0123,
        interval=(0.001, 0.0236),
        shrunken=0.0101,
        shrunken_interval=(0.002, 0.0182),
        kept=0.4,
        p=0.03,
        bonferroni=0.06,
        benjamini_hochberg=0.06,
    )
    return replace(
        found,
        report=msgspec.structs.replace(found.report, verdict=verdict, trial=trial),
        segments=Segments(
            overall=0.0077,
            interval=(-0.001, 0.0164),
            confidence=0.95,
            segments=(mobile, Segment(field="context.device", segment="tablet", rows=40, units=20)),
            spread={"context.device": 0.0011},
            heterogeneity_p={"context.device": 0.4},
        ),
        horizon=HorizonSensitivity(
            rows=3900,
            left_out=100,
            horizon_seconds=(7200.0, 7200.0),
            confidence=0.95,
            shifts=(
                HorizonShift(name="dr", at_horizon=0.2011, at_double=0.2345, difference=0.0334, interval=(0.02, 0.05)),
            ),
        ),
    )
