"""The work of `cxi-bandit replay --sweep`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import rich_click as click
from rich.console import Console

from cxi_bandit.bootstrap.database import open_store
from cxi_bandit.cli.progress import bars
from cxi_bandit.settings import read_settings
from cxi_bandit.vowpal import VowpalRoom
from simulator.cli.log_options import LogRequest
from simulator.cli.page import PageRequest
from simulator.cli.run_replay import EXIT_REFUSED, exit_code, reading
from simulator.datasets.stored import read_log
from simulator.relabel import read_definition, relabelled
from simulator.replay import ReplaySettings
from simulator.sweep import read_grid, sweep
from simulator.sweep.report import as_json as json_of
from simulator.sweep.report import print_sweep


def run(
    log: str,
    file: Path,
    settings: ReplaySettings,
    request: LogRequest,
    options: Mapping[str, Any],
    *,
    page: PageRequest | None = None,
    as_json: bool,
) -> int:
    """Sweeps, prints every candidate and the winner's report, and returns the winner's exit code."""
    track = bars(as_json=as_json)
    # The grid first: a mistyped key is found before a long log is read.
    grid = read_grid(file)
    definition = None if request.reward is None else read_definition(request.reward)
    room = VowpalRoom()
    with open_store(read_settings(**options)) as store:
        rounds = read_log(store, room, log, track, reading(request))
    if definition is not None:
        rounds = relabelled(rounds, definition)
    found = sweep(rounds, grid, room, settings, track)
    if page is not None and found.judged is not None:
        page.write(found.judged)
    if as_json:
        click.echo(json_of(found))
    else:
        print_sweep(found, Console())
    return EXIT_REFUSED if found.judged is None else exit_code(found.judged.report.verdict)
