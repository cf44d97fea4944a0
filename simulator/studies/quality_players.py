"""Who plays a stream: the whole engine, and Vowpal Wabbit's own command line driver in three ways."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import IO, Final

import msgspec

from cxi_bandit.domain.decision import DecisionRequest, Defect
from cxi_bandit.domain.errors import Unavailable
from cxi_bandit.domain.identifiers import RewardId, Source
from cxi_bandit.domain.reward import RewardEvent
from cxi_bandit.policy.draw import draw
from cxi_bandit.policy.parsing import parse_manifest
from cxi_bandit.policy.pmf import floored
from cxi_bandit.vowpal.arguments import explorer_arguments, workspace_arguments
from simulator.in_process import InProcess
from simulator.studies.quality_rows import Row, RowSet, Stream

START: Final = datetime(2026, 1, 5, tzinfo=UTC)
FLOOR: Final = 0.02
"""What the floors of a set's interventions add up to."""

_HORIZON: Final = timedelta(seconds=60)
_STEP: Final = timedelta(milliseconds=1)
_SHOP: Final = Source("shop")


class Played(msgspec.Struct, frozen=True):
    """What each row earned, and the uniform number that each of its draws came from."""

    rewards: list[float]
    uniforms: list[float]

    @property
    def progressive(self) -> float:
        """Mean reward of a row, from the first on."""
        return sum(self.rewards) / len(self.rewards)


def manifest_text(source: RowSet) -> str:
    """The policy that serves a set: a manifest's defaults, floors that add up to `FLOOR`, an even cold start.

    The first class is `hold`, which is an intervention like any other where it costs nothing.
    """
    features = "".join(
        f'[context.features.f{name}]\ntype = "number"\nmin = {low!r}\nmax = {high if high > low else low + 1.0!r}\n'
        for name, (low, high) in zip(source.features, source.ranges, strict=True)
    )
    names = ["hold", *(f"class_{k}" for k in range(2, source.classes + 1))]
    interventions = "".join(f'[[interventions]]\nid = "{name}"\n' for name in names)
    floor = FLOOR / source.classes
    return f"""format = 1
name = "rows"
surface = "rows"
[defects.row]
{features}{interventions}[reward]
horizon_seconds = {_HORIZON.total_seconds()}
min = 0
max = 1
[reward.metrics.right]
weight = 1
min = 0
max = 1
[exploration]
floor = {floor}
hold_floor = {floor}
[exploration.explorer]
algorithm = "squarecb"
gamma_scale = 1000.0
[exploration.cold_start]
hold = {1 / source.classes}
outcomes = 1
[learning]
learning_rate = 0.5
publish_seconds = 0.0
"""


def play_engine(stream: Stream, segment: int) -> Played:
    """Decisions in groups of `segment`, each logged; their rewards come, their windows close, the next model serves."""
    source = stream.source
    engine = InProcess({"rows.toml": manifest_text(source)}, START, stream.seed)
    now = START
    engine.turn(now)
    played = Played([], [])
    for begin in range(0, len(stream.rows), segment):
        events = []
        for index in range(begin, min(begin + segment, len(stream.rows))):
            decision = engine.decide(_request(source, stream.rows[index]), now)
            engine.log(decision)
            earned = stream.reward(index, decision.situation.eligible.index(decision.intervention))
            played.rewards.append(earned)
            played.uniforms.append(decision.u)
            if earned:
                events.append(
                    RewardEvent(
                        source=_SHOP,
                        reward_id=RewardId(f"of-{decision.decision_id}"),
                        decision_id=decision.decision_id,
                        metric="right",
                        value=earned,
                        occurred_at=now,
                    )
                )
            now += _STEP
        engine.record(events, now)
        now += _HORIZON
        engine.turn(now)
    return played


def play_vw(stream: Stream, segment: int, uniforms: Sequence[float]) -> Played:
    """VW's driver on the same rows, arguments, floors and segments, drawn from the same uniform numbers.

    What it is told is written here by hand, from the declared ranges: nothing of the engine's own encoding.
    """
    source = stream.source
    manifest = parse_manifest(manifest_text(source), "rows.toml")
    floors = [FLOOR / source.classes] * source.classes
    played = Played([], list(uniforms))
    with _driver(workspace_arguments(manifest)) as vw:
        for begin in range(0, len(stream.rows), segment):
            learned = []
            for index in range(begin, min(begin + segment, len(stream.rows))):
                shared = _shared(source, stream.rows[index], scaled=True)
                probabilities = floored(vw.told(_example(shared, source.classes)), floors)
                choice = draw(probabilities, uniforms[index])
                earned = stream.reward(index, choice)
                played.rewards.append(earned)
                label = f"0:{-earned:.9g}:{probabilities[choice]:.9g}"
                learned.append(_example(shared, source.classes, choice, label))
            for example in learned:
                vw.told(example)
    return played


