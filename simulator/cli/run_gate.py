"""The work of `cxi-bandit replay` with `--gate`, `--plan` or `--aa`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
import rich_click as click
from rich.console import Console

from cxi_bandit.bootstrap.database import open_store
from cxi_bandit.cli.progress import bars
from cxi_bandit.domain.gate import Ruling
from cxi_bandit.settings import read_settings
from cxi_bandit.vowpal import VowpalRoom
from simulator.candidates import Candidate, Parts, parse_candidate
from simulator.cli.page import PageRequest
from simulator.cli.run_replay import EXIT_DONE, EXIT_REFUSED, EXIT_WAIT
from simulator.datasets.stored import read_log
from simulator.progress import Track
from simulator.replay import Replay, ReplaySettings
from simulator.report import document, print_report
from simulator.trial_report import print_outlook, print_self_comparison
from simulator.trials import Docket, close_sitting, read_docket, weigh
from simulator.trials.against_itself import against_itself
from simulator.trials.outlook import outlook


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the command line asks the gate.

    Args:
        defects: The defect types it is about; empty for all.
        opening: Start of the trial's window, aware; None opens it as early as neither policy has learned from it.
    """

    ask: Literal["gate", "plan", "aa"]
    log: str
    specs: Sequence[str]
    train_fraction: float
    defects: tuple[str, ...] = ()
    proposal: str | None = None
    opening: datetime | None = None


def run(
    asked: Asked,
    settings: ReplaySettings,
    options: Mapping[str, Any],
    *,
    page: PageRequest | None = None,
    as_json: bool,
) -> int:
    """Asks the gate, prints its answer (on a page too, of the only candidate), and returns the exit code."""
    track = bars(as_json=as_json)
    room = VowpalRoom()
    with open_store(read_settings(**options)) as store:
        parts = Parts(registry=store.registry, room=room, train_fraction=asked.train_fraction)
        candidates = [parse_candidate(spec, parts) for spec in asked.specs]
        logged = read_log(store, room, asked.log, track)
        docket = read_docket(
            store, room, logged, candidates, defects=asked.defects, proposal=asked.proposal, track=track
        )
    # Outside: the weighing is long and must not keep a service from starting on this data directory.
    match asked.ask:
        case "aa":
            return _itself(docket, settings, track, as_json=as_json)
        case "plan":
            return _planned(docket, candidates, track, as_json=as_json)
        case "gate":
            weighed = [weigh(docket, each, settings, opening=asked.opening, track=track) for each in candidates]
    with open_store(read_settings(**options)) as store:
        answers = close_sitting(docket, weighed, store.evaluations, datetime.now(UTC))
    if page is not None:
        page.write(answers[0][1])
    return _answered(docket, answers, as_json=as_json)


def _answered(docket: Docket, answers: Sequence[tuple[int, Replay]], *, as_json: bool) -> int:
    if as_json:
        documents = [document(replay) | {"evaluation": number} for number, replay in answers]
        several = {"log": docket.closed.log.name, "proposal": docket.proposal, "candidates": documents}
        _show(documents[0] if len(documents) == 1 else several)
    else:
        console = Console()
        for number, replay in answers:
            print_report(replay, console)
            console.print(f"Filed as evaluation {number}.")
    return exit_code([replay.report.verdict.decision for _, replay in answers])


def exit_code(rulings: Sequence[Ruling]) -> int:
    """0 when a candidate may go, else 3 while one must wait, else 1."""
    if Ruling.GO in rulings:
        return EXIT_DONE
    return EXIT_WAIT if Ruling.WAIT in rulings else EXIT_REFUSED


def _planned(docket: Docket, candidates: Sequence[Candidate], track: Track, *, as_json: bool) -> int:
    plans = [outlook(docket, each, candidates=len(candidates), track=track) for each in candidates]
    if as_json:
        _show({"log": docket.closed.log.name, "plans": plans})
    else:
        for found in plans:
            print_outlook(found, Console())
    return EXIT_DONE


def _itself(docket: Docket, settings: ReplaySettings, track: Track, *, as_json: bool) -> int:
    test = against_itself(docket, settings, seed=settings.seed, track=track)
    if as_json:
        _show(document(test.replay) | {"aa": test.found})
    else:
        console = Console()
        print_report(test.replay, console)
        print_self_comparison(test.found, console)
    return EXIT_DONE if test.found.passed else EXIT_REFUSED


def _show(value: object) -> None:
    click.echo(msgspec.json.encode(value))
