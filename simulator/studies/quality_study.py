"""Does the engine cost any quality? `python -m simulator.studies.quality_study [--seeds N] [--json]`. Takes minutes.

Progressive reward on classification sets turned into bandit problems, through the whole engine, beside Vowpal Wabbit's
command line driver on the same rows, and beside MABWiser where it is installed.
"""

import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
import rich_click as click
from rich.console import Console
from rich.table import Table

from simulator.studies.quality_mabwiser import POLICIES, installed, play_mabwiser
from simulator.studies.quality_players import play_cbify, play_engine, play_vw, play_vw_at_once
from simulator.studies.quality_rows import RowSet, Stream, read_sets

SETS: Final = Path("../shared/data/cb")
SEGMENT: Final = 10
SEEDS: Final = 10
TARGET: Final = 0.99
"""Least ratio of the engine's progressive reward to that of VW under the same conditions."""

VW: Final = "vw"
VW_NO_DELAY: Final = "vw_no_delay"
VW_AT_ONCE: Final = "vw_at_once"
CBIFY: Final = "vw_cbify"


class Estimate(NamedTuple):
    """A number and its standard error over the seeds."""

    value: float
    error: float


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One set: mean progressive rewards by player, and the engine's ratio to each other player.

    Attributes:
        differing: Rows, over all seeds, that earned otherwise under VW with the same draws.
    """

    name: str
    rows: int
    seeds: int
    rewards: dict[str, Estimate]
    ratios: dict[str, Estimate]
    differing: int


class Study(msgspec.Struct, frozen=True, kw_only=True):
    """All sets, and the mean ratio over those that each player played."""

    segment: int
    target: float
    sets: list[Compared]
    overall: dict[str, Estimate]
    holds: bool


def study(
    sets: Sequence[RowSet],
    seeds: Sequence[int],
    segment: int,
    seen: Callable[[Compared], None],
    *,
    with_mabwiser: bool = True,
) -> Study:
    """Plays every set, once as it is and once with rare rewards, in as many orders as there are seeds."""
    compared = []
    for source in sets:
        for rare in (False, True):
            compared.append(compare(source, seeds, segment, rare=rare, with_mabwiser=with_mabwiser))
            seen(compared[-1])
    overall = {
        player: _mean([one.ratios[player] for one in compared if player in one.ratios]) for player in _players(compared)
    }
    holds = overall[VW].value >= TARGET and all(one.ratios[VW].value >= TARGET for one in compared)
    return Study(segment=segment, target=TARGET, sets=compared, overall=overall, holds=holds)


def compare(source: RowSet, seeds: Sequence[int], segment: int, *, rare: bool, with_mabwiser: bool = False) -> Compared:
    """Plays one set in one shuffled order a seed."""
    earned: dict[str, list[float]] = {}
    differing = 0
    for seed in seeds:
        stream = Stream(source, seed, rare=rare)
        engine = play_engine(stream, segment)
        vw = play_vw(stream, segment, engine.uniforms)
        differing += sum(ours != theirs for ours, theirs in zip(engine.rewards, vw.rewards, strict=True))
        played = {
            "engine": engine,
            VW: vw,
            VW_NO_DELAY: play_vw(stream, 1, engine.uniforms),
            VW_AT_ONCE: play_vw_at_once(stream),
        }
        if not rare:
            played[CBIFY] = play_cbify(stream)
        if with_mabwiser:
            played |= {policy: play_mabwiser(stream, segment, policy) for policy in POLICIES}
        for player, one in played.items():
            earned.setdefault(player, []).append(one.progressive)
    return Compared(
        name=source.name + ("*" if rare else ""),
        rows=len(source.rows),
        seeds=len(seeds),
        rewards={player: _estimate(values) for player, values in earned.items()},
        ratios={player: ratio(earned["engine"], values) for player, values in earned.items() if player != "engine"},
        differing=differing,
    )


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Estimate:
    """The ratio of two means over the same seeds.

    r = mean(x) / mean(y), se = sd(x - r y) / (mean(y) sqrt(S)) by the delta method for S pairs; 0 for a single pair,
    of which nothing is known.

    Reference:
        W. G. Cochran (1977), Sampling Techniques, 3rd ed., section 6.3.
    """
    x, y = np.array(ours), np.array(theirs)
    value = float(x.mean() / y.mean())
    spread = float((x - value * y).std(ddof=1)) if len(x) > 1 else 0.0
    return Estimate(value, spread / (float(y.mean()) * math.sqrt(len(x))))


def _estimate(values: Sequence[float]) -> Estimate:
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return Estimate(float(np.mean(values)), spread / math.sqrt(len(values)))


def _mean(ratios: Sequence[Estimate]) -> Estimate:
    """The mean of independent estimates, se = sqrt(sum se^2) / n."""
    errors = math.sqrt(sum(one.error**2 for one in ratios))
    return Estimate(sum(one.value for one in ratios) / len(ratios), errors / len(ratios))


def _players(compared: Sequence[Compared]) -> list[str]:
    return list(dict.fromkeys(player for one in compared for player in one.ratios))


@click.command(context_settings={"show_default": True})
@click.option("--data", type=click.Path(path_type=Path), default=SETS, help="Folder of the classification sets.")
@click.option("--seeds", default=SEEDS, help="Shuffled orders 1 to this many of every set.")
@click.option("--segment", default=SEGMENT, help="Rows decided before the next model: the delay, on every side.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout and nothing else.")
def main(data: Path, seeds: int, segment: int, as_json: bool) -> None:
    """Runs the study and prints tables; exit code 1 when the target is missed."""
    console = Console(stderr=as_json)
    if not installed():
        console.print("MABWiser is not installed, so its rows are left out: pip install 'cxi-bandit\\[bench]'")

    def seen(one: Compared) -> None:
        told = one.ratios[VW]
        console.log(f"{one.name}: {told.value:.4f} ± {told.error:.4f} of VW, {one.differing} rows differ")

    found = study(read_sets(data), range(1, seeds + 1), segment, seen, with_mabwiser=installed())
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(found)))
    else:
        _show(found, console)
    if not found.holds:
        sys.exit(1)


def _show(found: Study, console: Console) -> None:
    players = list(found.overall)
    rewards = Table("set", "rows", "engine", *players, title="progressive reward")
    ratios = Table("set", *players, title="engine / player")
    for one in found.sets:
        rewards.add_row(one.name, f"{one.rows}", *(_cell(one.rewards.get(name)) for name in ("engine", *players)))
        ratios.add_row(one.name, *(_cell(one.ratios.get(name)) for name in players))
    ratios.add_row("overall", *(_cell(found.overall[name]) for name in players))
    console.print(rewards)
    console.print(ratios)
    verdict = "holds" if found.holds else "is missed"
    console.print(f"at least {found.target} of VW under the same conditions, on every set and overall: {verdict}")


def _cell(estimate: Estimate | None) -> str:
    return "-" if estimate is None else f"{estimate.value:.4f} ± {estimate.error:.4f}"


if __name__ == "__main__":
    main()