def play_vw_at_once(stream: Stream) -> Played:
    """VW's driver as a user would run it: the file's own values, no floor, learning each row before the next."""
    source = stream.source
    learner = parse_manifest(manifest_text(source), "rows.toml")
    explorer = explorer_arguments(learner.exploration.explorer)
    arguments = ["--quiet", "--cb_explore_adf", *explorer, "--cb_type", "mtr", "-b", "18", "-l", "0.5"]
    arguments += ["--interactions", "SA", "--ignore_linear", "S"]
    seeded = Random(stream.seed)
    played = Played([], [])
    with _driver(arguments) as vw:
        for index, row in enumerate(stream.rows):
            shared = _shared(source, row, scaled=False)
            told = vw.told(_example(shared, source.classes))
            u = seeded.random()
            choice = draw([value / sum(told) for value in told], u)
            earned = stream.reward(index, choice)
            played.rewards.append(earned)
            played.uniforms.append(u)
            vw.told(_example(shared, source.classes, choice, f"0:{-earned:.9g}:{told[choice]:.9g}"))
    return played


def play_cbify(stream: Stream) -> Played:
    """`--cbify`: VW's own conversion, drawing and learning inside its driver. For rewards that are not rare only."""
    source = stream.source
    arguments = ["--quiet", "--cbify", str(source.classes), "--cb_explore_adf", "--squarecb", "--gamma_scale", "1000.0"]
    arguments += ["--cb_type", "mtr", "-b", "18", "-l", "0.5", "--loss0", "-1", "--loss1", "0"]
    arguments += ["--random_seed", str(stream.seed)]
    with tempfile.TemporaryDirectory() as folder:
        rows, chosen = Path(folder, "rows.txt"), Path(folder, "chosen.txt")
        text = (f"{row.label + 1} | {_pairs(source, row.values)}\n" for row in stream.rows)
        rows.write_text("".join(text))
        command = [sys.executable, "-m", "vowpalwabbit", *arguments, "-d", str(rows), "-p", str(chosen)]
        subprocess.run(command, check=True)  # noqa: S603 - our own arguments
        choices = [int(float(line)) - 1 for line in chosen.read_text().split()]
    return Played([stream.reward(index, choice) for index, choice in enumerate(choices)], [])


def _request(source: RowSet, row: Row) -> DecisionRequest:
    context = {f"f{name}": value for name, value in zip(source.features, row.values, strict=True)}
    return DecisionRequest("rows", Defect("row", 0.0, 0.0), dict(context))


def _shared(source: RowSet, row: Row, *, scaled: bool) -> str:
    values: Sequence[float] = row.values
    if scaled:
        values = [
            (value - low) / ((high - low) or 1.0) for value, (low, high) in zip(row.values, source.ranges, strict=True)
        ]
    return f"shared |S defect=row {_pairs(source, values)}"


def _pairs(source: RowSet, values: Sequence[float]) -> str:
    return " ".join(f"f{name}:{value:.9g}" for name, value in zip(source.features, values, strict=True) if value)


def _example(shared: str, classes: int, choice: int = -1, label: str = "") -> str:
    lines = [shared]
    for k in range(classes):
        name = "hold" if k == 0 else f"class_{k + 1}"
        lines.append(f"{label if k == choice else ''} |A id={name}")
    return "\n".join(lines) + "\n\n"


class _Driver:
    """A running driver: an example goes in, its vector comes out; a labelled one is also learned."""

    def __init__(self, into: IO[bytes], out: IO[bytes]) -> None:
        self._into = into
        self._out = out

    def told(self, example: str) -> list[float]:
        """The probabilities by intervention, as printed: six decimals, the likeliest first.

        Raises:
            Unavailable: The driver has ended.
        """
        self._into.write(example.encode())
        self._into.flush()
        line, blank = self._out.readline(), self._out.readline()
        if not blank:
            raise Unavailable("Vowpal Wabbit's driver")
        pairs = (pair.split(":") for pair in line.decode().split(","))
        by_index = {int(index): float(value) for index, value in pairs}
        return [by_index[index] for index in range(len(by_index))]


@contextmanager
def _driver(arguments: Sequence[str]) -> Iterator[_Driver]:
    command = [sys.executable, "-m", "vowpalwabbit", *arguments, "-d", "/dev/stdin", "-p", "/dev/stdout"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603 - as above
        if process.stdin is None or process.stdout is None:
            raise Unavailable("Vowpal Wabbit's driver")
        yield _Driver(process.stdin, process.stdout)
