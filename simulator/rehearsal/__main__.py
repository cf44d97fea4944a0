"""`python -m simulator.rehearsal`: the shopping world on a data directory of your own."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import rich_click as click

from cxi_bandit.bootstrap.database import open_store
from cxi_bandit.cli.options import AS_JSON, database_options, say_new, show_json, show_table
from cxi_bandit.cli.progress import bars
from cxi_bandit.domain.errors import CxiBanditError
from cxi_bandit.settings import read_settings
from simulator.lifecycle import KEEN
from simulator.rehearsal.days import let_pass
from simulator.rehearsal.shoppers import send_shoppers
from simulator.tally import Standing
from simulator.world.scenarios import SHOPPING

_WORLDS: Final = {scenario.name: scenario for scenario in (SHOPPING, KEEN)}

POLICIES_DIR: Final = click.option(
    "--policies-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Manifests of shipped policies, or variants of them. [env: CXI_BANDIT_POLICIES_DIR; default: those shipped]",
)
WORLD: Final = click.option(
    "--world", type=click.Choice(list(_WORLDS)), default=KEEN.name, show_default=True, help="Which shop."
)
SEED: Final = click.option("--seed", type=int, default=1, show_default=True, help="Of the shop.")


@click.group()
def rehearse() -> None:
    """Give a policy a log, and its service shoppers, from a shop whose truth is known."""


@rehearse.command()
@click.argument("number", metavar="DAYS", type=click.IntRange(1, 26))
@click.option("--per-day", type=click.IntRange(8, 50_000), default=1000, show_default=True, help="Decisions a day.")
@POLICIES_DIR
@WORLD
@SEED
@AS_JSON
@database_options
def days(number: int, per_day: int, world: str, seed: int, *, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - settings of any type
    """Let DAYS of shopping have passed since the end of the log; an empty log begins four weeks ago.

    The manifests are installed first. No service may run on the database meanwhile.
    """
    with _plainly():
        settings = read_settings(**options)
        with open_store(settings, say_new) as store:
            passed = let_pass(
                store,
                dict(settings.manifest_texts()),
                number,
                per_day,
                _WORLDS[world],
                seed=seed,
                now=datetime.now(UTC),
                track=bars(as_json=as_json),
            )
    if as_json:
        show_json(passed)
    else:
        _show(f"From {passed.first:%d %B} to {passed.last:%d %B}", passed.worth)


@rehearse.command()
@click.argument("number", metavar="SHOPPERS", type=click.IntRange(1, 1_000_000))
@click.option("--port", type=int, help="Of the service. [env: CXI_BANDIT_PORT; default: 8000]")
@click.option("--per-second", type=click.FloatRange(1.0, 1000.0), default=300.0, show_default=True, help="At most.")
@POLICIES_DIR
@WORLD
@SEED
@AS_JSON
def shoppers(number: int, per_second: float, world: str, seed: int, *, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - settings of any type
    """Send so many SHOPPERS to a service on this machine that runs with --dev, and report what came of them."""
    with _plainly():
        settings = read_settings(**options)
        traded = send_shoppers(
            settings.port,
            dict(settings.manifest_texts()),
            number,
            per_second,
            _WORLDS[world],
            seed=seed,
            now=datetime.now(UTC),
            track=bars(as_json=as_json),
        )
    if as_json:
        show_json(traded)
    else:
        _show(f"In {traded.seconds:.0f} seconds", traded.worth)


@contextmanager
def _plainly() -> Iterator[None]:
    try:
        yield
    except CxiBanditError as error:
        raise click.ClickException(str(error)) from error


def _show(when: str, worth: Standing) -> None:
    rows = (
        ("always hold", worth.hold_only),
        ("draw evenly", worth.uniform),
        ("what was decided, first tenth", worth.engine_first_tenth),
        ("what was decided, last tenth", worth.engine_last_tenth),
        ("the best there is", worth.oracle),
    )
    show_table(
        f"{when}: {worth.decisions:,} decisions and what they were worth",
        ("policy", "reward a decision"),
        [(name, f"{value:.4f}") for name, value in rows],
    )


if __name__ == "__main__":
    rehearse(prog_name="python -m simulator.rehearsal")
