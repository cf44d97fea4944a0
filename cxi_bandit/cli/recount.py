"""`cxi-bandit recount`: what the console's overview shows, counted again from the log."""

import sys
from typing import Any

import msgspec
import rich_click as click
from rich.console import Console
from rich.progress import Progress

from cxi_bandit.bootstrap import build_engine
from cxi_bandit.bootstrap.database import open_store
from cxi_bandit.cli.options import ACTOR, AS_JSON, database_options, show_json
from cxi_bandit.domain.release import AuditEntry
from cxi_bandit.engine.count import count
from cxi_bandit.settings import read_settings


class Recounted(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted here: decisions as they came, and outcome positions. A running service's learner counts too."""

    counted: int
    later: bool


@click.command()
@click.option("--later", is_flag=True, help="Leave the counting to the running service's learner.")
@ACTOR
@AS_JSON
@database_options
def recount(later: bool, actor: str, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - settings of any type
    """Count what the console's overview shows again, from the log.

    Nothing needs it in the ordinary way: counts are exact once windows are closed. Runs beside the service; until it is
    done the overview shows what has been counted so far. Days that retention has dropped keep their counts.
    """
    with open_store(read_settings(**options)) as store, Progress(console=Console(stderr=True)) as progress:
        engine = build_engine(store)
        detail = {"by": "learner" if later else "command"}
        store.registry.note(AuditEntry(at=engine.clock(), actor=actor, action="recount", policy=None, detail=detail))
        store.tallies.recount()
        counted = 0
        task = progress.add_task("decisions and outcomes counted", total=None)
        while not later and (piece := count(store.registry, store.tallies, engine.clock())):
            counted += piece
            progress.update(task, completed=counted)
    answer = Recounted(counted=counted, later=later)
    if as_json:
        show_json(answer)
    elif later:
        sys.stdout.write("asked for: the learner of a running service counts\n")
    else:
        sys.stdout.write(f"{counted} decisions and outcomes counted\n")
