"""`cxi-bandit backup`: all data of a service in one directory, checked, beside its work."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import rich_click as click

from cxi_bandit.bootstrap.backup import back_up
from cxi_bandit.cli.copying import progress_of, rows_of
from cxi_bandit.cli.options import AS_JSON, database_options, show_json, show_table
from cxi_bandit.settings import read_settings


@click.command()
@click.option(
    "--to",
    type=click.Path(path_type=Path),
    help="A new directory. [default: ./cxi-bandit-<time>, readable by you only]",
)
@click.option("--dump", "as_dump", is_flag=True, help="A logical copy, for any PostgreSQL; DATABASE_URL always is one.")
@AS_JSON
@database_options
def backup(to: Path | None, as_dump: bool, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - settings of any type
    """Copy everything (decisions, rewards, outcomes, models, keys, secrets) while the service goes on; check the copy.

    Everything acknowledged before it began is in it. It holds the secrets too: keep it as you keep them.
    """
    directory = (to or Path(f"cxi-bandit-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")).expanduser().absolute()
    with progress_of() as told:
        made = back_up(read_settings(**options), directory, told, as_dump=as_dump)
    if as_json:
        show_json({"backup": str(directory), **msgspec.to_builtins(made, builtin_types=(datetime,))})
    else:
        show_table(f"Backup, checked: {directory}", ("", ""), rows_of(made, made.inventory))
