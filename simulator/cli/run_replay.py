"""The work of `cxi-bandit replay`."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import rich_click as click
from rich.console import Console
from rich.markup import escape

from cxi_bandit.bootstrap.database import open_store
from cxi_bandit.cli.progress import bars
from cxi_bandit.domain.gate import Ruling, Verdict
from cxi_bandit.settings import read_settings
from cxi_bandit.vowpal import VowpalRoom
from simulator.candidates import Parts, ScoreShelf, Scoring, parse_candidate
from simulator.cli.log_options import LogRequest
from simulator.cli.page import PageRequest
from simulator.datasets.log import ReplayLog
from simulator.datasets.snapshot import parse_reach
from simulator.datasets.stored import Reading, read_log, read_parts
from simulator.datasets.versions import POOLING_BUDGET
from simulator.relabel import read_definition, relabelled
from simulator.replay import ReplaySettings
from simulator.replay import replay as evaluated
from simulator.replay_in_parts import LaidOut, assess_laid_out, lay_out
from simulator.report import NO_GATE, print_report
from simulator.report import as_json as json_of

EXIT_DONE, EXIT_REFUSED, EXIT_WAIT = 0, 1, 3


def run(
    log: str,
    candidate: str,
    settings: ReplaySettings,
    train_fraction: float,
    options: Mapping[str, Any],
    request: LogRequest,
    *,
    page: PageRequest | None = None,
    as_json: bool,
) -> int:
    """Replays, prints the report, and returns the exit code."""
    track = bars(as_json=as_json)
    own = read_settings(**options)
    with TemporaryDirectory(prefix="cxi-bandit-replay-") as folder:
        with open_store(own) as store:
            room = VowpalRoom()
            # Somebody else's database may come without a data directory; none is made for scores alone.
            scoring = Scoring(shelf=ScoreShelf(own.data_dir / "scores") if own.data_dir.is_dir() else None)
            parts = Parts(registry=store.registry, room=room, train_fraction=train_fraction, scoring=scoring)
            # The candidate first: a mistyped SPEC is found before a long log is read.
            contender = parse_candidate(candidate, parts)
            definition = None if request.reward is None else read_definition(request.reward)
            streams = settings.in_parts and contender.by_row and request == LogRequest()
            in_parts = read_parts(store, log) if streams else None
            met: LaidOut | ReplayLog
            if in_parts is None:
                met = read_log(store, room, log, track, reading(request))
            else:
                met = lay_out(in_parts, contender, Path(folder), track)
        # Outside: a long evaluation must not keep a service from starting on this data directory.
        if isinstance(met, LaidOut):
            outcome = assess_laid_out(met, settings, track)
        else:
            rounds = met if definition is None else relabelled(met, definition)
            outcome = evaluated(rounds, contender, settings, track)
    if page is not None:
        page.write(outcome)
    if as_json:
        click.echo(json_of(outcome))
    else:
        print_report(outcome, Console())
        if page is not None:
            Console().print(f"Page: {escape(str(page.path))}", soft_wrap=True)
    return exit_code(outcome.report.verdict)


def exit_code(verdict: Verdict) -> int:
    """A refusal is 1; a gate's wait is 3; where no gate was asked the evaluation itself is all there was to do."""
    if verdict.decision is Ruling.REFUSE:
        return EXIT_REFUSED
    ungated = any(reason.code == NO_GATE for reason in verdict.reasons)
    return EXIT_WAIT if verdict.decision is Ruling.WAIT and not ungated else EXIT_DONE


def reading(request: LogRequest) -> Reading:
    """How the log is read for what was asked."""
    return Reading(
        reach=None if request.as_of is None else parse_reach(request.as_of),
        events=request.events,
        pooling=request.pooling(POOLING_BUDGET),
    )
